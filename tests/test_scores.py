"""The paper's measurements: what a number says must be what its definition says."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest

from umsn.scoring.metrics import psnr, ssim
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import (
    FURTHEST_SHIFT,
    best_shift,
    by_face,
    interval,
    mean,
    resample,
    score,
    squared_error,
)

RNG = np.random.default_rng(5)


def picture(height=40, width=36):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def pair(clean=None, *, labels=None, noise=20):
    clean = picture() if clean is None else clean
    noisy = np.clip(clean.astype(int) + RNG.integers(-noise, noise + 1, clean.shape), 0, 255)
    return Pair("a", "f", noisy.astype(np.uint8), clean, labels, None)


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-1, 1), (3, 3)])
def test_a_shifted_result_is_found_and_scored_as_if_it_were_not(shift):
    one = pair()
    moved = np.roll(one.clean, (-shift[0], -shift[1]), (0, 1))
    found = score("moved", one, moved)
    assert found.shift == shift
    assert found.psnr_shifted == math.inf
    assert found.ssim_shifted == pytest.approx(1)
    assert found.psnr == psnr(moved, one.clean)


def test_the_best_shift_is_that_of_a_search_by_hand():
    one = pair(picture(20, 24))
    restored = one.blurry
    found = {}
    for rows in range(-3, 4):
        for columns in range(-3, 4):
            moved = np.roll(restored, (rows, columns), (0, 1))[3:-3, 3:-3]
            found[rows, columns] = psnr(np.ascontiguousarray(moved), one.clean[3:-3, 3:-3])
    best = best_shift(restored, one.clean)
    assert found[best] == max(found.values())
    assert score("m", one, restored).psnr_shifted == max(found.values())


def test_errors_of_shifts_are_whole_numbers_of_any_size():
    # The largest error there is, at a size at which 32 bits overflow, and 53 bits do not.
    white, black = np.full((300, 200, 3), 255, np.uint8), np.zeros((300, 200, 3), np.uint8)
    assert squared_error(white, black, (0, 0)) == 294 * 194 * 3 * 255**2 > 2**31
    one = pair(picture(11, 9))
    for shift in ((0, 0), (2, -3), (-3, 3)):
        expected = naive.squared_error(one.blurry, one.clean, shift, FURTHEST_SHIFT)
        assert squared_error(one.blurry, one.clean, shift) == expected


def test_the_shift_of_a_large_picture_is_found():
    clean = picture(1024, 1024)
    assert best_shift(np.roll(clean, (-2, -1), (0, 1)), clean) == (2, 1)


def test_a_flat_picture_stays_where_it_is():
    flat = np.full((20, 20, 3), 7, np.uint8)
    assert best_shift(flat, flat) == (0, 0)


def test_a_class_counts_its_own_pixels_over_the_whole_picture():
    clean = picture()
    labels = np.zeros(clean.shape[:2], np.uint8)
    labels[:10] = 10
    wrong = clean.copy()
    wrong[:10] = np.where(clean[:10] < 128, clean[:10] + 10, clean[:10] - 10)
    found = score("m", pair(clean, labels=labels), wrong)
    background, skin, features, hair = found.class_psnr
    assert background == math.inf
    assert math.isnan(skin) and math.isnan(features)
    assert hair == pytest.approx(10 * math.log10(255**2 / (100 * 10 / 40)))


def test_classes_move_with_the_best_shift_of_the_picture():
    clean = picture()
    labels = np.zeros(clean.shape[:2], np.uint8)
    labels[12:20, 12:20] = 6
    found = score("m", pair(clean, labels=labels), np.roll(clean, (1, -2), (0, 1)))
    assert found.shift == (-1, 2)
    assert found.class_psnr[2] < 30 and found.class_ssim[2] < 1
    assert found.class_psnr_shifted[2] == math.inf and found.class_psnr_shifted[0] == math.inf
    assert found.class_ssim_shifted[2] == pytest.approx(1)


def test_a_class_is_black_outside():
    clean, labels = picture(), np.zeros((40, 36), np.uint8)
    labels[5:30, 5:30] = 1
    one = pair(clean, labels=labels)
    mask = (labels == 1)[..., None]
    found = score("m", one, one.blurry)
    assert found.class_ssim[1] == ssim(one.blurry * mask, clean * mask)


def test_pixels_of_unknown_label_are_in_no_class():
    clean = picture()
    labels = np.full(clean.shape[:2], 255, np.uint8)
    labels[:20] = 1
    found = score("m", pair(clean, labels=labels), np.concatenate([clean[:20], 255 - clean[20:]]))
    assert found.class_psnr[1] == math.inf
    assert all(math.isnan(found.class_psnr[i]) for i in (0, 2, 3))


def test_without_labels_there_are_no_class_scores():
    found = score("m", pair(), picture())
    assert all(math.isnan(value) for value in found.class_psnr + found.class_ssim_shifted)


def test_the_interval_resamples_faces_not_pictures():
    values = [20.0] * 50 + [30.0] * 50
    as_two_faces = mean(values, ["a"] * 50 + ["b"] * 50)
    as_many = mean(values, [str(i) for i in range(100)])
    assert as_two_faces.value == as_many.value == 25
    assert (as_two_faces.low, as_two_faces.high) == (20, 30)
    assert 23 < as_many.low < 25 < as_many.high < 27


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        found = mean(rng.normal(10, 2, 40).tolist(), [str(i) for i in range(40)])
        hits += found.low <= 10 <= found.high
    assert 51 <= hits <= 60


def test_pictures_without_a_value_are_left_out():
    found = mean([10.0, math.nan, 20.0], ["a", "b", "c"])
    assert (found.value, found.count) == (15, 2)
    assert math.isnan(mean([math.nan], ["a"]).value)
    assert mean([10.0, math.inf], ["a", "b"]).value == math.inf


def test_sums_by_face_and_their_resamples_keep_their_shape():
    totals = by_face(np.arange(12.0).reshape(4, 3), ["b", "a", "b", "a"])
    assert totals.tolist() == [[12, 14, 16], [6, 8, 10]]
    drawn = resample(totals)
    assert drawn.shape == (1000, 3)
    assert {tuple(row) for row in drawn.tolist()} == {(24, 28, 32), (12, 16, 20), (18, 22, 26)}
    assert interval(1.0, np.array([math.nan, 2.0, 2.0]), 2).low == 2
