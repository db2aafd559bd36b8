"""Pictures of kernel banks: they open, show what they should, and are the same every time."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from blurgen.errors import InputError
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.kernels.pictures import save_gallery, save_plots
from blurgen.kernels.statistics import statistics

BANK = make_bank(45, samples=100)
IMPORTED = KernelBank(BANK.weights, BANK.sizes, {"imported_from": "k.mat"})


def test_a_gallery_shows_kernels_of_every_size(tmp_path):
    save_gallery(BANK, tmp_path / "a.png", columns=6, per_size=2)
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet)
    assert sheet.width == 6 * (2 * 145 + 2 + 10) + 10
    assert sheet.height == 3 * (145 + 15 + 10) + 10
    assert (pixels > 200).any()
    save_gallery(BANK, tmp_path / "b.png", columns=6, per_size=2)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_gallery_shows_the_weights_of_the_kernel(tmp_path):
    save_gallery(BANK, tmp_path / "a.png", columns=1, per_size=1)
    with Image.open(tmp_path / "a.png") as sheet:
        first = np.asarray(sheet.convert("L"), float)[12 : 12 + 145 : 5, 12 : 12 + 145 : 5]
    brightest = BANK.weights[0] > BANK.weights[0].max() // 2
    dark = BANK.weights[0] == 0
    assert np.median(first[brightest]) > 150
    assert np.median(first[dark]) == 0


def test_imported_kernels_are_shown_without_paths(tmp_path):
    save_gallery(IMPORTED, tmp_path / "a.png", columns=3, per_size=1)
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width == 3 * (145 + 10) + 10


@pytest.mark.parametrize("bank", [BANK, IMPORTED], ids=["made", "imported"])
def test_statistics_can_be_plotted(bank, tmp_path):
    pytest.importorskip("matplotlib")
    save_plots(statistics(bank), tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 800


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install \"blurgen\[plot\]\""):
        save_plots(statistics(BANK), tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        save_gallery(BANK, tmp_path / "nowhere" / "a.png")
