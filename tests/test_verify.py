"""Whatever is wrong with a dataset is found and named, and damaged shards come back bit for bit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numba
import numpy as np
import pytest
import small_dataset
from filelock import FileLock

from blurgen import __version__
from blurgen.building.repair import Repaired, repair
from blurgen.building.verify import verify
from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen.randomness.normal_table import noise_table


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
    """In a dataset of an earlier blurgen, which has no digest of its recipe."""
    tree = json.loads((root / "dataset.json").read_text())
    del tree["recipe_digest"]
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
    with pytest.raises(
        InputError, match=r"dataset\.json: .*; delete it, and the same .* shards cannot be made"
    ):
        repair(root)
    assert small_dataset.files_of(root) == before


@pytest.mark.parametrize(("name", "value"), [("seed", 4), ("noise_sigma", 0.02), ("count", 41)])
def test_a_recipe_that_was_damaged_or_edited_is_told_and_made_again(root, whole, name, value):
    tree = json.loads((root / "dataset.json").read_text())
    tree["recipe"][name] = value
    if name == "count":
        tree["complete"], tree["sets"] = False, {set_name: [] for set_name in tree["sets"]}
    (root / "dataset.json").write_text(json.dumps(tree))
    before = small_dataset.files_of(root)
    what = "dataset.json: its recipe is damaged: it is not the one written there; delete "
    assert [problem for problem in found(root) if problem.startswith(what)]
    for command in (repair, lambda root: small_dataset.build(whole.parent / "photos", root)):
        with pytest.raises(InputError, match=re.escape(what)):
            command(root)
    assert small_dataset.files_of(root) == before
    (root / "dataset.json").unlink()
    small_dataset.build(whole.parent / "photos", root)
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)


# --- made by other arithmetic -------------------------------------------------------------------------

OTHER = r"made by other arithmetic than here \(blurgen 0\.0\.9, numpy 1\.26\.4\)\. It can be read as it is"


@pytest.fixture
def other(whole, tmp_path, monkeypatch):
    """A dataset made where noise came out too small."""
    out = tmp_path / "other"
    with monkeypatch.context() as patch:
        patch.setattr("blurgen.synthesis.engine.noise_table", lambda sigma: noise_table(sigma) >> 3)
        small_dataset.build(whole.parent / "photos", out)
    change(out, made_by=[{"blurgen": "0.0.9", "numpy": "1.26.4"}])
    return out


def change(root, **values):
    """Change what ``dataset.json`` says."""
    tree = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(tree | values))


def make_anew(root, photos):
    """Do what the messages say helps."""
    (root / "dataset.json").unlink()
    shutil.rmtree(root / "full")
    shutil.rmtree(root / "isolated")
    small_dataset.build(photos, root)
    assert verify(root) == []


def test_shards_of_other_arithmetic_are_told_from_damaged_ones(other, whole):
    before = small_dataset.files_of(other)
    (problem,) = found(other)
    shards = len(list(other.rglob("shard-*.h5")))
    which = rf"full/shard-00000\.h5 and {shards - 1} more shards, as listed here"
    assert re.match(rf"dataset\.json: {which}: row \d, made anew, is another: {OTHER}", problem)
    assert found(other, jobs=2) == [problem]
    with pytest.raises(InputError, match=OTHER):
        repair(other)
    assert small_dataset.build(whole.parent / "photos", other).complete  # there is nothing to make
    assert small_dataset.files_of(other) == before
    assert len(open_dataset(other)) == 42
    make_anew(other, whole.parent / "photos")
    assert small_dataset.files_of(other) == small_dataset.files_of(whole)


def test_other_arithmetic_neither_repairs_nor_finishes_a_dataset(other, whole):
    (other / "full/shard-00001.h5").unlink()
    before = small_dataset.files_of(other)
    assert "full/shard-00001.h5: is missing" in found(other)
    for command in (repair, lambda root: small_dataset.build(whole.parent / "photos", root)):
        with pytest.raises(InputError, match=OTHER):
            command(other)
    assert small_dataset.files_of(other) == before
    make_anew(other, whole.parent / "photos")
    assert small_dataset.files_of(other) == small_dataset.files_of(whole)


def test_a_list_that_is_deleted_does_not_hide_other_arithmetic(other, whole):
    (other / "dataset.json").unlink()
    message = r"is whole, but of another recipe or made by other versions; .* or remove 'full' and 'isolated'"
    with pytest.raises(InputError, match=message):
        small_dataset.build(whole.parent / "photos", other)
    shutil.rmtree(other / "full")
    shutil.rmtree(other / "isolated")
    small_dataset.build(whole.parent / "photos", other)
    assert small_dataset.files_of(other) == small_dataset.files_of(whole)


def test_where_no_shard_is_left_to_tell_the_list_is_to_be_deleted(other, whole):
    shutil.rmtree(other / "full")
    shutil.rmtree(other / "isolated")
    for command in (repair, lambda root: small_dataset.build(whole.parent / "photos", root)):
        with pytest.raises(
            InputError, match=r"comes out other than dataset\.json says; .*; delete dataset\.json"
        ):
            command(other)
    (other / "dataset.json").unlink()
    small_dataset.build(whole.parent / "photos", other)
    assert small_dataset.files_of(other) == small_dataset.files_of(whole)


def test_other_arithmetic_of_an_earlier_blurgen_ends_well_too(other, whole):
    tree = json.loads((other / "dataset.json").read_text())
    del tree["made_by"], tree["recipe_digest"]
    (other / "dataset.json").write_text(json.dumps(tree))
    assert all(
        re.match(r"dataset\.json: its recipe is not that of .*, which is as listed", p) for p in found(other)
    )
    with pytest.raises(
        InputError, match=r"dataset\.json: .*; delete it, and the same 'blurgen build-dataset'"
    ):
        repair(other)
    (other / "full/shard-00001.h5").unlink()
    with pytest.raises(InputError, match=r"\(by an earlier blurgen\)"):
        small_dataset.build(whole.parent / "photos", other)
    make_anew(other, whole.parent / "photos")


def test_what_made_a_dataset_is_recorded_once_for_each_set_of_versions(root, whole):
    (here,) = json.loads((whole / "dataset.json").read_text())["made_by"]
    assert (
        here["blurgen"] == __version__
        and here["numpy"] == np.__version__
        and here["numba"] == numba.__version__
    )
    assert set(here) == {"blurgen", "numpy", "numba", "pillow", "python", "platform"}
    earlier = here | {"numpy": "1.0"}
    change(root, made_by=[earlier])
    (root / "full/shard-00001.h5").unlink()
    repair(root)
    (root / "full/shard-00002.h5").unlink()
    small_dataset.build(whole.parent / "photos", root)
    assert json.loads((root / "dataset.json").read_text())["made_by"] == [earlier, here]


@pytest.mark.parametrize("made_by", [{}, [1], [{"numpy": 2}], [["numpy"]], [{}] * 1001])
def test_what_does_not_say_what_made_a_dataset_is_refused(root, made_by):
    change(root, made_by=made_by)
    with pytest.raises(InputError, match=r"dataset\.json: made_by"):
        verify(root)


# --- lists --------------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match="but its recipe gives 0; delete it"):
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


def test_a_shard_that_is_there_but_not_listed_is_made_again_and_not_to_be_removed(root, whole):
    tree = json.loads((root / "dataset.json").read_text())
    tree["sets"]["isolated/skin"].pop()
    (root / "dataset.json").write_text(json.dumps(tree))
    assert found(root) == ["isolated/skin/shard-00004.h5: is not listed in dataset.json, but has rows"]
    done = repair(root)
    assert (done.files, done.remaining) == (["isolated/skin/shard-00004.h5"], [])
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)


@pytest.mark.parametrize("name", ["digest", "content"])
def test_a_digest_in_the_list_that_is_not_the_file_s_is_found(root, name):
    tree = json.loads((root / "dataset.json").read_text())
    tree["sets"]["full"][1][name] = "0" * 32
    (root / "dataset.json").write_text(json.dumps(tree))
    if name == "digest":
        assert found(root) == ["full/shard-00001.h5: is damaged: its digest is not the one listed"]
    else:
        assert found(root) == [
            "dataset.json: lists another content of full/shard-00001.h5 than it has, "
            "and the file is as listed; delete it, and the same 'blurgen build-dataset' makes it again"
        ]


def test_offsets_in_the_list_that_are_not_the_file_s_are_found(root):
    tree = json.loads((root / "dataset.json").read_text())
    tree["sets"]["full"][1]["offsets"][1] -= 1
    (root / "dataset.json").write_text(json.dumps(tree))
    assert found(root) == [
        "dataset.json: lists other offsets of full/shard-00001.h5 than it has, "
        "and the file is as listed; delete it, and the same 'blurgen build-dataset' makes it again"
    ]


def test_a_list_that_is_damaged_can_be_deleted_and_made_again(root, whole):
    (root / "dataset.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.h5")}
    small_dataset.build(whole.parent / "photos", root)
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.h5")} == before


# --- faces and kernels --------------------------------------------------------------------------------

AGAIN = "delete it, and the same 'blurgen build-dataset' makes it again"


def test_any_flipped_bit_in_the_faces_is_found_and_a_build_makes_them_again(root, whole):
    random = np.random.default_rng(1)
    path = root / "faces.h5"
    sound, shards = path.read_bytes(), sorted((root / "full").iterdir())
    before = [shard.stat().st_mtime_ns for shard in shards]
    names = sound.index(b"folder:000.png")
    for bit in (8 * names, *random.integers(0, 8 * len(sound), 25).tolist()):
        flip(path, bit)
        (problem,) = found(root)
        assert re.fullmatch(f"faces\\.h5: .*; {AGAIN}", problem)
        path.write_bytes(sound)
    flip(path, 8 * names)
    assert found(root) == [
        "faces.h5: is damaged in names, identities or the like, "
        f"though its pixels and labels are sound; {AGAIN}"
    ]
    (root / "full/shard-00001.h5").unlink()
    done = repair(root)  # for that, the names do not matter
    assert done.files == ["full/shard-00001.h5"]
    assert [problem.file for problem in done.remaining] == ["faces.h5"]
    with pytest.raises(
        InputError, match=r"faces\.h5: is not what dataset\.json says \(damaged\?\); delete it"
    ):
        small_dataset.build(whole.parent / "photos", root)
    path.unlink()
    small_dataset.build(whole.parent / "photos", root)
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)
    assert [shard.stat().st_mtime_ns for shard in shards][2:] == before[2:]


def test_faces_that_are_damaged_or_gone_stop_a_repair(root):
    flip(root / "faces.h5", 8 * (root / "faces.h5").read_bytes().index(open_dataset(root).faces.labels) + 9)
    with pytest.raises(
        InputError, match=f"faces.h5: is damaged or .*; {AGAIN}; shards cannot be made without"
    ):
        repair(root)
    (root / "faces.h5").unlink()
    assert found(root) == ["faces.h5: there is no such file; the same 'blurgen build-dataset' makes it again"]


def test_any_flipped_bit_in_the_kernels_is_found_and_most_are_repaired(root, whole):
    random = np.random.default_rng(2)
    path, expected = root / "kernels.h5", small_dataset.files_of(whole)
    sound = path.read_bytes()
    repaired: list[int] = []
    weights = 8 * sound.index(open_dataset(root).bank.weights.tobytes())
    for bit in (weights + 100, *random.integers(0, 8 * len(sound), 10).tolist()):
        flip(path, bit)
        (problem,) = found(root)
        assert re.fullmatch(f"kernels\\.h5: .*; {AGAIN}", problem)
        try:
            done = repair(root)
        except InputError as error:
            assert str(error).endswith(f"{AGAIN}; shards cannot be made without it.")
            done = Repaired([], [])
        if done.files:
            repaired.append(bit)
            assert (done.files, done.remaining) == (["kernels.h5"], [])
        else:  # what is damaged is how they were made
            path.write_bytes(sound)
        assert small_dataset.files_of(root) == expected
    assert weights + 100 in repaired
    assert len(repaired) > 5


def test_kernels_that_do_not_say_how_they_were_made_stop_a_repair(root, whole):
    path = root / "kernels.h5"
    path.write_bytes(path.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    assert found(root) == [
        f"kernels.h5: is damaged in names, identities or the like, though its kernels are sound; {AGAIN}"
    ]
    assert [problem.file for problem in repair(root).remaining] == ["kernels.h5"]
    path.unlink()
    small_dataset.build(whole.parent / "photos", root)
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)


def test_a_dataset_of_an_earlier_blurgen_lists_no_files_and_is_read(root):
    tree = json.loads((root / "dataset.json").read_text())
    del tree["files"], tree["made_by"], tree["recipe_digest"]
    (root / "dataset.json").write_text(json.dumps(tree))
    assert verify(root) == []
    assert len(open_dataset(root)) == 42
    flip(root / "faces.h5", 8 * (root / "faces.h5").read_bytes().index(open_dataset(root).faces.labels) + 9)
    assert [problem.split(":")[0] for problem in found(root)] == ["faces.h5"]


def test_an_unfinished_dataset_is_told(root):
    tree = json.loads((root / "dataset.json").read_text())
    tree["complete"] = False
    (root / "dataset.json").write_text(json.dumps(tree))
    expected = "dataset.json: lists {} of 5 shards; the same 'blurgen build-dataset' finishes it"
    assert found(root) == [expected.format(5)]
    for shards in tree["sets"].values():
        shards.pop()  # made, but not listed yet: the build takes them over
    (root / "dataset.json").write_text(json.dumps(tree))
    (root / "full/notes.txt").write_text("mine")
    assert found(root) == [
        expected.format(4),
        "full/notes.txt: does not belong there: dataset.json does not list it; remove it",
    ]


def test_a_repair_that_makes_the_last_shard_makes_the_dataset_complete(root, whole):
    (root / "full/shard-00001.h5").unlink()
    small_dataset.build(whole.parent / "photos", root, recipe_only=True)
    with pytest.raises(InputError, match="run the same"):
        open_dataset(root)
    done = repair(root)
    assert (done.files, done.remaining) == (["full/shard-00001.h5"], [])
    assert small_dataset.files_of(root) == small_dataset.files_of(whole)
    assert open_dataset(root).complete


def test_a_dataset_that_is_not_all_listed_stays_unfinished(root):
    tree = json.loads((root / "dataset.json").read_text())
    for shards in tree["sets"].values():
        shards.pop()
    (root / "dataset.json").write_text(json.dumps(tree | {"complete": False}))
    (root / "full/shard-00001.h5").unlink()
    done = repair(root)
    assert done.files == ["full/shard-00001.h5"]
    assert [problem.file for problem in done.remaining] == ["dataset.json"]
    assert not json.loads((root / "dataset.json").read_text())["complete"]


def test_the_faces_are_closed_afterwards(root):
    (root / "full/shard-00001.h5").unlink()
    for command in (verify, repair):
        command(root)
        assert str(root / "faces.h5") not in Path("/proc/self/maps").read_text()


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    for command in (verify, repair):
        with pytest.raises(InputError, match="is no dataset"):
            command(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_repaired_while_a_build_is_at_work(root):
    with FileLock(root / ".lock"), pytest.raises(InputError, match="another build is at work"):
        repair(root)
