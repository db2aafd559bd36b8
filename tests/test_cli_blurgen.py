"""The command line does what it says, and tells a user's mistake in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import numpy as np
import pytest
import small_dataset
from click.testing import CliRunner
from PIL import Image

from blurgen.dataset.reading import open_dataset
from blurgen_cli.blurgen import main
from blurgen_cli.umsn import main as umsn_main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with photos, kernels.h5 and a dataset made by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    small_dataset.write_photos(folder / "photos")
    (folder / "photos/images/broken.png").write_bytes(b"no picture")
    (folder / "photos/labels/broken.png").write_bytes(b"no picture")
    small_dataset.small_bank().save(folder / "kernels.h5")
    done = run("build-dataset", *build_options(folder), "--out", folder / "data")
    assert done.exit_code == 0, done.output
    return folder


def build_options(folder):
    return [
        *("--faces", f"folder:{folder / 'photos'}", "--kernels", folder / "kernels.h5", "--jobs", 1),
        *("--per-image", 5, "--patch-size", small_dataset.PATCH, "--class-isolated", "--shard-size", 10),
    ]


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_build_says_what_it_will_do_and_what_it_skipped(folder, tmp_path):
    done = run("build-dataset", *build_options(folder), "--out", tmp_path / "data")
    assert done.exit_code == 0
    assert "broken.png" in done.stderr
    assert "6 faces, 6 of them with labels" in done.stderr
    assert "30 triplets and about " in done.stderr
    assert "free on the disk" in done.stderr
    assert done.stdout == f"{tmp_path / 'data'}: 30 triplets, complete\n"
    assert len(open_dataset(tmp_path / "data")) == 30


def test_on_error_fail_stops_at_the_broken_file(folder, tmp_path):
    done = run("build-dataset", *build_options(folder), "--on-error", "fail", "--out", tmp_path / "data")
    assert done.exit_code == 2
    assert "broken.png" in done.stderr.splitlines()[-1]


def test_shards_are_built_in_slices(folder, tmp_path):
    done = run("build-dataset", *build_options(folder), "--shards", "1:9", "--out", tmp_path / "data")
    assert done.exit_code == 0
    assert done.stdout.endswith("20 of 30 triplets so far\n")
    done = run("build-dataset", *build_options(folder), "--shards", "0:1", "--out", tmp_path / "data")
    assert done.stdout.endswith("30 triplets, complete\n")


def test_info_for_people_and_programs(folder):
    text = run("info", folder / "data").stdout
    assert "30 triplets of 24 x 24 pixels, complete" in text
    assert "faces: 6, 6 with labels" in text
    assert "skipped: " in text
    assert "broken.png" in text
    found = json.loads(run("info", folder / "data", "--json").stdout)
    assert found["recipe"]["count"] == 30
    assert found["sets"]["full"]["rows"] == 30
    assert found["kernels"]["count"] == 7
    assert found["complete"]
    assert found["bytes"] == sum(path.stat().st_size for path in (folder / "data").rglob("shard-*.h5"))


def test_info_of_a_kernel_bank(folder):
    assert json.loads(run("info", folder / "kernels.h5", "--json").stdout)
    assert run("info", folder / "kernels.h5").exit_code == 0


def test_info_needs_no_torch(folder):
    program = (
        "import sys\n"
        "for name in ('torch', 'matplotlib'): sys.modules[name] = None\n"
        "from blurgen_cli.blurgen import main\n"
        f"main(['info', {str(folder / 'data')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_is_quick():
    program = (
        "import sys\n"
        "for name in ('numba', 'h5py', 'scipy', 'numpy', 'joblib'): sys.modules[name] = None\n"
        "from blurgen_cli.blurgen import main\n"
        "main(['build-dataset', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--class-isolated" in done.stdout


@pytest.mark.parametrize("group", [main, umsn_main], ids=["blurgen", "umsn"])
def test_help_is_sentences_that_a_person_can_read(group):
    shown = CliRunner().invoke(group, ["--help"]).output
    assert "..." not in shown.partition("Options:")[2]  # no command is described by half a sentence
    for name, command in group.commands.items():
        shown = CliRunner().invoke(group, [name, "--help"]).output
        assert re.search(rf"Example:\n +(blurgen|umsn) {name}\b", shown)
        assert not re.search(r"<=|>=|\d\.0\b(?! *[;\]])|e-\d|``", shown), shown
        for option in command.get_params(click.Context(command)):
            if isinstance(option, click.Option):
                sentence = option.help.partition("  [")[0]
                assert re.fullmatch(r"[A-Z]\S* \S.*[.]", sentence), f"{name} {option.opts}: {sentence}"


def test_verify_and_repair(folder, tmp_path):
    run("build-dataset", *build_options(folder), "--out", tmp_path / "data")
    shard = tmp_path / "data/full/shard-00001.h5"
    sound = shard.read_bytes()
    done = run("verify", tmp_path / "data", "--jobs", 1)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'data'}: all is well\n")
    shard.write_bytes(sound[:-1])
    done = run("verify", tmp_path / "data", "--jobs", 1)
    assert done.exit_code == 2
    assert f"{shard}: is cut off" in done.stdout
    done = run("repair", tmp_path / "data", "--jobs", 1)
    assert (done.exit_code, shard.read_bytes()) == (0, sound)
    assert f"{shard}: made again" in done.stdout


def test_preview_draws_a_sheet(folder, tmp_path):
    done = run("preview", folder / "data", "--out", tmp_path / "sheet.png", "--rows", 3)
    assert done.exit_code == 0
    assert Image.open(tmp_path / "sheet.png").width > 8 * small_dataset.PATCH


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("info", "nowhere"), "nowhere does not exist."),
        (("verify", "nowhere"), "is no dataset"),
        (("repair", "nowhere"), "is no dataset"),
        (("preview", "nowhere", "--out", "x.png"), "is no dataset"),
        (("preview", "nowhere"), "Missing option '--out'"),
        (("build-dataset", "--faces", "folder:x"), "Missing option '--kernels'"),
        (("build-dataset", "--shards", "5:5"), "must be A:B"),
        (("build-dataset", "--noise-sigma", "0.5"), "--noise-sigma"),
        (("build-dataset", "--noise-sigma", "nan"), "finite number"),
        (("build-dataset", "--patch-size", "4"), "--patch-size"),
        (("no-such-command",), "No such command"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--faces", "folder:nowhere"), "nowhere"),
        (("--faces", "nobody:x"), "not a source of faces"),
        (("--kernels", "nowhere.h5"), "nowhere.h5: there is no such file"),
        (("--scheduler", "tcp://x:1"), "--scheduler needs --backend"),
    ],
)
def test_bad_input_for_a_build_leaves_no_folder(folder, tmp_path, change, message):
    done = run("build-dataset", *build_options(folder), *change, "--out", tmp_path / "data")
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()


def test_anything_else_is_exit_1_with_a_hint(folder, tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr("blurgen.dataset.pictures.contact_sheet", fail)
    words = ("preview", folder / "data", "--out", tmp_path / "x.png")
    done = run(*words)
    assert done.exit_code == 1
    assert done.stderr == ("Error: RuntimeError: out of luck (run it again with --traceback to see where)\n")
    done = run("--traceback", *words)
    assert done.exit_code == 1
    assert "Traceback" in done.stderr


def test_an_interruption_is_exit_130(folder, tmp_path, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("blurgen.dataset.pictures.contact_sheet", interrupt)
    done = run("preview", folder / "data", "--out", tmp_path / "x.png")
    assert done.exit_code == 130
    assert done.stderr.strip() == "Error: Interrupted."


def test_kernels_in_the_dataset_are_those_given(folder):
    data = open_dataset(folder / "data")
    assert np.array_equal(data.bank.weights, small_dataset.small_bank().weights)


def every_command():
    for group in (main, umsn_main):
        for name, command in group.commands.items():
            yield group, name, command


def test_every_command_has_an_example_that_its_options_allow():
    for group, name, command in every_command():
        words = command.epilog.splitlines()[-1].split()
        assert words[:2] == [words[0], name]
        command.make_context(name, words[2:], resilient_parsing=False).close()
        assert group.commands[name] is command


@pytest.mark.parametrize(
    ("group", "command", "said"),
    [
        (main, "build-dataset", "[default: 0.03; 0 to 0.2]"),
        (main, "build-testset", "[default: 13,15,17,19,21,23,25,27]"),
        (umsn_main, "evaluate", "[default: none; 0 or more]"),
    ],
)
def test_a_default_in_words_has_no_brackets_of_its_own(group, command, said):
    text = " ".join(CliRunner().invoke(group, [command, "--help"]).output.split())
    assert said in text
    assert "default: (" not in text


def test_every_option_has_help_that_is_a_sentence():
    for _, name, command in every_command():
        for option in command.params:
            if isinstance(option, click.Option):
                text = option.help or ""
                assert len(text.split()) > 2, f"{name} {option.opts[0]}: {text!r}"
                assert text[-1] in ".]", f"{name} {option.opts[0]}: {text!r}"


@pytest.mark.parametrize("words", [("--help",), ("build-dataset", "--help")])
def test_help_has_headings_and_loses_nothing(words):
    shown = run(*words).output
    names = main.commands if len(words) == 1 else [p.opts[0] for p in main.commands["build-dataset"].params]
    for name in names:
        assert f"  {name} " in shown or f"  {name}\n" in shown or f", {name}" in shown, name
    titles = ("Make:", "Look:", "Check:", "Convert:") if len(words) == 1 else ("Faces:", "Camera:")
    for title in titles:
        assert f"\n{title}\n" in shown
