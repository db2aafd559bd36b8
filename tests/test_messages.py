"""One message, two readers: the library speaks of arguments, the command line of options."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import small_dataset
from click.testing import CliRunner

import blurgen
from blurgen.errors import ArgumentError, InputError
from blurgen.export import export
from blurgen.faces import parse_source
from blurgen.faces.decode import decode_picture
from blurgen.kernels.bank import KernelBank
from blurgen.testset.build import build_testset
from blurgen_cli.blurgen import main

ROOT = Path(__file__).resolve().parent.parent
ERRORS = ("InputError", "ArgumentError", "DiskLost")


class Case(NamedTuple):
    call: Callable[[], object]
    command: str
    in_library: str
    in_shell: str


NAMED = {"face_count": 3, "sizes": (3,), "per_size": 1, "patch_size": 32}
CASES = {
    "sizes": Case(
        lambda: blurgen.make_kernels(4, 9, 7),
        "make-kernels --out k.h5 --min-size 9 --max-size 7",
        "Argument 'min_size' must not be above 'max_size' (7), not 9.",
        "--min-size must not be above --max-size (7), not 9.",
    ),
    "labels of no use": Case(
        lambda: blurgen.read_faces("procedural:2", labels="maps"),
        "build-dataset --kernels kernels.h5 --out new --faces procedural:2 --labels maps",
        "'labels' is of no use: procedural:2 come with labels; leave it out.",
        "--labels is of no use: procedural:2 come with labels; leave it out.",
    ),
    "no labels": Case(
        lambda: blurgen.build_dataset(
            "folder:photos", "kernels.h5", "new", class_isolated=True, patch_size=8, count=1
        ),
        "build-dataset --faces folder:photos --kernels kernels.h5 --out new2 --class-isolated --patch-size 8"
        " --count 1",
        "needed by 'class_isolated'; give labelled faces (or a folder of label maps, 'labels'), or leave it"
        " out.",
        "needed by --class-isolated; give labelled faces (or a folder of label maps, --labels), or leave it"
        " out.",
    ),
    "no such set": Case(
        lambda: export("data", "png", "out", set_name="skin"),
        "export data --to png --out out --set skin",
        "sets of classes are made with class_isolated=True.",
        "sets of classes are made with --class-isolated.",
    ),
    "too few faces": Case(
        lambda: build_testset("procedural:2", "kernels.h5", "set", **NAMED),
        "build-testset --faces procedural:2 --kernels kernels.h5 --out set --sizes 3 --split all"
        " --face-count 3 --per-size 1 --patch-size 32",
        "2 usable faces, 3 are wanted; use face_count=2 or fewer, or another 'split'.",
        "2 usable faces, 3 are wanted; use --face-count 2 or fewer, or another --split.",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a kernel bank, a dataset, and photographs without labels."""
    root = tmp_path_factory.mktemp("messages")
    blurgen.make_kernels(4, 3, 5).save(root / "kernels.h5")
    blurgen.build_dataset("procedural:2", root / "kernels.h5", root / "data", per_image=1, patch_size=32)
    small_dataset.write_photos(root / "photos", labelled=False)
    return root


@pytest.mark.parametrize("name", CASES)
def test_the_library_names_arguments_and_the_command_line_options(folder, monkeypatch, name):
    case = CASES[name]
    monkeypatch.chdir(folder)
    with pytest.raises((InputError, ArgumentError)) as caught:
        case.call()
    assert str(caught.value).endswith(case.in_library)
    done = CliRunner().invoke(main, case.command.split())
    assert done.exit_code == 2, done.output
    assert done.stderr.splitlines()[-1].endswith(case.in_shell)


def said_last(call: ast.Call) -> str:
    """Return how the message of an error ends; a full stop for what only a run can tell."""
    last = call.args[-1]
    if isinstance(last, ast.JoinedStr):
        last = last.values[-1]
    return str(last.value) if isinstance(last, ast.Constant) else "."


@pytest.mark.parametrize("package", ["blurgen", "umsn", "cli"])
def test_every_message_ends_as_a_sentence_or_with_a_command_to_copy(package):
    found = {
        f"{file.relative_to(ROOT)}:{node.lineno}": said_last(node)
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS and node.args
    }
    assert found
    assert {where: end for where, end in found.items() if not re.search(r"[.?]$|pip install \S+$", end)} == {}


def test_what_is_said_of_faces_ends_as_a_sentence(tmp_path):
    (tmp_path / "photos").mkdir()
    for spec in ("celeba:nowhere", "folder:photos", "folder:nowhere", "procedural:x", "faces", "lapa:photos"):
        with pytest.raises(InputError, match=r"\.$"):
            parse_source(spec.replace("photos", str(tmp_path / "photos")), min_side=128)
    for data in (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(20)):
        with pytest.raises(InputError, match=r"[^.]\.$"):
            decode_picture(data, "a.png")


def test_one_thing_is_told_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def said(*words):
        done = CliRunner().invoke(main, list(words))
        assert done.exit_code == 0, done.output
        return done.output

    assert ": 1 camera3d kernel, 5 to 5 pixels" in said(
        *("make-kernels", "--count", "1", "--min-size", "5", "--max-size", "5", "--out", "one.h5")
    )
    assert repr(KernelBank.load("one.h5")) == "KernelBank(1 camera3d kernel, 5 to 5 pixels)"
    sizes = ("--patch-size", "8", "--count", "1", "--jobs", "1")
    built = said("build-dataset", "--faces", "procedural:1", "--kernels", "one.h5", "--out", "single", *sizes)
    assert "1 triplet to make" in built and "single: 1 triplet, complete" in built
    assert "full: 1 row, 1 shard, " in said("info", "single")
    assert "1 triplet of 8 x 8" in repr(blurgen.open_dataset("single"))
