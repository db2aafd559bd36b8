"""Table II: F-scores counted over all pictures, checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from umsn.scoring.pairs import Pair
from umsn.scoring.segmentation import SegmentationScores, agreement, f_scores


def test_agreement_by_hand():
    truth = np.array([[0, 0, 1, 1, 2, 255, 255]], np.uint8)
    found = np.array([[0, 1, 1, 1, 3, 0, 2]], np.uint8)
    assert agreement(found, truth).tolist() == [[1, 0, 1], [2, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_f_scores_are_of_the_pixels_of_all_pictures_together():
    first = np.array([[1, 0, 1], [2, 1, 0], [0, 0, 0], [0, 1, 0]])
    second = np.array([[9, 2, 0], [0, 0, 2], [0, 0, 0], [0, 0, 0]])
    background, skin, features, hair = f_scores([first, second], ["a", "b"])
    assert background.value == pytest.approx(20 / 23)
    assert skin.value == pytest.approx(4 / 7)
    assert (background.low, background.high) == pytest.approx((2 / 3, 18 / 20))
    assert math.isnan(features.value)
    assert hair.value == 0


def make_pair(name, labels, clean_value=200):
    clean = np.full((20, 20, 3), clean_value, np.uint8)
    return Pair(name, name[0], np.zeros_like(clean), clean, labels, None)


def labels_of(picture):
    """A segmenter that finds skin in pale pictures and hair in dark ones."""
    return np.where(picture[..., 0] > 100, 1, 10).astype(np.uint8)


def test_clean_and_blurry_pictures_have_their_columns():
    skin = np.ones((20, 20), np.uint8)
    scores = SegmentationScores(labels_of, lambda picture: np.ones((20, 20), np.uint8))
    scores.add(make_pair("a1", skin), {})
    scores.add(make_pair("a2", skin), {})
    found = scores.findings()
    (table,) = found.tables
    names = ["class-1 background", "class-2 skin", "class-3 features", "class-4 hair"]
    assert [row.labels[0] for row in table.rows] == names
    values = [[cell.mean.value for cell in row.cells] for row in table.rows]
    assert values[1] == [1, 0, 1]
    assert math.isnan(values[0][0]) and math.isnan(values[3][0]) and values[3][1] == 0
    # The clean picture is the same in both pairs and counts once.
    assert [cell.mean.count for cell in table.rows[1].cells] == [1, 2, 2]
    assert (
        found.records["segmentation.csv"].splitlines()[2]
        == '"clean pictures, trained on clean",a1,a,skin,400,0,0'
    )


def test_pictures_without_labels_make_no_table():
    scores = SegmentationScores(labels_of, None)
    scores.add(make_pair("a", None), {})
    assert scores.findings().tables == []
