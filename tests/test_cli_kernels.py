"""The commands around kernels, run as a user runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from blurgen.kernels.bank import KernelBank, make_bank
from blurgen_cli.blurgen import main
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.kernels import import_kernels, kernel_info, make_kernels


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = OneLineErrors(
        "blurgen", commands={"make-kernels": make_kernels, "import-kernels": import_kernels}
    )
    return lambda *words: CliRunner().invoke(group, [str(word) for word in words])


def test_make_kernels_writes_the_bank_of_the_library(run, tmp_path):
    done = run("make-kernels", "--out", "k.h5", "--count", 30, "--samples", 80, "--seed", 5, "--max-size", 17)
    assert done.exit_code == 0, done.output
    bank = KernelBank.load(tmp_path / "k.h5")
    assert bank.digest == make_bank(30, 13, 17, samples=80, seed=5).digest
    assert f"k.h5: 30 camera3d kernels, 13 to 17 pixels, digest {bank.digest}" in done.output


def test_make_kernels_draws_a_gallery(run, tmp_path):
    done = run("make-kernels", "--out", "k.h5", "--count", 9, "--samples", 80, "--preview", "sheet.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--min-size", 14), "Error: --min-size must be odd, 3 to 101, not 14."),
        (("--max-size", 11), "Error: --min-size must not be above --max-size (11), not 13."),
        (("--count", -1), "Invalid value for '--count': -1 is not in the range 1 to 16,777,216."),
        (("--exposure", 2), "Invalid value for '--exposure': 2.0 is not in the range 0.01 to 1."),
        (("--model", "brownian"), "'brownian' is not one of"),
        (("--out", "nowhere/k.h5"), "Error: Cannot write nowhere/k.h5: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words, message, run, tmp_path):
    done = run("make-kernels", "--out", "k.h5", "--count", 9, "--samples", 60, *words)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "k.h5").exists()


def test_import_kernels_reports_the_offset(run, tmp_path):
    kernel = np.zeros((9, 9))
    kernel[2, 4] = 1
    np.save(tmp_path / "k.npy", kernel)
    done = run("import-kernels", "k.npy", "--out", "k.h5")
    assert done.exit_code == 0, done.output
    assert "lay 2.00 (median) to 2.00 px off the centre; --center mass moves them there." in done.output
    done = run("import-kernels", "k.npy", "--out", "k.h5", "--center", "mass", "--preview", "k.png")
    assert "were moved there" in done.output
    assert KernelBank.load(tmp_path / "k.h5").kernel(0)[1, 1] == 32768
    assert (tmp_path / "k.png").exists()


def test_importing_what_is_not_there_is_one_line_and_status_2(run):
    done = run("import-kernels", "absent.mat", "--out", "k.h5")
    assert done.exit_code == 2
    assert done.output == "Error: absent.mat: there is no such file or folder.\n"


def test_info_as_text_as_json_and_as_a_plot(tmp_path, capsys):
    make_bank(18, samples=60).save(tmp_path / "k.h5")
    kernel_info(str(tmp_path / "k.h5"), as_json=False, plot=None)
    assert "18 kernels up to 29 x 29" in capsys.readouterr().out
    kernel_info(str(tmp_path / "k.h5"), as_json=True, plot=str(tmp_path / "p.png"))
    assert json.loads(capsys.readouterr().out)["made_with"]["model"] == "camera3d"
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize("flag", ["--out", "--preview"])
def test_nothing_is_made_that_could_not_be_written(flag, tmp_path, monkeypatch):
    monkeypatch.setattr("blurgen.kernels.bank.make_bank", lambda *_, **__: pytest.fail("made in vain"))
    words = {"--out": tmp_path / "k.h5", flag: tmp_path / "nowhere/k"}
    done = CliRunner().invoke(main, ["make-kernels", *(str(w) for pair in words.items() for w in pair)])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: Cannot write {tmp_path / 'nowhere/k'}: ")
    assert list(tmp_path.iterdir()) == []
