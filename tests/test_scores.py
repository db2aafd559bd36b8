"""The paper's measurements: what a table says must be what the definition says."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from umsn.metrics import psnr
from umsn.pairs import Pair
from umsn.scores import mean, score
from umsn.tables import per_picture_csv, summary_json, tables

RNG = np.random.default_rng(5)


def picture(height=40, width=36):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def pair(clean=None, *, labels=None, name="a", face="f", kernel_size=None, noise=20):
    clean = picture() if clean is None else clean
    noisy = np.clip(clean.astype(int) + RNG.integers(-noise, noise + 1, clean.shape), 0, 255)
    return Pair(name, face, noisy.astype(np.uint8), clean, labels, kernel_size)


def score_all(pairs, methods):
    return [score(name, pair, method(pair)) for pair in pairs for name, method in methods.items()]


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-1, 1), (3, 3)])
def test_a_shifted_result_is_found_and_scored_as_if_it_were_not(shift):
    one = pair()
    moved = np.roll(one.clean, (-shift[0], -shift[1]), (0, 1))
    found = score("moved", one, moved)
    assert found.shift == shift
    assert found.psnr_shifted == math.inf
    assert found.ssim_shifted == pytest.approx(1)
    assert found.psnr == psnr(moved, one.clean)


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


def test_without_labels_there_are_no_class_scores():
    found = score("m", pair(), picture())
    assert all(math.isnan(value) for value in found.class_psnr + found.class_ssim)


def test_the_interval_resamples_faces_not_pictures():
    values = [20.0] * 50 + [30.0] * 50
    as_two_faces = mean(values, ["a"] * 50 + ["b"] * 50)
    as_many = mean(values, [str(i) for i in range(100)])
    assert as_two_faces.value == as_many.value == 25
    assert (as_two_faces.low, as_two_faces.high) == (20, 30)
    assert 23 < as_many.low < 25 < as_many.high < 27


def test_pictures_without_a_class_are_left_out_of_its_mean():
    found = mean([10.0, math.nan, 20.0], ["a", "b", "c"])
    assert (found.value, found.count) == (15, 2)
    assert math.isnan(mean([math.nan], ["a"]).value)


def test_tables_say_what_the_scores_say():
    pairs = [pair(name=f"p{i}", face=f"f{i}", kernel_size=size) for i, size in enumerate([13, 13, 27])]
    scores = score_all(pairs, {"blurry": lambda p: p.blurry, "truth": lambda p: p.clean})
    overall, by_size = tables(scores)
    expected = np.mean([psnr(p.blurry, p.clean) for p in pairs])
    assert overall.rows[0][0] == "blurry"
    assert overall.rows[0][1].startswith(f"{expected:.2f} (")
    assert overall.rows[1][1].startswith("inf")
    assert by_size.columns == ("method", "13", "27")
    assert by_size.rows[0][2].startswith(f"{psnr(pairs[2].blurry, pairs[2].clean):.2f} /")
    assert overall.markdown().count("\n|") == 4
    assert r"PSNR (dB)" in overall.latex() and overall.latex().count(r"\\") == 3


def test_csv_and_json_hold_every_number():
    pairs = [pair(name=f"p{i}", face=f"f{i}") for i in range(3)]
    scores = score_all(pairs, {"blurry": lambda p: p.blurry, "truth": lambda p: p.clean})
    lines = list(csv.DictReader(per_picture_csv(scores).splitlines()))
    assert [line["name"] for line in lines] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert float(lines[0]["psnr"]) == psnr(pairs[0].blurry, pairs[0].clean)
    summary = json.loads(summary_json(scores))
    assert summary["blurry"]["psnr"]["value"] == pytest.approx(
        np.mean([float(x["psnr"]) for x in lines[::2]])
    )
    assert summary["truth"]["psnr"]["value"] == "infinity"
    assert summary["blurry"]["psnr_skin"]["value"] is None


def test_latex_special_characters_are_escaped():
    scores = score_all([pair()], {"my_method 100%": lambda p: p.blurry})
    assert r"my\_method 100\%" in tables(scores)[0].latex()
