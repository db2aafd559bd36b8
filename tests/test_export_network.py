"""What is exported does what the checkpoint does, without this package."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import small_network
import torch
from click.testing import CliRunner

from blurgen.errors import InputError
from blurgen_cli import umsn as command
from umsn.export.onnx import MOST_DIFFERENCE, export_onnx, session
from umsn.export.probe import probe_pictures
from umsn.export.pt2 import export_pt2
from umsn.export.web_page import PAGE_FILES, RUNTIME_FILES, export_web
from umsn.export.whole import WholeNetwork
from umsn.nets import KernelGuided
from umsn.restore.deblur import Deblurrer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return small_network.save(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def deblurrer(trained):
    return Deblurrer(trained, "cpu")


@pytest.fixture(scope="module")
def made(deblurrer, tmp_path_factory):
    return export_onnx(deblurrer, tmp_path_factory.mktemp("onnx") / "sharp.onnx")


def pictures(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (3, 3, 61, 99), (1, 3, 16, 200)])
def test_onnx_gives_what_pytorch_gives_at_any_size(deblurrer, made, shape):
    blurry = pictures(*shape)
    (sharp,) = session(made.path, onnxruntime).run(["sharp"], {"blurry": blurry})
    with torch.no_grad():
        expected = WholeNetwork(deblurrer)(torch.from_numpy(blurry)).numpy()
    assert sharp.shape == shape
    assert np.abs(expected - blurry).max() > 0.02
    assert np.abs(sharp - expected).mean() < MOST_DIFFERENCE


def test_the_file_says_what_it_takes_and_gives(made):
    graph = onnx.load(made.path).graph
    sides = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input]
    assert [v.name for v in graph.input] == ["blurry"]
    assert [v.name for v in graph.output] == ["sharp"]
    assert sides == [["N", 3, "H", "W"]]
    assert made.mean < MOST_DIFFERENCE
    assert made.size == made.path.stat().st_size


def test_where_nothing_is_padded_it_is_the_deblurrer(deblurrer, made):
    blurry = (pictures(96, 128, 3) * 255).astype(np.uint8)
    planes = blurry.transpose(2, 0, 1)[None].astype(np.float32) / 255
    (sharp,) = session(made.path, onnxruntime).run(["sharp"], {"blurry": planes})
    found = np.rint(sharp[0].transpose(1, 2, 0) * 255)
    assert (np.abs(found - deblurrer(blurry)) > 1).mean() < 0.01


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fewer_bits_are_smaller_files_of_nearly_the_same_network(deblurrer, made, tmp_path, precision):
    small = export_onnx(deblurrer, tmp_path / "small.onnx", precision)
    assert small.size < 0.8 * made.size
    assert 0 < small.mean < 0.05
    assert abs(small.loss) < 3
    blurry = pictures(2, 3, 40, 72)
    (sharp,) = session(small.path, onnxruntime).run(["sharp"], {"blurry": blurry})
    assert sharp.dtype == np.float32
    assert sharp.shape == blurry.shape


def test_an_export_that_is_wrong_is_not_written(deblurrer, tmp_path, monkeypatch):
    monkeypatch.setattr("umsn.export.onnx.MOST_DIFFERENCE", -1)
    with pytest.raises(InputError, match="differs from PyTorch"):
        export_onnx(deblurrer, tmp_path / "sharp.onnx")
    assert list(tmp_path.iterdir()) == []


def test_torch_export_loads_without_this_package(deblurrer, tmp_path):
    path = export_pt2(deblurrer, tmp_path / "sharp.pt2")
    loaded = torch.export.load(path).module()
    blurry = torch.from_numpy(pictures(3, 3, 40, 56))
    with torch.no_grad():
        assert torch.allclose(loaded(blurry), WholeNetwork(deblurrer)(blurry), atol=1e-5)


def fake_runtime(folder):
    (folder / "dist").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_text("")
    return folder


def test_the_page_is_a_folder_of_files(deblurrer, tmp_path):
    out = export_web(deblurrer, tmp_path / "page", fake_runtime(tmp_path / "runtime"))
    expected = {*PAGE_FILES, *RUNTIME_FILES, "model.onnx", "model.json"}
    assert {path.name for path in out.iterdir()} == expected
    about = json.loads((out / "model.json").read_text("utf-8"))
    assert about["bytes"] == (out / "model.onnx").stat().st_size
    for name in PAGE_FILES:
        text = (out / name).read_text("utf-8")
        assert "https://" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_mistakes_are_named(trained, tmp_path, monkeypatch):
    def run(*words):
        return CliRunner().invoke(command.main, ["export", "--checkpoint", str(trained), *map(str, words)])

    done = run("--to", "web", "--out", tmp_path / "a", "--onnxruntime-web", tmp_path)
    assert done.exit_code == 2
    assert "npm pack onnxruntime-web@" in done.output
    done = run("--to", "pt2", "--out", tmp_path / "b", "--precision", "int8")
    assert done.exit_code == 2
    assert "--precision is for --to onnx" in done.output
    monkeypatch.setattr("shutil.which", lambda name: None)
    done = run("--to", "web", "--out", tmp_path / "c")
    assert done.exit_code == 2
    assert "npm is not installed" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_estimates_the_kernel_is_refused_by_name():
    with torch.device("meta"):
        network = KernelGuided()
    with pytest.raises(InputError, match=r"deblur\.safetensors is of variant kernel-guided"):
        WholeNetwork(SimpleNamespace(path="deblur.safetensors", network=network))


def test_probe_pictures_are_blurred_faces():
    blurry, clean = probe_pictures(2)
    again, _ = probe_pictures(2)
    assert np.array_equal(blurry, again)
    assert blurry.shape == clean.shape == (2, 3, 128, 128)
    assert blurry.dtype == clean.dtype == np.float32
    error = np.square(blurry - clean).mean()
    assert 0.03**2 / 2 < error < 0.1**2
    assert np.allclose(np.rint(blurry * 255), blurry * 255, atol=1e-4)
