"""Left is the person's own left, whatever a dataset calls it."""

from __future__ import annotations

import numpy as np
import pytest
from small_faces import face_labels

from blurgen.faces.sides import middle, own_sides

SWAPPED = np.arange(256, dtype=np.uint8)
SWAPPED[[2, 3, 4, 5]] = [3, 2, 5, 4]


@pytest.mark.parametrize("turns", range(4))
def test_both_namings_give_the_same_map_however_the_head_is_turned(turns):
    labels = np.rot90(face_labels(300, 320, 160, 140), turns)
    assert np.array_equal(own_sides(labels), labels)
    assert np.array_equal(own_sides(SWAPPED[labels]), labels)


@pytest.mark.parametrize("missing", [2, 3, 4, 5])
def test_a_single_eye_or_brow_is_compared_with_the_nose(missing):
    labels = face_labels(300, 320, 160, 140)
    labels[labels == missing] = 1
    assert np.array_equal(own_sides(SWAPPED[labels]), labels)


def test_without_anything_to_compare_with_the_names_stay():
    labels = np.where(
        np.isin(face_labels(300, 320, 160, 140), (6, 7, 8, 9)), 1, face_labels(300, 320, 160, 140)
    )
    for named in (labels, SWAPPED[labels], np.zeros_like(labels)):
        assert np.array_equal(own_sides(named), named)


def test_unknown_pixels_stay_unknown():
    labels = face_labels(300, 320, 160, 140)
    labels[:9] = 255
    assert np.array_equal(own_sides(SWAPPED[labels]), labels)


def test_middle_is_the_centroid_in_pixels_from_the_corner():
    labels = np.zeros((6, 8), np.uint8)
    labels[1:3, 4:8] = 5
    assert middle(labels, 5).tolist() == [6.0, 2.0]
    assert middle(labels, 4) is None
