"""Pictures and confidence at several moments of a training."""

from __future__ import annotations

import numpy as np
from test_strips import noise, place_of

from umsn.evaluation.moments import Moment, over_training
from umsn.scoring.pairs import Pair


def pair(name, seed):
    return Pair(name, name, noise(40, 40, seed), noise(40, 40, seed + 1), None, None)


def darker(steps, confidence=None):
    return Moment(steps, lambda pair: pair.blurry // np.uint8(steps), confidence)


def test_every_picture_is_shown_at_every_moment():
    pairs = [pair("a", 1), pair("b", 5)]
    found = over_training(pairs, [darker(2), darker(4), darker(200)], "UMSN")
    page = np.asarray(found.figures["moments"])
    for one in pairs:
        pictures = (one.blurry, one.blurry // 2, one.blurry // 4, one.clean)
        places = [place_of(page, picture) for picture in pictures]
        assert [left for _, left in places] == sorted(left for _, left in places)
        assert len({top for top, _ in places}) == 1
    assert found.tables == []


def test_the_table_has_a_row_for_each_picture_and_moment():
    def early(pair, restored):
        return (restored.mean() / 255, 0.5, np.nan, 1.0)

    def late(pair, restored):
        return (restored.mean() / 255, 0.25, np.nan, 1.0)

    pairs = [pair("a", 1), pair("b", 5)]
    (table,) = over_training(pairs, [darker(2, early), darker(200, late)], "UMSN").tables
    assert [row.labels for row in table.rows] == [("a", "2"), ("a", "200"), ("b", "2"), ("b", "200")]
    assert table.rows[0].cells[0].mean.value == (pairs[0].blurry // 2).mean() / 255
    assert table.markdown().splitlines()[5] == "| a | 200 | 0.001 | 0.250 | - | 1.000 |"


def test_one_moment_is_no_training():
    assert over_training([pair("a", 1)], [darker(2)], "UMSN").figures == {}
    assert over_training([], [darker(2), darker(4)], "UMSN").figures == {}
