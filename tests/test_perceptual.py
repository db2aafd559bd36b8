"""LPIPS and DISTS: what the library says goes into the table; what is missing is said in one line."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from blurgen.errors import InputError
from umsn.scoring import perceptual
from umsn.scoring.pairs import Pair
from umsn.scoring.perceptual import PERCEPTUAL, PerceptualScores, load_perceptual

try:
    import torchmetrics  # noqa: F401
    import torchvision
except (ImportError, RuntimeError):  # not installed, or built for another torch
    torchvision = None

CPU = torch.device("cpu")


def picture(seed, side=64):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


class _Mean(torch.nn.Module):
    """Stands in for a metric whose weights cannot be had: the mean difference, times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, picture, clean):
        assert picture.shape == clean.shape == (1, 3, 64, 64) and 0 <= picture.min() <= picture.max() <= 1
        return self.factor * (picture - clean).abs().mean()


@pytest.fixture
def stubs(monkeypatch):
    for number, name in enumerate(PERCEPTUAL, start=1):
        kind = perceptual.Perceptual(
            name.upper(), f"What {name} is.", "", lambda number=number: _Mean(number)
        )
        monkeypatch.setitem(PERCEPTUAL, name, kind)
    monkeypatch.setattr(perceptual, "_have_weights", lambda kind, library: None)
    monkeypatch.setattr(perceptual, "_torchvision", lambda heading: None)


def test_the_table_has_a_column_for_each_score(stubs):
    scores = PerceptualScores(["lpips", "dists"], CPU)
    pairs = [Pair(f"p{i}", f"f{i}", picture(i), picture(10 + i), None, None) for i in range(2)]
    for pair in pairs:
        scores.add(pair, {"blurry": pair.blurry, "perfect": pair.clean})
    found = scores.findings()
    (table,) = found.tables
    assert table.columns == ("LPIPS", "DISTS")
    values = {row.labels[0]: [cell.mean.value for cell in row.cells] for row in table.rows}
    by_hand = np.mean([np.abs(p.blurry.astype(float) - p.clean).mean() / 255 for p in pairs])
    assert values == {"blurry": pytest.approx([by_hand, 2 * by_hand], rel=1e-5), "perfect": [0, 0]}
    assert found.definitions == ("What lpips is.", "What dists is.")
    assert found.records["perceptual.csv"].splitlines()[0] == "method,name,face,lpips,dists"
    assert len(found.records["perceptual.csv"].splitlines()) == 1 + 4


def test_pictures_too_small_are_named(stubs):
    small = picture(0, 63)
    with pytest.raises(InputError, match="p: LPIPS and DISTS need at least 64 x 64"):
        PerceptualScores(["lpips"], CPU).add(Pair("p", "f", small, small, None, None), {})


def test_missing_packages_are_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(InputError, match=r"DISTS needs torchmetrics.*pip install \"blurgen\[metrics\]\""):
        load_perceptual("dists", CPU)


def test_a_torchvision_for_another_torch_is_named(monkeypatch, tmp_path):
    (tmp_path / "torchmetrics.py").write_text("")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    for name in ("torchmetrics", "torchvision"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"torchvision does not fit this torch .* from one index"):
        load_perceptual("lpips", CPU)
    monkeypatch.delitem(sys.modules, "torchmetrics")


def _torchvision(monkeypatch, tmp_path, url):
    weights = types.SimpleNamespace(DEFAULT=types.SimpleNamespace(url=url))
    models = types.SimpleNamespace(AlexNet_Weights=weights)
    library = types.SimpleNamespace(models=models)
    monkeypatch.setattr(perceptual, "_torchvision", lambda heading: library)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))


def test_without_a_network_one_line_says_which_file_goes_where(monkeypatch, tmp_path):
    url = (tmp_path / "nowhere" / "alexnet-owt-7be5be79.pth").as_uri()
    _torchvision(monkeypatch, tmp_path, url)
    with pytest.raises(InputError, match="LPIPS: the weights of its network cannot be had") as raised:
        load_perceptual("lpips", CPU)
    assert url in str(raised.value) and str(tmp_path / "checkpoints") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_weights_that_are_a_program_are_not_run(monkeypatch, tmp_path):
    _torchvision(monkeypatch, tmp_path, "http://127.0.0.1:9/alexnet-owt-7be5be79.pth")
    (tmp_path / "checkpoints").mkdir()

    class Program:
        def __reduce__(self):
            return print, ("run",)

    torch.save(Program(), tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth")
    with pytest.raises(InputError, match="LPIPS: the weights of its network cannot be had"):
        load_perceptual("lpips", CPU)


@pytest.mark.skipif(torchvision is None, reason="the extra metrics is not installed")
@pytest.mark.parametrize("name", PERCEPTUAL)
def test_the_real_library_takes_our_pictures(monkeypatch, tmp_path, name):
    """With random weights in the file that the library loads: the numbers mean nothing, the way is real."""
    weights = getattr(torchvision.models, PERCEPTUAL[name].network).DEFAULT
    network = {"lpips": torchvision.models.alexnet, "dists": torchvision.models.vgg16}[name]()
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[1])
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    scores = PerceptualScores([name], CPU)
    pair = Pair("p", "f", picture(0), picture(1), None, None)
    scores.add(pair, {"blurry": pair.blurry, "perfect": pair.clean})
    blurry, perfect = (row.cells[0].mean.value for row in scores.findings().tables[0].rows)
    assert blurry > 1e-4 and perfect == pytest.approx(0, abs=1e-4)
