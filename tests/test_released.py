"""The differences of the authors' code: all of them in a preset, and each on its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import fields, replace

import pytest
import torch
from small_training import build

import umsn.training.loop
from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen_cli.umsn import main
from umsn import checkpoint
from umsn.checkpoint import load_networks
from umsn.nets import variants
from umsn.nets.confidence import ConfidenceNetConfig
from umsn.nets.first_stage import FirstStageConfig
from umsn.nets.segmentation import SNetConfig
from umsn.nets.umsn import UMSNConfig
from umsn.restore.deblur import Deblurrer
from umsn.runs import folder as run_folder
from umsn.training.curriculum import train
from umsn.training.differences import Differences
from umsn.training.loop import Stopped
from umsn.training.settings import Settings
from umsn.training.stages import RELEASED

CPU = {"device": "cpu", "quiet": True, "precision": "fp32"}
RELEASED_SETTINGS = Settings("released", iterations=4, batch_size=3, perceptual=False, seed=1)
PAPER_SETTINGS = replace(RELEASED_SETTINGS, preset="paper", masks="labels", otherwise={"first_stage": False})
OTHERWISE = {
    "noise": 0.01,
    "step_every": 2,
    "class_weights": (1.2, 1.2, 3.6, 1.2),
    "confidence_lambda": 0.0075,
    "gradient_weight": 0.15,
    "half_scale_weight": 0.33,
    "half_scale_gradient_weight": 0.08,
    "first_stage": False,
    "snet_batch_statistics": True,
    "cn_repeats_third": True,
}
"""Every difference, otherwise than in the paper."""


@pytest.fixture(scope="module", autouse=True)
def _narrow_networks():
    """The networks of the paper's size, narrower: the compact ones normalise nothing."""
    trunk = {"width": 4, "blocks": 1, "last_width": 4}
    classes = {"class_width": 2, "class_blocks": 1, "class_channels": 2}
    configs = {
        "snet": SNetConfig(**trunk),
        "first-stage": FirstStageConfig(width=2, blocks=1, out_channels=2, last_width=4),
        "umsn": UMSNConfig(**trunk, **classes),
        "confidence": ConfidenceNetConfig(width=3),
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(variants, "_paper_configs", lambda: configs)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return build(tmp_path_factory.mktemp("released"), 1).root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train(data, out, RELEASED_SETTINGS, **CPU)
    return out


def test_the_preset_trains_from_a_dataset_to_a_checkpoint_that_deblurs(run):
    names = sorted(path.name for path in run.glob("*.state.safetensors"))
    # The first stage is dead.
    assert names == [f"{s}.state.safetensors" for s in ("segmentation-blurry", "segmentation", "umsn")]
    Deblurrer(run / "umsn.safetensors", "cpu")


def test_checkpoint_and_log_say_what_was_done(run):
    _, about = checkpoint.load(run / "umsn.safetensors", "networks")
    expected = json.loads(json.dumps(fields_of(RELEASED.differences)))
    assert about["stage"]["differences"] == expected
    assert (about["preset"], about["stage"]["schedule"], about["epoch"]) == ("released", "halving", 1)
    assert set(about["stage"]["losses"]) == {
        "confidence",
        "gradient",
        "half_scale",
        "half_scale_gradient",
    }
    started = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (start,) = [line for line in started if line.get("event") == "start" and line["stage"] == "umsn"]
    assert start["about"]["stage"]["differences"] == expected
    measured = [line for line in started if line["stage"] == "umsn" and "loss" in line]
    weighted = sum(weight * measured[-1][name] for name, weight in about["stage"]["losses"].items())
    assert measured[-1]["loss"] == pytest.approx(weighted)


def fields_of(differences):
    return {each.name: getattr(differences, each.name) for each in fields(Differences)}


def test_the_networks_are_as_in_the_released_code(run):
    s_net = load_networks(run / "umsn.safetensors", torch.device("cpu"))["s_net"]
    assert s_net.config.batch_statistics
    confidence = run_folder.confidence_network(run / "umsn.safetensors", torch.device("cpu"))
    assert confidence.config.repeats_third
    state, _ = checkpoint.load(run / "umsn.state.safetensors", "training")
    assert "adam.confidence.stages.1.conv1.weight.exp_avg" in state
    assert "adam.confidence.stages.2.conv1.weight.exp_avg" not in state


def test_stopped_and_resumed_it_ends_with_the_same_bits(data, run, tmp_path, monkeypatch):
    for name in ("segmentation", "segmentation-blurry"):
        shutil.copy(run / f"{name}.safetensors", tmp_path)
    rate = umsn.training.loop.learning_rate

    def ask(plan, done):
        # After an iteration without a step.
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return rate(plan, done)

    with monkeypatch.context() as patched:
        patched.setattr(umsn.training.loop, "learning_rate", ask)
        with pytest.raises(Stopped, match="after iteration 2 of 4"):
            train(data, tmp_path, RELEASED_SETTINGS, stage="umsn", **CPU)
    train(data, tmp_path, RELEASED_SETTINGS, stage="umsn", resume=True, **CPU)
    for name in ("umsn.state.safetensors", "umsn.safetensors"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


@pytest.fixture(scope="module")
def paper(data, tmp_path_factory):
    """The paper's UMSN on labels, resumable."""
    out = tmp_path_factory.mktemp("paper")
    train(data, out, PAPER_SETTINGS, stage="umsn", **CPU)
    return out


def test_every_difference_is_tried():
    assert OTHERWISE.keys() == fields_of(Differences()).keys()


@pytest.mark.parametrize("name", [n for n in OTHERWISE if n not in ("first_stage", "snet_batch_statistics")])
def test_the_paper_with_one_difference(data, paper, tmp_path, name):
    settings = replace(PAPER_SETTINGS, otherwise={"first_stage": False, name: OTHERWISE[name]})
    train(data, tmp_path, settings, stage="umsn", **CPU)
    _, about = checkpoint.load(tmp_path / "umsn.safetensors", "networks")
    expected = {**fields_of(Differences()), "first_stage": False, name: OTHERWISE[name]}
    assert about["stage"]["differences"] == json.loads(json.dumps(expected))
    # It makes a difference, and one training is not resumed as the other.
    states = [checkpoint.load(d / "umsn.state.safetensors", "training")[0] for d in (tmp_path, paper)]
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[1] if key in states[0])
    with pytest.raises(InputError, match=r"umsn.state.safetensors was trained with stage\.\S*"):
        train(data, paper, settings, stage="umsn", resume=True, **CPU)


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_released_preset_without_one_difference(name):
    settings = replace(RELEASED_SETTINGS, otherwise={name: getattr(Differences(), name)})
    assert settings.differences == replace(RELEASED.differences, **{name: getattr(Differences(), name)})


def test_the_schedule_is_a_switch_of_its_own(data, paper, tmp_path):
    settings = replace(PAPER_SETTINGS, schedule="halving")
    train(data, tmp_path, settings, stage="umsn", **CPU)
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    # Three faces in batches of three: each iteration is an epoch, this one the fourth.
    assert [line["learning_rate"] for line in logged if "loss" in line] == [pytest.approx(2e-4 * 396 / 400)]
    with pytest.raises(InputError, match="was trained with epoch = None, not 1"):
        train(data, paper, settings, stage="umsn", resume=True, **CPU)


def test_without_first_stage_umsn_begins_untrained_beside_its_checkpoints(data, tmp_path):
    settings = replace(PAPER_SETTINGS, iterations=1)
    train(data, tmp_path, settings, stage="first-stage", **CPU)
    settings = replace(settings, learning_rate=1e-30)
    for name, first_stage in (("with", True), ("without", False)):
        chosen = replace(settings, otherwise={"first_stage": first_stage})
        train(data, tmp_path / name, chosen, stage="umsn", start_from=tmp_path, **CPU)
    firsts = load_networks(tmp_path / "first-stage-skin.safetensors", torch.device("cpu"))["network"]
    for name in ("with", "without"):
        f_nets = load_networks(tmp_path / name / "umsn.safetensors", torch.device("cpu"))["network"].f_nets
        same = all(
            torch.equal(a, b) for a, b in zip(f_nets[1].parameters(), firsts.f_net.parameters(), strict=True)
        )
        assert same == (name == "with")


def test_s_nets_of_the_other_kind_are_refused(data, run, tmp_path):
    with pytest.raises(
        InputError, match=r"segmentation\S*.safetensors was trained with snet_batch_statistics=True; choose"
    ):
        settings = replace(RELEASED_SETTINGS, otherwise={"snet_batch_statistics": False})
        train(data, tmp_path, settings, stage="umsn", start_from=run, **CPU)


def test_float_noise_needs_no_shards_and_ignores_the_noise_of_the_recipe(data, tmp_path):
    settings = replace(PAPER_SETTINGS, otherwise={"first_stage": False, "noise": 0.0})
    made = build(tmp_path / "recipe", 1, recipe_only=True)
    assert made.recipe.noise_sigma == 0.03
    for name, root in (("shards", data), ("recipe", made.root)):
        train(root, tmp_path / name, settings, stage="umsn", **CPU)
    files = [(tmp_path / name / "umsn.safetensors").read_bytes() for name in ("shards", "recipe")]
    assert files[0] == files[1]
    assert open_dataset(data).recipe.noise_sigma == 0.03


def test_the_command_line_has_a_switch_for_each(data, tmp_path):
    arguments = [
        *("--noise", "0.01", "--step-every", "2", "--class-weights", "1.2", "1.2", "3.6", "1.2"),
        *("--confidence-lambda", "0.0075", "--gradient-weight", "0.15", "--half-scale-weight", "0.33"),
        *("--half-scale-gradient-weight", "0.08", "--no-first-stage", "--snet-batch-statistics"),
        *("--cn-repeats-third", "--schedule", "halving"),
    ]
    command = ["train", "--shards", data, "--out", tmp_path, "--precision", "fp32", "--device", "cpu"]
    command += ["--stage", "umsn", "--masks", "labels", "--no-perceptual", "--iterations", "1"]
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in command + arguments])
    assert not ended.value.code
    _, about = checkpoint.load(tmp_path / "umsn.safetensors", "networks")
    assert about["stage"]["differences"] == json.loads(json.dumps(OTHERWISE))
    assert about["stage"]["schedule"] == "halving"


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--noise", "loud"], "'loud'"), (["--noise", "2"], "range 0 to 1")]
)
def test_noise_that_cannot_be_is_named(data, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in ("train", "--shards", data, "--out", tmp_path / "out", *arguments)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_statistics_over_the_batch_are_refused_where_nothing_is_normalised(data, tmp_path):
    with pytest.raises(InputError, match=r"size 'quick' do not normalise; add snet_batch_statistics=False"):
        train(data, tmp_path, replace(RELEASED_SETTINGS, networks="quick"), stage="segmentation", **CPU)
