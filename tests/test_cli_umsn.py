"""The command line: what it prints, what it leaves, how it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from small_training import build

from blurgen_cli.umsn import main
from umsn.nets import KERNEL_GUIDED, SIZES, VARIANTS
from umsn.training.loop import Stopped
from umsn.training.stages import COMPACT, PAPER, PRESETS

CHOICES = {
    "stage": PAPER.choices + tuple(stage.name for stage in COMPACT.kernel_stages),
    "preset": tuple(PRESETS),
    "variant": (*VARIANTS, KERNEL_GUIDED),
    "networks": SIZES,
}
QUICK = ["--preset", "quick", "--iterations", "2", "--batch-size", "2", "--device", "cpu"]


def umsn(capsys, *arguments):
    """Run the command; return exit status, output and error output."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return build(tmp_path_factory.mktemp("cli"), 1).root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli run")
    with pytest.raises(SystemExit):
        main([str(a) for a in ("train", "--shards", data, "--out", out, *QUICK)])
    return out


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (45, 61, 3)).astype(np.uint8)).save(path)
    return path


def test_from_photograph_to_photograph(capsys, run, photo, tmp_path):
    status, printed, _ = umsn(
        capsys,
        "deblur",
        photo,
        "--checkpoint",
        run / "umsn.safetensors",
        "--out",
        tmp_path / "sharp",
        "--device",
        "cpu",
    )
    assert status == 0
    assert printed.strip() == str(tmp_path / "sharp" / "photo.png")
    assert Image.open(tmp_path / "sharp" / "photo.png").size == (61, 45)


def test_segment_writes_a_label_map(capsys, run, photo, tmp_path):
    arguments = [
        "--checkpoint",
        run / "segmentation.safetensors",
        "--out",
        tmp_path / "maps",
        "--device",
        "cpu",
    ]
    assert umsn(capsys, "segment", photo, *arguments)[0] == 0
    labels = Image.open(tmp_path / "maps" / "photo.png")
    assert labels.mode == "L"
    assert labels.size == (61, 45)


def test_train_prints_the_checkpoints_and_refuses_to_overwrite(capsys, data, run, tmp_path):
    arguments = ["train", "--shards", data, *QUICK, "--stage", "segmentation"]
    status, printed, _ = umsn(capsys, *arguments, "--out", tmp_path)
    assert (status, printed.strip()) == (0, str(tmp_path / "segmentation.safetensors"))
    status, _, error = umsn(capsys, *arguments, "--out", tmp_path)
    assert status == 2
    assert "--resume" in error
    assert umsn(capsys, *arguments, "--out", tmp_path, "--resume")[0] == 0


def test_a_signal_ends_it_with_its_state_saved(capsys, data, tmp_path, monkeypatch):
    def ask(plan, done):
        os.kill(os.getpid(), signal.SIGTERM)
        return 1e-3

    arguments = ["train", "--shards", data, *QUICK, "--stage", "segmentation", "--out", tmp_path]
    with monkeypatch.context() as patched:
        patched.setattr("umsn.training.loop.learning_rate", ask)
        status, _, error = umsn(capsys, *arguments)
    assert status == 130
    assert error.strip().splitlines()[-1] == (
        "Stopped after iteration 1 of 2 of stage segmentation. Go on with --resume."
    )
    assert umsn(capsys, *arguments, "--resume")[0] == 0


@pytest.mark.parametrize(("rank", "said"), [("0", True), ("1", False)])
@pytest.mark.parametrize("stopped", [True, False])
def test_of_several_processes_one_speaks(capsys, monkeypatch, rank, said, stopped):
    def train(*_, **__):
        if stopped:
            raise Stopped("Stopped after iteration 1 of 2 of stage umsn.")
        return ["run/umsn.safetensors"]

    monkeypatch.setattr("umsn.training.curriculum.train", train)
    monkeypatch.setenv("RANK", rank)
    status, printed, error = umsn(capsys, "train", "--shards", "data", "--out", "run")
    assert status == (130 if stopped else 0)
    assert bool(printed) == (said and not stopped)
    assert bool(error) == (said and stopped)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--shards", "none", "--out", "run"], "none"),
        (["train", "--shards", "{data}", "--out", "run"], "--no-perceptual"),
        (["train", "--shards", "{data}", "--out", "run", "--stage", "unet", *QUICK], "unet"),
        (["train", "--shards", "{data}", "--out", "run", "--stage", "umsn", *QUICK], "--masks labels"),
        *(
            (["train", "--shards", "{data}", "--out", "run", *option.split(), number], "finite number")
            for number in ("inf", "nan")
            for option in (
                *("--learning-rate", "--confidence-lambda", "--class-weights 1 1 1"),
                *("--gradient-weight", "--half-scale-weight", "--half-scale-gradient-weight"),
            )
        ),
        (["train", "--shards", "{data}", "--out", "run", *QUICK, "--noise", "nan"], "finite number"),
        (["train", "--shards", "{data}", "--out", "run", *QUICK, "--ema", "nan"], "finite number"),
        (["train", "--shards", "{data}", "--out", "{photo}", *QUICK], "cannot be made (File exists)"),
        (
            ["deblur", "{photo}", "--checkpoint", "{run}/umsn.safetensors", "--out", "{run}/metrics.jsonl"],
            "cannot be made (File exists)",
        ),
        (["deblur", "none.png", "--checkpoint", "{run}/umsn.safetensors", "--out", "o"], "none.png"),
        (["deblur", "{photo}", "--checkpoint", "{photo}", "--out", "o"], "is not a umsn checkpoint"),
        (["deblur", "{photo}", "--checkpoint", "none", "--out", "o"], "no such checkpoint"),
        (
            ["deblur", "{run}/metrics.jsonl", "--checkpoint", "{run}/umsn.safetensors", "--out", "o"],
            "metrics.jsonl",
        ),
        (
            ["segment", "{photo}", "--checkpoint", "{run}/first-stage-skin.safetensors", "--out", "o"],
            "no S-Net",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    capsys, monkeypatch, tmp_path, data, run, photo, arguments, message
):
    monkeypatch.chdir(tmp_path)
    filled = [argument.format(data=data, run=run, photo=photo) for argument in arguments]
    status, _, error = umsn(capsys, *filled)
    assert status == 2
    assert message in error
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "run").exists()


def test_the_choices_are_those_of_the_library():
    command = main.commands["train"]
    options = command.get_params(click.Context(command))
    choices = {option.name: option.type.choices for option in options if option.name in CHOICES}
    assert {name: tuple(values) for name, values in choices.items()} == CHOICES


def test_help_is_quick_to_load():
    # Nothing heavy is imported before a command runs.
    program = "import sys, blurgen_cli.umsn; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_demo_ends_with_ctrl_c_as_it_says(monkeypatch, tmp_path):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("umsn.export.web_page.export_web", lambda *_, **__: tmp_path)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", stopped)
    done = CliRunner().invoke(main, ["demo", "--port", "0"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("in a browser; end with Ctrl-C.\n")
