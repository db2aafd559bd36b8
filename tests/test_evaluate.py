"""Any method's pictures become the same tables, and every number in them can be had as data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from blurgen.errors import InputError
from umsn.evaluate import compare
from umsn.metrics import psnr
from umsn.pairs import FolderPairs, Pair


def make_pairs(count, side=32):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    blurry = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    return [
        Pair(f"p{i}", f"p{i}", b, c, None, None) for i, (b, c) in enumerate(zip(blurry, clean, strict=True))
    ]


def test_everything_is_written_and_says_the_same(tmp_path):
    pairs = make_pairs(3)
    made = compare({"blurry": lambda p: p.blurry, "half": lambda p: p.clean // 2}, pairs, tmp_path / "out")
    expected = np.mean([psnr(p.blurry, p.clean) for p in pairs])
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert summary["blurry"]["psnr"]["value"] == pytest.approx(expected)
    assert f"| blurry | {expected:.2f} (" in (tmp_path / "out" / "tables.md").read_text()
    assert (tmp_path / "out" / "tables.tex").read_text().count("tabular") == 2
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) == 1 + len(made.scores) == 7


def test_the_sheet_shows_each_method_and_the_truth(tmp_path):
    pairs = make_pairs(2)
    made = compare({"blurry": lambda p: p.blurry}, pairs, tmp_path)
    with Image.open(made.sheet) as page:
        pixels = np.asarray(page)
    for pair in pairs:
        for picture in (pair.blurry, pair.clean):
            windows = np.lib.stride_tricks.sliding_window_view(pixels, picture.shape)
            assert (windows == picture).all(axis=(-1, -2, -3)).any()


def test_pictures_in_folders_go_the_same_way(tmp_path):
    for folder in ("clean", "blurry"):
        (tmp_path / folder).mkdir()
    (pair,) = make_pairs(1)
    Image.fromarray(pair.clean).save(tmp_path / "clean" / "face.png")
    Image.fromarray(pair.blurry).save(tmp_path / "blurry" / "face_ker03_blur_k21.png")
    folders = FolderPairs(tmp_path / "blurry", tmp_path / "clean")
    made = compare({"blurry": lambda p: p.blurry}, folders, tmp_path / "out")
    assert made.scores[0].psnr == psnr(pair.blurry, pair.clean)
    assert made.tables[1].columns == ("method", "21")


def test_nothing_to_evaluate_is_said(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        compare({"blurry": lambda p: p.blurry}, [], tmp_path)
