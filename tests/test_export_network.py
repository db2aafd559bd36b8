"""What is exported does what the checkpoint does, without this package."""

from __future__ import annotations

import io
import json

import numpy as np
import onnx
import pytest
import small_network
import torch
from click.testing import CliRunner

from blurgen.errors import InputError
from blurgen.jobs.progress import Console
from blurgen_cli import umsn as command
from umsn.export.onnx import MOST_DIFFERENCE, export_onnx, session
from umsn.export.probe import probe_pictures
from umsn.export.pt2 import export_pt2
from umsn.export.web_page import PAGE_FILES, RUNTIME_FILES, export_web
from umsn.export.whole import whole
from umsn.nets.kernel_estimator import WINDOW
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


@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (3, 3, 61, 99), (1, 3, 32, 200)])
def test_onnx_gives_what_pytorch_gives_at_any_size(deblurrer, made, shape):
    blurry = pictures(*shape)
    (sharp,) = session(made.path).run(["sharp"], {"blurry": blurry})
    with torch.no_grad():
        expected = whole(deblurrer)(torch.from_numpy(blurry)).numpy()
    assert sharp.shape == shape
    assert np.abs(expected - blurry).max() > 0.02
    assert np.abs(sharp - expected).mean() < MOST_DIFFERENCE


def test_the_file_says_what_it_takes_and_gives(made):
    graph = onnx.load(made.path).graph
    sides = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input]
    assert [v.name for v in graph.input] == ["blurry"]
    assert [v.name for v in graph.output] == ["sharp"]
    assert sides == [["N", 3, "H", "W"]]
    assert made.difference.mean < MOST_DIFFERENCE
    assert made.size == made.path.stat().st_size


def test_where_nothing_is_padded_it_is_the_deblurrer(deblurrer, made):
    blurry = (pictures(96, 128, 3) * 255).astype(np.uint8)
    planes = blurry.transpose(2, 0, 1)[None].astype(np.float32) / 255
    (sharp,) = session(made.path).run(["sharp"], {"blurry": planes})
    found = np.rint(sharp[0].transpose(1, 2, 0) * 255)
    assert (np.abs(found - deblurrer(blurry)) > 1).mean() < 0.01


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fewer_bits_are_smaller_files_of_nearly_the_same_network(deblurrer, made, tmp_path, precision):
    said = io.StringIO()
    small = export_onnx(deblurrer, tmp_path / "small.onnx", precision, reporter=Console(said))
    assert said.getvalue().splitlines() == [
        "Exporting the network to ONNX.",
        f"Lowering it to {precision}.",
        "Checking it against PyTorch.",
    ]
    assert small.size < 0.8 * made.size
    assert 0 < small.difference.mean < 0.05
    assert abs(small.difference.loss) < 3
    blurry = pictures(2, 3, 40, 72)
    (sharp,) = session(small.path).run(["sharp"], {"blurry": blurry})
    assert sharp.dtype == np.float32
    assert sharp.shape == blurry.shape


def test_an_export_that_is_wrong_is_not_written(deblurrer, tmp_path, monkeypatch):
    monkeypatch.setattr("umsn.export.onnx.MOST_DIFFERENCE", -1)
    with pytest.raises(InputError, match="differs from PyTorch"):
        export_onnx(deblurrer, tmp_path / "sharp.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_nothing_of_packages_that_it_does_not_need(deblurrer, tmp_path, capfd, recwarn):
    export_onnx(deblurrer, tmp_path / "sharp.onnx")
    assert "torchvision" not in capfd.readouterr().err
    assert not [w for w in recwarn if "treespec" in str(w.message)]


def test_torch_export_loads_without_this_package(deblurrer, tmp_path):
    path = export_pt2(deblurrer, tmp_path / "sharp.pt2")
    loaded = torch.export.load(path).module()
    blurry = torch.from_numpy(pictures(3, 3, 40, 56))
    with torch.no_grad():
        assert torch.allclose(loaded(blurry), whole(deblurrer)(blurry), atol=1e-5)


def fake_runtime(folder):
    (folder / "dist").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_text("")
    return folder


def test_the_page_is_a_folder_of_files(deblurrer, tmp_path):
    out = export_web(deblurrer, tmp_path / "page", fake_runtime(tmp_path / "runtime"))
    expected = {*PAGE_FILES, *RUNTIME_FILES, "model.onnx", "model.json"}
    assert {path.name for path in out.iterdir()} == expected
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


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    return Deblurrer(small_network.save_guided(tmp_path_factory.mktemp("guided")), "cpu")


@pytest.fixture(scope="module")
def guided_made(guided, tmp_path_factory):
    return export_onnx(guided, tmp_path_factory.mktemp("onnx") / "sharp.onnx")


@pytest.mark.parametrize("shape", [(2, 3, 128, 128), (1, 3, 61, 99), (3, 3, 32, 150), (1, 3, 260, 330)])
def test_a_network_that_estimates_the_kernel_is_one_file_as_well(guided, guided_made, shape):
    """However many windows there are, it is what the deblurrer makes, with each picture's own kernel."""
    blurry = pictures(*shape)
    (sharp,) = session(guided_made.path).run(["sharp"], {"blurry": blurry})
    with torch.no_grad():
        expected = guided.network(torch.from_numpy(blurry)).clamp(0, 1).numpy()
    assert np.abs(expected - blurry).max() > 0.1
    assert np.abs(sharp - expected).max() < 1e-3
    if len(sharp) > 1:
        (alone,) = session(guided_made.path).run(["sharp"], {"blurry": blurry[1:2]})
        assert np.abs(alone - sharp[1:2]).max() < 1e-4


def test_a_network_that_estimates_the_kernel_keeps_its_own_way_of_transforming(guided):
    fast = guided.network.estimator.fourier
    whole(guided)
    assert guided.network.estimator.fourier is fast


def test_torch_export_has_the_kernel_inside(guided, tmp_path):
    loaded = torch.export.load(export_pt2(guided, tmp_path / "sharp.pt2")).module()
    blurry = torch.from_numpy(pictures(1, 3, 150, 64))
    with torch.no_grad():
        assert torch.allclose(loaded(blurry), guided.network(blurry).clamp(0, 1), atol=1e-4)


def test_the_page_of_such_a_network_has_a_file_that_finds_the_kernel(guided, tmp_path):
    out = export_web(guided, tmp_path / "page", fake_runtime(tmp_path / "runtime"))
    about = json.loads((out / "model.json").read_text("utf-8"))
    assert about["window"] == WINDOW
    windows = pictures(3, 3, WINDOW, WINDOW)
    (kernel,) = session(out / "kernel.onnx").run(["kernel"], {"windows": windows})
    assert kernel.shape == (1, 29, 29)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    blurry = pictures(1, 3, 70, 90)
    (sharp,) = session(out / "model.onnx").run(["sharp"], {"blurry": blurry, "kernel": kernel})
    with torch.no_grad():
        expected = guided.network(torch.from_numpy(blurry), torch.from_numpy(kernel)).clamp(0, 1).numpy()
    assert np.abs(sharp - expected).max() < 1e-3


def test_probe_pictures_are_blurred_faces():
    blurry, clean = probe_pictures(2)
    again, _ = probe_pictures(2)
    assert np.array_equal(blurry, again)
    assert blurry.shape == clean.shape == (2, 3, 128, 128)
    assert blurry.dtype == clean.dtype == np.float32
    error = np.square(blurry - clean).mean()
    assert 0.03**2 / 2 < error < 0.1**2
    assert np.allclose(np.rint(blurry * 255), blurry * 255, atol=1e-4)
