"""Labels: the numbering is Helen's, every other dataset's is translated into it."""

from __future__ import annotations

import numpy as np
import pytest

from blurgen.errors import InputError
from blurgen.labels import (
    CELEBAMASK_HQ,
    CLASS_NAMES,
    CLASS_OF_LABEL,
    FACESYNTHETICS,
    LAPA,
    NO_CLASS,
    Label,
    translate,
)


def test_every_label_has_the_class_the_paper_gives_it():
    expected = {0: 0, 1: 1, **dict.fromkeys(range(2, 10), 2), 10: 3}
    assert {value: int(CLASS_OF_LABEL[value]) for value in range(11)} == expected
    assert (CLASS_OF_LABEL[11:] == NO_CLASS).all()
    assert CLASS_NAMES == ("background", "skin", "features", "hair")


def test_facesynthetics_values_become_ours_one_by_one():
    theirs = np.array([*range(19), 255], np.uint8)
    ours = [0, 1, 6, 4, 5, 2, 3, 0, 0, 8, 7, 9, 0, 10, 1, 0, 0, 0, 0, 255]
    assert translate(theirs, FACESYNTHETICS, "map.png").tolist() == ours


def test_lapa_numbers_as_we_do():
    assert translate(np.arange(11, dtype=np.uint8), LAPA, "map.png").tolist() == list(range(11))


@pytest.mark.parametrize(("table", "value"), [(FACESYNTHETICS, 19), (LAPA, 11), (LAPA, 255)])
def test_a_value_the_dataset_does_not_have_is_refused_by_name(table, value):
    with pytest.raises(InputError, match=rf"map\.png holds the value {value}"):
        translate(np.array([[0, value]], np.uint8), table, "map.png")


def test_celebamask_parts_cover_all_labels():
    assert set(CELEBAMASK_HQ.values()) == set(Label) - {Label.UNKNOWN}
    assert len(CELEBAMASK_HQ) == 18
