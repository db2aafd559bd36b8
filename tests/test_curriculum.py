"""All stages in a row, from a dataset to a checkpoint that deblurs; and what is refused before it starts."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small_training import build

from blurgen.errors import InputError
from umsn import checkpoint, curriculum
from umsn.curriculum import Settings, train
from umsn.deblur import Deblurrer, load_networks
from umsn.stages import QUICK as QUICK_PRESET

QUICK = Settings(preset="quick", iterations=2, batch_size=2, seed=1)
CPU = {"device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two labelled datasets that share nothing, and an unlabelled one."""
    folder = tmp_path_factory.mktemp("curriculum")
    return {
        name: build(folder / name, seed, labelled=labelled).root
        for name, seed, labelled in (("data", 1, True), ("held out", 2, True), ("plain", 3, False))
    }


@pytest.fixture(scope="module")
def run(datasets, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train(datasets["data"], out, QUICK, validate=datasets["held out"], **CPU)
    return out


def test_every_stage_leaves_its_checkpoint(run):
    for name in (
        "segmentation",
        "segmentation-blurry",
        "first-stage-background",
        "first-stage-skin",
        "first-stage-features",
        "first-stage-hair",
        "umsn",
    ):
        assert checkpoint.load(run / f"{name}.safetensors", "networks")[1]["iteration"] == 2
        assert checkpoint.load(run / f"{name}.best.safetensors", "networks")[1]["score"] is not None
        assert checkpoint.load(run / f"{name}.state.safetensors", "training")[1]["iteration"] == 2


def test_the_checkpoint_says_what_it_was_made_from(run):
    _, about = checkpoint.load(run / "umsn.safetensors", "networks")
    assert about["preset"] == "quick"
    assert about["variant"] == "umsn"
    assert about["masks"] == "snet"
    assert about["perceptual"] is None
    assert about["data"]["patch_size"] == 32
    assert about["networks"].keys() == {"network", "s_net"}
    assert set(about["starts_from"]) >= {"segmentation", "segmentation-blurry", "first-stage-hair"}


def test_umsn_starts_with_the_f_nets_of_the_first_stage(datasets, run, tmp_path):
    # A learning rate of next to nothing leaves the weights where they started.
    train(
        datasets["data"], tmp_path, replace(QUICK, learning_rate=1e-30), stage="umsn", start_from=run, **CPU
    )
    umsn = load_networks(tmp_path / "umsn.safetensors", torch.device("cpu"))["network"]
    for number, name in enumerate(("background", "skin", "features", "hair")):
        first = load_networks(run / f"first-stage-{name}.safetensors", torch.device("cpu"))["network"]
        for ours, theirs in zip(umsn.f_nets[number].parameters(), first.f_net.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_segmentation_on_blurry_images_starts_with_the_one_on_clean(datasets, run, tmp_path):
    settings = replace(QUICK, learning_rate=1e-30)
    train(datasets["data"], tmp_path, settings, stage="segmentation-blurry", start_from=run, **CPU)
    clean, blurry = (
        checkpoint.load(folder / f"{name}.safetensors", "networks")[0]
        for folder, name in ((run, "segmentation"), (tmp_path, "segmentation-blurry"))
    )
    assert all(torch.equal(clean[name], blurry[name]) for name in clean)


def test_what_is_done_stays_as_it_is(datasets, run):
    before = {path.name: path.read_bytes() for path in run.glob("*.safetensors")}
    with pytest.raises(InputError, match="already holds a training of stage segmentation; add --resume"):
        train(datasets["data"], run, QUICK, **CPU)
    train(datasets["data"], run, QUICK, validate=datasets["held out"], resume=True, **CPU)
    assert before == {path.name: path.read_bytes() for path in run.glob("*.safetensors")}


@pytest.mark.parametrize("variant", ["bnet", "masks", "nested", "umsn-no-confidence"])
def test_every_row_of_table_vi_trains(datasets, run, tmp_path, variant):
    settings = replace(QUICK, variant=variant)
    (path,) = train(datasets["data"], tmp_path, settings, stage="umsn", start_from=run, **CPU)
    assert path.name == f"{variant}.safetensors"
    _, about = checkpoint.load(path, "networks")
    assert about["stage"]["losses"] == {"l1": 1.0}
    assert ("s_net" in about["networks"]) == (variant != "bnet")
    Deblurrer(path, "cpu")


def test_masks_from_the_shards_need_no_s_net(datasets, tmp_path):
    settings = replace(QUICK, masks="labels")
    (path,) = train(datasets["data"], tmp_path, settings, stage="umsn", **CPU)
    with pytest.raises(InputError, match="has no S-Net"):
        Deblurrer(path, "cpu")


def test_unlabelled_faces_do_where_s_nets_make_the_masks(datasets, run, tmp_path):
    train(datasets["plain"], tmp_path, QUICK, stage="umsn", start_from=run, **CPU)
    Deblurrer(tmp_path / "umsn.safetensors", "cpu")


def test_a_recipe_trains_like_its_shards(datasets, tmp_path):
    made = build(tmp_path / "recipe", 1, recipe_only=True).root
    settings = replace(QUICK, masks="labels")
    for name, data in (("shards", datasets["data"]), ("recipe", made), ("device", made)):
        train(data, tmp_path / name, settings, stage="umsn", on_device=name == "device", **CPU)
    files = {(tmp_path / name / "umsn.safetensors").read_bytes() for name in ("shards", "recipe", "device")}
    assert len(files) == 1


def test_endless_data_is_new_data(datasets, tmp_path):
    # 2 iterations of 20 are more than the dataset's 24 samples.
    settings = replace(QUICK, masks="labels", batch_size=20)
    for name, endless in (("a", True), ("b", True), ("c", False)):
        train(datasets["data"], tmp_path / name, replace(settings, endless=endless), stage="umsn", **CPU)
    files = [(tmp_path / name / "umsn.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("data", "settings", "options", "message"),
    [
        ("data", Settings(), {}, "needs VGG-Face.*--vgg-face.*--no-perceptual"),
        ("data", QUICK, {"stage": "umsn"}, "Stage umsn needs .*segmentation.safetensors.*--masks labels"),
        ("data", QUICK, {"stage": "segmentation-blurry"}, "needs .*segmentation.safetensors: train"),
        ("data", QUICK, {"validate": "data"}, "3 faces of .* are in .* too"),
        ("data", QUICK, {"device": "cuda:99"}, "--device cuda:99 cannot be used here"),
        ("plain", QUICK, {}, "None of the faces of .* has labels"),
        ("plain", QUICK, {"stage": "first-stage"}, "has no set 'isolated/background'.*--class-isolated"),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(datasets, tmp_path, data, settings, options, message):
    if "validate" in options:
        options = {**options, "validate": datasets[options["validate"]]}
    with pytest.raises((InputError, ValueError), match=message):
        train(datasets[data], tmp_path / "out", settings, **{**CPU, **options})
    assert not (tmp_path / "out").exists()


def test_a_stage_does_not_start_from_an_unfinished_one(datasets, run, tmp_path):
    shutil.copy(run / "segmentation.safetensors", tmp_path)
    tensors, about = checkpoint.load(tmp_path / "segmentation.safetensors", "networks")
    for key in ("format", "version", "kind"):
        about.pop(key)
    checkpoint.save(tmp_path / "segmentation.safetensors", "networks", tensors, {**about, "iteration": 1})
    with pytest.raises(InputError, match=r"segmentation.safetensors is of iteration 1 of 2; finish"):
        train(datasets["data"], tmp_path, QUICK, stage="segmentation-blurry", **CPU)


def test_two_processes_train_like_one_with_the_joint_batch(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(curriculum, "PRESETS", {"quick": replace(QUICK_PRESET, log_every=1)})
    settings = Settings("quick", masks="labels", iterations=4, batch_size=4, learning_rate=2e-4)
    train(datasets["data"], tmp_path / "one", settings, stage="umsn", **CPU)

    program = (
        "from dataclasses import replace\n"
        "from umsn import curriculum, stages\n"
        "from umsn.curriculum import Settings\n"
        "curriculum.PRESETS = {'quick': replace(stages.QUICK, log_every=1)}\n"
        f"curriculum.train({str(datasets['data'])!r}, {str(tmp_path / 'two')!r}, {settings!r},"
        " stage='umsn', device='cpu', quiet=True)\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    # What torchrun tells its processes.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, **address, "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"},
        )
        for rank in "01"
    ]
    assert [process.wait(120) for process in processes] == [0, 0]

    logs = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    one, two = ([json.loads(line)["loss"] for line in log[1:]] for log in logs)
    assert len(one) == 4
    assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "huge"),
        ("variant", "unet"),
        ("masks", "none"),
        ("iterations", 0),
        ("batch_size", -1),
        ("ema", 1.0),
    ],
)
def test_wrong_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"Argument '{name}' must be "):
        Settings(**{name: value})
