"""Whatever is wrong with a dataset is found and named, and damaged shards come back bit for bit."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import small_dataset
from filelock import FileLock

from blurgen.dataset import open_dataset
from blurgen.errors import InputError
from blurgen.repair import repair
from blurgen.verify import verify


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    small_dataset.build(small_dataset.write_photos(folder / "photos"), folder / "data")
    return folder / "data"


@pytest.fixture
def root(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def found(root, **options):
    return [str(problem) for problem in verify(root, **options)]


def test_nothing_is_wrong_with_a_new_dataset(whole):
    assert verify(whole) == []
    assert verify(whole, jobs=2) == []


def test_nothing_is_wrong_with_a_recipe(whole, tmp_path):
    small_dataset.build(whole.parent / "photos", tmp_path / "data", recipe_only=True)
    assert verify(tmp_path / "data") == []


def test_any_flipped_bit_in_a_shard_is_found_and_repaired(root, whole):
    random = np.random.default_rng(0)
    shards = sorted(root.rglob("shard-*.h5"))
    expected = small_dataset.files_of(whole)
    for path in random.choice(np.array(shards, object), 6, replace=False):
        for bit in random.integers(0, 8 * path.stat().st_size, 3):
            flip(path, int(bit))
            file = str(path.relative_to(root))
            assert found(root) == [f"{file}: is damaged: its digest is not the one listed"]
            repair(root)
            assert small_dataset.files_of(root) == expected


def test_missing_cut_off_longer_and_extra_shards_are_told_apart(root, whole):
    expected = small_dataset.files_of(whole)
    untouched = {path: path.stat().st_mtime_ns for path in root.rglob("shard-0000[04].h5")}
    size = (root / "full/shard-00002.h5").stat().st_size
    (root / "full/shard-00001.h5").unlink()
    with (root / "full/shard-00002.h5").open("r+b") as file:
        file.truncate(1000)
    with (root / "isolated/skin/shard-00003.h5").open("ab") as file:
        file.write(b"more")
    shutil.copy(root / "full/shard-00000.h5", root / "isolated/hair/shard-00007.h5")
    longer = (whole / "isolated/skin/shard-00003.h5").stat().st_size
    problems = [
        "full/shard-00001.h5: is missing",
        f"full/shard-00002.h5: is cut off: 1000 of {size} bytes",
        "isolated/hair/shard-00007.h5: does not belong there: dataset.json does not list it; remove it",
        f"isolated/skin/shard-00003.h5: is too long: {longer + 4} of {longer} bytes",
    ]
    assert found(root) == found(root, jobs=2) == problems
    done = repair(root)
    assert done.files == [problems[i].split(":")[0] for i in (0, 1, 3)]
    assert [str(problem) for problem in done.remaining] == [problems[2]]
    (root / "isolated/hair/shard-00007.h5").unlink()
    assert small_dataset.files_of(root) == expected
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "seed",
            4,
            r"its index is another$|lists \d+ rows of isolated/.*, but its recipe gives \d+$",
        ),
        ("noise_sigma", 0.02, r"row \d, made anew, is another$"),
        ("isolation", "layered", r"of isolated/.*row \d, made anew, is another$"),
    ],
)
def test_a_recipe_that_is_not_that_of_the_shards_is_found_and_no_shard_is_touched(root, name, value, what):
    tree = json.loads((root / "dataset.json").read_text())
    tree["recipe"][name] = value
    (root / "dataset.json").write_text(json.dumps(tree))
    (root / "full/shard-00001.h5").unlink()
    (root / "isolated/hair/shard-00000.h5").write_bytes(b"damaged")
    before = small_dataset.files_of(root)
    damaged = {"full/shard-00001.h5", "isolated/hair/shard-00000.h5"}
    problems = [str(problem) for problem in verify(root) if problem.file not in damaged]
    assert len(problems) >= 10
    assert [problem for problem in problems if not re.search(what, problem)] == []
    assert all(problem.startswith("dataset.json: ") for problem in problems)
    with pytest.raises(InputError, match=r"dataset\.json: .*; restore dataset\.json, shards cannot be made"):
        repair(root)
    assert small_dataset.files_of(root) == before


def test_a_shard_that_comes_out_other_than_it_was_is_told(root):
    tree = json.loads((root / "dataset.json").read_text())
    tree["sets"]["full"][1]["content"] = "0" * 32
    (root / "dataset.json").write_text(json.dumps(tree))
    (root / "full/shard-00001.h5").unlink()
    before = (root / "dataset.json").read_bytes()
    with pytest.raises(InputError, match=r"shard-00001\.h5: comes out other than dataset\.json says"):
        repair(root)
    assert (root / "dataset.json").read_bytes() == before


def test_a_listed_shard_that_can_have_no_row_is_found_and_nothing_is_made(whole, tmp_path):
    root = tmp_path / "data"
    small_dataset.build(whole.parent / "photos", root, shard_size=1, count=20)
    tree = json.loads((root / "dataset.json").read_text())
    shards = tree["sets"]["isolated/hair"]
    number = next(n for n in range(20) if [n, n + 1] not in [shard["samples"] for shard in shards])
    file = f"isolated/hair/shard-{number:05d}.h5"
    shards.append({**shards[0], "file": file, "samples": [number, number + 1]})
    shards.sort(key=lambda shard: shard["samples"])
    for row, shard in enumerate(shards):
        shard["rows"] = [row, row + 1]
    (root / "dataset.json").write_text(json.dumps(tree))
    before = small_dataset.files_of(root)
    assert found(root) == [
        f"dataset.json: lists 1 rows of {file}, but its recipe gives 0",
        f"{file}: is missing",
    ]
    with pytest.raises(InputError, match="but its recipe gives 0; restore"):
        repair(root)
    assert small_dataset.files_of(root) == before


def test_a_class_shard_that_is_not_listed_is_found_and_made(root, whole):
    tree = json.loads((root / "dataset.json").read_text())
    tree["sets"]["isolated/skin"].pop()
    (root / "dataset.json").write_text(json.dumps(tree))
    (root / "isolated/skin/shard-00004.h5").unlink()
    assert found(root) == ["isolated/skin/shard-00004.h5: is not listed in dataset.json, but has rows"]
    repair(root)
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)


@pytest.mark.parametrize("name", ["faces.h5", "kernels.h5"])
def test_damaged_faces_and_kernels_are_found_but_cannot_be_repaired(root, name):
    data = open_dataset(root)
    array = data.faces.labels if name == "faces.h5" else data.bank.weights
    flip(root / name, 8 * (root / name).read_bytes().index(array.tobytes()) + 100)
    assert [problem.split(":")[0] for problem in found(root)] == [name]
    with pytest.raises(InputError, match=f"{name}: .*[^.]; restore {name}, shards cannot be made without it"):
        repair(root)
    (root / name).unlink()
    assert [problem.split(":")[0] for problem in found(root)] == [name]


def test_an_unfinished_dataset_is_told(root):
    tree = json.loads((root / "dataset.json").read_text())
    tree["complete"] = False
    (root / "dataset.json").write_text(json.dumps(tree))
    assert found(root) == ["dataset.json: lists 5 of 5 shards; the same 'blurgen build-dataset' finishes it"]


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    for command in (verify, repair):
        with pytest.raises(InputError, match="is no dataset"):
            command(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_repaired_while_a_build_is_at_work(root):
    with FileLock(root / ".lock"), pytest.raises(InputError, match="another build is at work"):
        repair(root)
