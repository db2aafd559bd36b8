"""Weights that come with the package, and how they are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from blurgen.errors import InputError
from blurgen_cli.umsn import main
from umsn import checkpoint
from umsn.nets import build_network, config_of, network_name
from umsn.restore.deblur import Deblurrer, Segmenter
from umsn.weights import shipped as weights
from umsn.weights.export import export_weights

TINY = {"width": 4, "blocks": 1, "last_width": 4}
TINY_UMSN = {**TINY, "class_width": 2, "class_blocks": 1, "class_channels": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    networks = {
        "network": build_network("umsn", TINY_UMSN),
        "s_net": build_network("snet", TINY),
        "confidence": build_network("confidence", {"width": 2, "stages": 2}),
    }
    tensors, made = {}, {}
    for name, network in networks.items():
        tensors |= checkpoint.with_prefix(name, network.state_dict())
        made[name] = {"name": network_name(network), "config": config_of(network)}
    path = tmp_path_factory.mktemp("trained") / "umsn.safetensors"
    checkpoint.save(path, "networks", tensors, {"networks": made, "variant": "umsn", "seed": 7})
    return path


def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)


def test_exported_weights_do_what_the_checkpoint_does(trained, tmp_path):
    out = tmp_path / "deblur.safetensors"
    card = export_weights(trained, out, {"name": "tiny", "licence": "MIT"})
    assert card["precision"] == "float16" and card["parameters"].keys() == {"network", "s_net"}
    about = checkpoint.read_header(out, "networks").about
    assert about["card"] == card and about["networks"].keys() == {"network", "s_net"}
    assert (about["variant"], about["seed"]) == ("umsn", 7)
    assert out.stat().st_size < 0.7 * trained.stat().st_size
    before, after = (Deblurrer(path, "cpu")(picture()).astype(int) for path in (trained, out))
    # A pixel whose two likeliest classes are as good as equal may change its mask.
    assert np.quantile(np.abs(before - after), 0.99) <= 1
    assert Segmenter(out, "cpu")(picture()).shape == (40, 48)


def test_a_card_says_only_what_cards_say(trained, tmp_path):
    with pytest.raises(InputError, match="no entry 'colour'; there are name, description"):
        export_weights(trained, tmp_path / "a.safetensors", {"colour": "red"})
    assert not list(tmp_path.iterdir())


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(weights, "FOLDER", folder)
    return folder


def test_without_weights_the_remedy_is_named(shipped):
    with pytest.raises(InputError, match=r"No weights to deblur .* checkpoint='RUN/umsn\.safetensors"):
        weights.default_checkpoint("deblur")
    with pytest.raises(InputError, match=r"No weights to segment .* checkpoint='RUN/segmentation\.safet"):
        weights.default_checkpoint("segment")
    assert weights.shipped_checkpoint("deblur") is None
    with pytest.raises(ValueError, match="'task' must be one of deblur, segment, not 'train'"):
        weights.default_checkpoint("train")


def test_the_s_net_of_a_deblurring_network_segments(shipped, trained):
    export_weights(trained, shipped / "deblur.safetensors")
    assert weights.default_checkpoint("segment") == shipped / "deblur.safetensors"
    export_weights(trained, shipped / "segment.safetensors")
    assert weights.default_checkpoint("segment") == shipped / "segment.safetensors"
    assert weights.default_checkpoint("deblur") == shipped / "deblur.safetensors"


def test_the_commands_use_them_by_default(shipped, trained, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--device", "cpu", "--out"]
    done = CliRunner().invoke(main, ["deblur", "--no-align", *words, str(tmp_path / "out")])
    assert done.exit_code == 2 and "No weights to deblur come with this version" in done.stderr
    done = CliRunner().invoke(
        main,
        ["export-weights", str(trained), "--out", str(shipped / "deblur.safetensors"), "--card", "name=x"],
    )
    assert done.exit_code == 0 and "deblur.safetensors: " in done.stdout
    done = CliRunner().invoke(main, ["deblur", "--no-align", *words, str(tmp_path / "sharp")])
    assert (done.exit_code, done.stderr) == (0, "")
    expected = Deblurrer(trained, "cpu")(picture()).astype(int)
    found = np.asarray(Image.open(tmp_path / "sharp" / "a.png"))
    assert np.quantile(np.abs(found - expected), 0.99) <= 1
    done = CliRunner().invoke(main, ["segment", *words, str(tmp_path / "labels")])
    assert (done.exit_code, done.stderr) == (0, "")


def test_weights_in_the_package_are_small_and_say_what_they_are():
    for path in weights.FOLDER.glob("*.safetensors"):
        assert path.stat().st_size <= weights.MOST_BYTES
        card = checkpoint.read_header(path, "networks").about["card"]
        assert {"name", "training_data", "licence"} <= card.keys()
