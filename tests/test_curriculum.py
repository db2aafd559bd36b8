"""All stages in a row, from a dataset to a checkpoint that deblurs; and what is refused before it starts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import PATCH, build, write_blobs

import umsn.training.loop
from blurgen.building.build import build_dataset
from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from umsn import checkpoint
from umsn.checkpoint import load_networks
from umsn.nets import network_config
from umsn.restore.deblur import Deblurrer
from umsn.training import curriculum, stages
from umsn.training.curriculum import train
from umsn.training.loop import Stopped
from umsn.training.settings import Settings, chosen_preset
from umsn.training.stages import QUICK as QUICK_PRESET

QUICK = Settings(preset="quick", iterations=2, batch_size=2, seed=1)
ALONE = replace(QUICK, masks="labels", otherwise={"first_stage": False})
"""Stage umsn begins with no other."""
CPU = {"device": "cpu", "precision": "fp32", "quiet": True}
"""In one precision: which is faster may change from run to run."""


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
    assert about["networks"].keys() == {"network", "s_net", "confidence"}
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
    assert all(torch.allclose(clean[name], blurry[name], rtol=0, atol=1e-20) for name in clean)


def test_what_is_done_stays_as_it_is(datasets, run):
    before = {path.name: path.read_bytes() for path in run.glob("*.safetensors")}
    with pytest.raises(InputError, match=r"already holds a training of stage segmentation; .*resume=True"):
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
    (path,) = train(datasets["data"], tmp_path, ALONE, stage="umsn", **CPU)
    with pytest.raises(InputError, match="has no S-Net"):
        Deblurrer(path, "cpu")


def test_unlabelled_faces_do_where_s_nets_make_the_masks(datasets, run, tmp_path):
    train(datasets["plain"], tmp_path, QUICK, stage="umsn", start_from=run, **CPU)
    Deblurrer(tmp_path / "umsn.safetensors", "cpu")


def test_a_recipe_trains_like_its_shards(datasets, tmp_path):
    made = build(tmp_path / "recipe", 1, recipe_only=True).root
    for name, data in (("shards", datasets["data"]), ("recipe", made), ("device", made)):
        train(data, tmp_path / name, ALONE, stage="umsn", on_device=name == "device", **CPU)
    files = {(tmp_path / name / "umsn.safetensors").read_bytes() for name in ("shards", "recipe", "device")}
    assert len(files) == 1


def test_endless_data_is_new_data(datasets, tmp_path):
    # 2 iterations of 20 are more than the dataset's 24 samples.
    settings = replace(ALONE, batch_size=20)
    for name, endless in (("a", True), ("b", True), ("c", False)):
        train(datasets["data"], tmp_path / name, replace(settings, endless=endless), stage="umsn", **CPU)
    files = [(tmp_path / name / "umsn.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("data", "settings", "options", "message"),
    [
        ("data", Settings(), {}, "needs VGG-Face.*'vgg_face'.*perceptual=False"),
        (
            "data",
            QUICK,
            {"stage": "umsn"},
            "Stage umsn begins .*segmentation.safetensors.*masks='labels'",
        ),
        ("data", QUICK, {"stage": "segmentation-blurry"}, "begins with .*segmentation.safetensors: train"),
        (
            "data",
            replace(QUICK, masks="labels"),
            {"stage": "umsn"},
            "Stage umsn begins with .*first-stage-background.safetensors: train .*first_stage=False",
        ),
        (
            "data",
            replace(QUICK, variant="bnet", otherwise={"cn_repeats_third": True}),
            {},
            "'cn_repeats_third' does not act on variant 'bnet'; leave it out",
        ),
        (
            "data",
            QUICK,
            {"validate": "data"},
            r"shares with .*: folder:0.png and folder:0.png are the same file \(and 11 more\); validate on",
        ),
        ("data", QUICK, {"device": "cuda:99"}, "device='cuda:99' cannot be used here"),
        ("plain", QUICK, {}, "None of the faces of .* has labels"),
        ("plain", QUICK, {"stage": "first-stage"}, "has no set 'isolated/background'.*class_isolated=True"),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(datasets, tmp_path, data, settings, options, message):
    if "validate" in options:
        options = {**options, "validate": datasets[options["validate"]]}
    with pytest.raises((InputError, ValueError), match=message):
        train(datasets[data], tmp_path / "out", settings, **{**CPU, **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("top", [1, 2])
def test_one_kernel_of_the_training_in_the_validation_is_refused(datasets, tmp_path, top):
    bank = make_bank(count=2, min_size=15, max_size=15, seed=8, samples=200)
    bank.weights[1] = 0
    bank.weights[1, top : top + 13, 1:14] = open_dataset(datasets["data"]).bank.kernel(4)
    write_blobs(tmp_path / "faces", 8)
    source = parse_source(f"folder:{tmp_path / 'faces'}", min_side=46, patch_size=PATCH)
    held_out = build_dataset([source], bank, tmp_path / "held out", per_image=1, patch_size=PATCH)
    with pytest.raises(
        InputError, match=r"held out: shares with .*: kernels 1 and 4 are the same"
    ) as refused:
        train(datasets["data"], tmp_path / "out", QUICK, validate=held_out.root, **CPU)
    assert ("moved by" in str(refused.value)) == (top != 1)
    assert not (tmp_path / "out").exists()


class OnePerson:
    """Faces that are all of person 7."""

    def __init__(self, folder):
        write_blobs(folder, len(folder.name))
        self._faces = parse_source(f"folder:{folder}", min_side=44, patch_size=PATCH)
        self.spec, self.name, self.describe = self._faces.spec, self._faces.name, self._faces.describe

    def __len__(self):
        return len(self._faces)

    def read(self, i):
        return replace(self._faces.read(i), identity=7)


def test_one_person_in_validation_and_training_is_refused(tmp_path):
    trained_on, validated_on = (
        build_dataset(
            [OnePerson(tmp_path / name)],
            make_bank(count=2, min_size=13, max_size=13, seed=seed, samples=200),
            tmp_path / f"{name} data",
            per_image=1,
            patch_size=PATCH,
        ).root
        for seed, name in enumerate(("train", "held out"))
    )
    with pytest.raises(InputError, match=r"show the same person \(folder identity 7\); validate on"):
        train(trained_on, tmp_path / "out", QUICK, validate=validated_on, **CPU)


def test_a_batch_that_processes_cannot_share_is_refused(datasets, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(curriculum.dist, name, lambda *_: None)
    with pytest.raises(
        InputError, match=r"A batch of 2 of stage segmentation .* 3 processes; .*'batch_size'"
    ):
        train(datasets["data"], tmp_path / "out", QUICK, **CPU)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("when", ["learning_rate", "save_networks"])
def test_a_signal_in_the_last_iteration_of_a_stage_starts_no_other(datasets, tmp_path, monkeypatch, when):
    original, calls = getattr(umsn.training.loop, when), []

    def ask(*arguments):
        calls.append(1)
        # The rate is asked for in every iteration; networks are written after the last, with the state.
        if len(calls) == (2 if when == "learning_rate" else 1):
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(umsn.training.loop, when, ask)
        with pytest.raises(Stopped, match="after iteration 2 of 2 of stage first-stage-background"):
            train(datasets["data"], tmp_path, QUICK, stage="first-stage", **CPU)
    assert not (tmp_path / "first-stage-skin.state.safetensors").exists()
    done = (tmp_path / "first-stage-background.safetensors").read_bytes()
    assert len(train(datasets["data"], tmp_path, QUICK, stage="first-stage", resume=True, **CPU)) == 4
    assert (tmp_path / "first-stage-background.safetensors").read_bytes() == done


def test_a_stage_does_not_start_from_an_unfinished_one(datasets, run, tmp_path):
    shutil.copy(run / "segmentation.safetensors", tmp_path)
    tensors, about = checkpoint.load(tmp_path / "segmentation.safetensors", "networks")
    for key in ("format", "version", "kind"):
        about.pop(key)
    checkpoint.save(tmp_path / "segmentation.safetensors", "networks", tensors, {**about, "iteration": 1})
    with pytest.raises(InputError, match=r"segmentation.safetensors is of iteration 1 of 2; finish"):
        train(datasets["data"], tmp_path, QUICK, stage="segmentation-blurry", **CPU)


def test_all_stages_begin_with_those_just_trained_and_not_with_older_ones(datasets, run, tmp_path):
    """Whether the folder of earlier stages has others of these names, or nothing at all."""
    settings = replace(QUICK, seed=2)
    (tmp_path / "empty").mkdir()
    for name, start in (("others", run), ("none", tmp_path / "empty"), ("same", None)):
        train(datasets["data"], tmp_path / name, settings, start_from=start, **CPU)
    for stage in ("segmentation-blurry", "umsn"):
        _, about = checkpoint.load(tmp_path / "others" / f"{stage}.safetensors", "networks")
        for name, digest in about["starts_from"].items():
            data = (tmp_path / "others" / f"{name}.safetensors").read_bytes()
            assert digest == hashlib.sha256(data).hexdigest(), name
    files = [(tmp_path / name / "umsn.safetensors").read_bytes() for name in ("others", "none", "same")]
    assert len(set(files)) == 1


def test_networks_of_another_size_are_refused_before_anything_is_trained(datasets, run, tmp_path):
    other = replace(QUICK, networks="compact")
    for name, stage in (("segmentation", "segmentation-blurry"), ("first-stage-background", "umsn")):
        with pytest.raises(
            InputError, match=rf"{name}.safetensors is .* size 'quick',.* 'compact'; choose networks='quick'"
        ):
            train(datasets["data"], tmp_path / "out", other, stage=stage, start_from=run, **CPU)
    assert not (tmp_path / "out").exists()


def test_an_s_net_that_only_makes_masks_may_be_of_any_size(datasets, run, tmp_path):
    settings = replace(QUICK, networks="compact", otherwise={"first_stage": False})
    (path,) = train(datasets["data"], tmp_path, settings, stage="umsn", start_from=run, **CPU)
    networks = load_networks(path, torch.device("cpu"))
    widths = [networks[name].config.widths for name in ("network", "s_net")]
    wanted = (("umsn", "compact"), ("snet", "quick"))
    assert widths == [network_config(*each)["widths"] for each in wanted]
    assert widths[0] != widths[1]


def test_a_variant_without_f_nets_needs_none(datasets, run, tmp_path):
    for name in ("segmentation", "segmentation-blurry"):
        shutil.copy(run / f"{name}.safetensors", tmp_path)
    train(datasets["data"], tmp_path, replace(QUICK, variant="nested"), stage="umsn", **CPU)


def test_a_variant_s_checkpoint_names_no_difference_that_cannot_act(datasets, tmp_path):
    settings = Settings("released", "bnet", networks="quick", iterations=1, batch_size=2, perceptual=False)
    (path,) = train(datasets["data"], tmp_path, settings, stage="umsn", **CPU)
    found = checkpoint.load(path, "networks")[1]["stage"]["differences"]
    assert found["class_weights"] == [1, 1, 1, 1]
    assert (found["first_stage"], found["snet_batch_statistics"]) == (True, False)
    assert (found["step_every"], found["gradient_weight"]) == (2, 0.15)


@pytest.mark.parametrize("noise", ["recipe", 0.5])
def test_a_stage_is_scored_on_the_noise_it_is_trained_on(datasets, tmp_path, noise):
    settings = replace(ALONE, otherwise={"first_stage": False, "noise": noise})
    train(datasets["data"], tmp_path, settings, stage="umsn", validate=datasets["held out"], **CPU)
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scored = [line["validation_psnr_blurry"] for line in log if "validation_psnr_blurry" in line]
    # Noise of half of full scale, clipped to be scored, leaves less than 10 dB.
    assert (max(scored) < 12) == (noise == 0.5)


def test_a_file_in_the_place_of_the_folder_is_named(datasets, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out: cannot be made \(.*\); choose another folder"):
        train(datasets["data"], tmp_path / "out", QUICK, stage="segmentation", **CPU)


def build_with_unknown_pixels(folder):
    """Build a dataset of three faces; of one nearly all is of unknown class, of another a part."""
    write_blobs(folder / "faces", 4)
    for number, known in ((0, 30), (1, 50)):
        path = folder / "faces" / "labels" / f"{number}.png"
        labels = np.array(Image.open(path))
        labels[known:] = labels[:, known:] = 255
        Image.fromarray(labels).save(path)
    source = parse_source(f"folder:{folder / 'faces'}", min_side=44, patch_size=PATCH)
    bank = make_bank(count=3, min_size=13, max_size=13, seed=4, samples=200)
    return build_dataset([source], bank, folder / "data", per_image=8, patch_size=PATCH).root


def run_in_two_processes(program, ends=0):
    """Run Python code as torchrun runs it, and see both processes end as they should."""
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
    assert [process.wait(120) for process in processes] == [ends, ends]


def test_two_processes_train_like_one_with_the_joint_batch(tmp_path, monkeypatch):
    preset = replace(QUICK_PRESET, stages=(QUICK_PRESET.stages[0], QUICK_PRESET.stages[-1]), log_every=1)
    monkeypatch.setattr(stages, "PRESETS", {"quick": preset})
    settings = replace(ALONE, seed=0, iterations=4, batch_size=4, learning_rate=2e-4)
    data = build_with_unknown_pixels(tmp_path)
    train(data, tmp_path / "one", settings, **CPU)

    program = (
        "from dataclasses import replace\n"
        "from umsn.training import curriculum, stages\n"
        "from umsn.training.settings import Settings\n"
        "chosen = stages.QUICK.stages[0], stages.QUICK.stages[-1]\n"
        "stages.PRESETS = {'quick': replace(stages.QUICK, stages=chosen, log_every=1)}\n"
        f"curriculum.train({str(data)!r}, {str(tmp_path / 'two')!r}, {settings!r},"
        " device='cpu', precision='fp32', quiet=True)\n"
    )
    run_in_two_processes(program)

    logs = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    one, two = ([line["loss"] for line in map(json.loads, log) if "loss" in line] for log in logs)
    assert len(one) == 8
    assert two == pytest.approx(one, rel=1e-4)


def test_two_processes_killed_and_resumed_end_with_the_same_bits(datasets, tmp_path):
    def program(out, iterations, resume, then=""):
        return (
            "import os, signal\n"
            "from dataclasses import replace\n"
            "from umsn.training import curriculum, loop, stages\n"
            "from umsn.training.settings import Settings\n"
            "chosen = stages.QUICK.stages[0], stages.QUICK.stages[-1]\n"
            "preset = replace(stages.QUICK, stages=chosen, log_every=2, save_every=2)\n"
            "stages.PRESETS = {'quick': preset}\n"
            f"{then}"
            f"settings = {replace(ALONE, iterations=iterations, ema=0.9)!r}\n"
            f"curriculum.train({str(datasets['data'])!r}, {str(out)!r}, settings, device='cpu',"
            f" precision='fp32', quiet=True, resume={resume})\n"
        )

    run_in_two_processes(program(tmp_path / "whole", 5, False))
    killed = (
        "rate = loop.learning_rate\n"
        "def kill(plan, done):\n"
        "    if plan.stage.name == 'umsn' and done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rate(plan, done)\n"
        "loop.learning_rate = kill\n"
    )
    run_in_two_processes(program(tmp_path / "parts", 5, False, killed), ends=-signal.SIGKILL)
    _, about = checkpoint.load(tmp_path / "parts/umsn.state.safetensors", "training")
    assert about["iteration"] == 2
    run_in_two_processes(program(tmp_path / "parts", 5, True))
    for name in ("segmentation", "umsn"):
        for end in (".state", ""):
            file = f"{name}{end}.safetensors"
            assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_processes_that_do_not_see_the_same_folder_do_not_begin(datasets, tmp_path):
    """One that found no state would go on from the beginning, and the others from theirs."""
    program = (
        "import os\n"
        "from umsn.training import curriculum\n"
        "from umsn.training.settings import Settings\n"
        f"out = {str(tmp_path)!r} + '/node ' + os.environ['RANK']\n"
        "try:\n"
        f"    curriculum.train({str(datasets['data'])!r}, out, {QUICK!r}, stage='segmentation', device='cpu',"
        " quiet=True)\n"
        "except curriculum.InputError as error:\n"
        "    assert 'is not the same folder for all processes; choose one on a shared' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    run_in_two_processes(program)
    assert not [*tmp_path.glob("node */*"), *tmp_path.glob("node */.*")]


def test_a_compiler_that_fails_in_one_process_is_done_without_in_both(datasets, tmp_path):
    """And nobody waits for ever."""
    program = (
        "import os\n"
        "from torch import nn\n"
        "from umsn.training import curriculum\n"
        "from umsn.training.settings import Settings\n"
        "def plain(graph, example): return graph.forward\n"
        "def broken(graph, example): raise RuntimeError('no compiler')\n"
        "backend = broken if os.environ['RANK'] == '1' else plain\n"
        "compile_module = nn.Module.compile\n"
        "nn.Module.compile = lambda self: compile_module(self, backend=backend)\n"
        f"settings = {QUICK!r}\n"
        f"curriculum.train({str(datasets['data'])!r}, {str(tmp_path)!r}, settings, stage='segmentation',"
        " device='cpu', compile=True, quiet=True)\n"
    )
    run_in_two_processes(program)
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    (tried,) = [line for line in log if line.get("event") == "compile"]
    assert tried["why_not"] == "it does not work in another process"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "huge"),
        ("variant", "unet"),
        ("masks", "none"),
        ("iterations", 0),
        ("batch_size", -1),
        ("ema", 1.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("ema", float("nan")),
    ],
)
def test_wrong_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"Argument '{name}' must be "):
        Settings(**{name: value})


def test_s_nets_may_have_shards_of_their_own(datasets, tmp_path):
    """Where the other faces have no labels, and as the paper has it."""
    with pytest.raises(InputError, match=r"has labels, .* 'segmentation_shards'"):
        train(datasets["plain"], tmp_path / "refused", QUICK, stage="segmentation", **CPU)
    with pytest.raises(InputError, match="shares with"):
        other, held_out = datasets["held out"], datasets["held out"]
        settings = {"segmentation_shards": other, "validate": held_out, **CPU}
        train(datasets["data"], tmp_path / "leak", QUICK, stage="segmentation", **settings)
    for name in ("segmentation", "segmentation-blurry"):
        train(datasets["plain"], tmp_path, QUICK, stage=name, segmentation_shards=datasets["data"], **CPU)
    settings = replace(QUICK, otherwise={"first_stage": False})
    train(datasets["plain"], tmp_path, settings, stage="umsn", segmentation_shards=datasets["data"], **CPU)
    labelled, plain = (open_dataset(datasets[name]).recipe.to_json() for name in ("data", "plain"))
    for name, recipe in (("segmentation", labelled), ("segmentation-blurry", labelled), ("umsn", plain)):
        assert checkpoint.load(tmp_path / f"{name}.safetensors", "networks")[1]["data"] == recipe


def test_a_preset_that_does_without_vgg_face_uses_it_where_given():
    given = replace(Settings("compact"), vgg_face=Path("vgg_face.mat"))
    assert not chosen_preset(Settings("compact")).perceptual
    assert chosen_preset(given).perceptual
    assert not chosen_preset(replace(given, perceptual=False)).perceptual
    assert chosen_preset(Settings("paper")).perceptual
    assert (chosen_preset(given).ema, chosen_preset(replace(given, ema=0.5)).ema) == (0.999, 0.5)


def test_a_stage_begins_with_weights_of_the_same_network(datasets, run, tmp_path):
    """With the running average they have, which a rate of next to nothing leaves alone."""
    source = run / "umsn.safetensors"
    settings = replace(QUICK, learning_rate=1e-30, seed=5, masks="labels", otherwise={"first_stage": False})
    options = {"stage": "umsn", "weights": source, **CPU}
    (path,) = train(datasets["held out"], tmp_path / "tuned", settings, **options)
    before, after = (load_networks(p, torch.device("cpu"))["network"].state_dict() for p in (source, path))
    assert all(torch.allclose(before[name], after[name], rtol=0, atol=1e-20) for name in before)
    _, about = checkpoint.load(path, "networks")
    assert about["starts_from"]["weights"] == hashlib.sha256(source.read_bytes()).hexdigest()

    with pytest.raises(InputError, match=r"holds another network \('umsn'\) than .* \('bnet'"):
        train(datasets["data"], tmp_path / "other", replace(settings, variant="bnet"), **options)
    with pytest.raises(InputError, match="'weights' begins one stage; say which with 'stage'"):
        train(datasets["data"], tmp_path / "all", QUICK, weights=source, **CPU)


def test_fine_tuning_needs_nothing_but_the_checkpoint(datasets, run, tmp_path):
    """UMSN's has its S-Net and its confidence network; the stages before it need not be there."""
    source = run / "umsn.safetensors"
    settings = replace(QUICK, learning_rate=1e-30, seed=5)
    (path,) = train(datasets["held out"], tmp_path / "tuned", settings, stage="umsn", weights=source, **CPU)
    before, after = (load_networks(p, torch.device("cpu")) for p in (source, path))
    assert before.keys() == after.keys() == {"network", "s_net", "confidence"}
    for part, network in before.items():
        found = after[part].state_dict()
        for name, value in network.state_dict().items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-20)
    assert set(checkpoint.load(path, "networks")[1]["starts_from"]) == {"weights"}


def test_fine_tuning_asks_for_an_s_net_where_the_checkpoint_has_none(datasets, tmp_path):
    (source,) = train(datasets["data"], tmp_path / "first", ALONE, stage="umsn", **CPU)
    with pytest.raises(InputError, match=r"umsn begins with .*segmentation\.safetensors"):
        train(datasets["data"], tmp_path / "tuned", QUICK, stage="umsn", weights=source, **CPU)
