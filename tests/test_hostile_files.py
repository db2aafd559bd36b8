"""Files that are damaged or mean harm are refused by name: no crash, no flood, no hang, nothing read outside.

The random part is ``fuzz_readers.py``, the part with a plan ``hostile_structures.py``; here both are run in
processes of their own, which a crash may bring down.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import fuzz_readers
import h5py
import hostile_structures
import pytest
import small_dataset
from click.testing import CliRunner

from blurgen.building.repair import repair
from blurgen.building.verify import verify
from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen.info import dataset_info
from blurgen_cli.blurgen import main

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    small_dataset.build(small_dataset.write_photos(folder / "photos"), folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign") / "files"
    fuzz_readers.write_foreign(folder)
    return folder


@pytest.fixture
def root(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def run(program, *words):
    done = subprocess.run(
        [sys.executable, HERE / program, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-5000:]}"
    return done.stdout


@pytest.mark.parametrize("reader", fuzz_readers.READERS)
def test_random_damage_is_refused_or_read_within_bounds(whole, reader):
    run("fuzz_readers.py", whole, reader, 60, 0)


@pytest.mark.parametrize("reader", fuzz_readers.FOREIGN)
def test_random_damage_to_files_of_other_programs_is_refused_or_read_within_bounds(foreign, reader):
    run("fuzz_readers.py", foreign, reader, 100, 0)


def test_random_damage_to_any_file_of_a_dataset_is_found(whole):
    run("fuzz_readers.py", whole, "dataset", 12, 0)


def test_random_damage_to_the_index_of_a_shard_is_refused_whatever_reads_it(whole):
    run("fuzz_readers.py", whole, "index", 40, 0)


@pytest.mark.parametrize("reader", ["kernels", "faces", "shard"])
def test_hostile_structures_are_refused(whole, reader):
    lines = run("hostile_structures.py", whole, reader).splitlines()
    assert [line for line in lines if line.startswith("ACCEPTED")] == []
    assert len(lines) > 30 * len(hostile_structures.DATASETS[reader])


def test_hostile_structures_in_a_file_of_matlab_are_refused(foreign):
    lines = run("hostile_structures.py", foreign, "mat73").splitlines()
    sound = ("soft_link_to_a_good_one", "compressed", "more_dimensions")  # the array is there, and harmless
    assert {line for line in lines if line.startswith("ACCEPTED")} == {f"ACCEPTED k: {w}" for w in sound}
    assert len(lines) == len(hostile_structures.IN_PLACE)


# --- the folder -------------------------------------------------------------------------------------------


@contextmanager
def limited(seconds=20):
    """Raise TimeoutError in what hangs, such as opening a pipe."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def use(root):
    """Do with a dataset whatever can be done; return what was said of it."""
    said = []
    for each in (
        dataset_info,
        lambda root: open_dataset(root).batch([11, 3, 12]),
        lambda root: open_dataset(root).faces.face(0),
        lambda root: open_dataset(root).bank.digest,
        lambda root: said.extend(f"{root}/{problem}" for problem in verify(root)),
        repair,
    ):
        try:
            each(root)
        except InputError as error:
            said.append(str(error))
    return said


FILES = ("dataset.json", "faces.h5", "kernels.h5", "full/shard-00001.h5", "isolated/hair/shard-00001.h5")


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_place_of_a_file_is_not_read(root, name):
    (root / name).unlink()
    os.mkfifo(root / name)
    with limited():
        said = use(root)
    assert any(name in line for line in said)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["a link to a pipe outside", "a link to itself", "a folder"])
def test_other_things_in_place_of_a_file_are_refused(root, tmp_path, name, kind):
    (root / name).unlink()
    if kind == "a folder":
        (root / name).mkdir()
    elif kind == "a link to itself":
        (root / name).symlink_to(Path(name).name)
    else:
        os.mkfifo(tmp_path / "pipe")
        (root / name).symlink_to(tmp_path / "pipe")
    with limited():
        said = use(root)
    assert any(name in line for line in said)
    assert all("\n" not in line for line in said)


def test_nothing_outside_is_changed_by_a_repair(root, tmp_path):
    outside = tmp_path / "outside.h5"
    for name in FILES[3:]:
        shutil.copy(root / name, outside)
        (root / name).unlink()
        (root / name).symlink_to(outside)
        content = outside.read_bytes()
        with suppress(InputError):
            repair(root)
        assert outside.read_bytes() == content


def test_a_folder_of_shards_that_leads_outside_is_not_written_to(root, whole, tmp_path):
    (root / "full").rename(tmp_path / "outside")
    (root / "full").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/shard-00001.h5").unlink()
    before = sorted((tmp_path / "outside").iterdir())
    with pytest.raises(InputError, match="leads out of the folder"):
        repair(root)
    with pytest.raises(InputError, match="leads out of the folder"):
        small_dataset.build(whole.parent / "photos", root)
    assert sorted((tmp_path / "outside").iterdir()) == before


# --- the index of a shard ---------------------------------------------------------------------------------


def write_index(path, column, value):
    """Let the third row of a shard say that it is made of something else."""
    with h5py.File(path, "r+") as file:
        index = file["index"][()]
        index[column][2] = value
        file["index"][...] = index


@pytest.mark.parametrize(("column", "value"), [("kernel", 7), ("image", 6), ("sample", 9), ("sample", 20)])
@pytest.mark.parametrize("use", fuzz_readers.ROWS)
def test_a_row_of_what_does_not_exist_is_refused_whatever_reads_it(root, tmp_path, column, value, use):
    path = root / "full/shard-00001.h5"
    write_index(path, column, value)
    with pytest.raises(InputError) as caught:
        fuzz_readers.ROWS[use](root)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert f"row 2 is made of {'face' if column == 'image' else column} {value}" in line
    assert line.endswith("see 'blurgen verify' and 'blurgen repair'.")
    assert line.isprintable()
    assert [problem.file for problem in verify(root)] == ["full/shard-00001.h5"]
    repair(root)
    fuzz_readers.ROWS[use](root)


@pytest.mark.parametrize(
    "words", [("preview", "--out", "sheet.png"), ("export", "--to", "png", "--out", "new", "--jobs", "1")]
)
def test_the_command_line_says_so_in_one_line(root, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    write_index(root / "full/shard-00001.h5", "kernel", 2**32 - 1)
    done = CliRunner().invoke(main, [words[0], str(root), *words[1:]])
    assert done.exit_code == 2
    last = done.output.splitlines()[-1]
    assert last.startswith(f"Error: {root}/full/shard-00001.h5: row 2 is made of kernel 4294967295")
    assert "Traceback" not in done.output
    assert not (tmp_path / words[-1]).exists() and not (tmp_path / "new").exists()


# --- dataset.json -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '"noise_sigma": NaN',
        '"noise_sigma": Infinity',
        '"noise_sigma": -Infinity',
        '"noise_sigma": 1e999',
        '"noise_sigma": -0.1',
        f'"noise_sigma": {"9" * 6000}',
        f'"noise_sigma": {"[" * 100_000}',
        '"noise_sigma": "\\ud800"',
        '"noise_sigma": {}',
        '"noise_sigma": 0.03, "noise_sigma": true',
        '"noise_sigma": 0.03, "\\n\\u001b[31m": 1',
    ],
)
def test_numbers_that_are_none_are_refused(root, text):
    content = (root / "dataset.json").read_text()
    assert '"noise_sigma": 0.03' in content
    (root / "dataset.json").write_text(content.replace('"noise_sigma": 0.03', text))
    said = use(root)
    assert len(said) == 6
    for line in said:
        assert line.startswith(f"{root / 'dataset.json'}: ")
        assert line.isprintable()
        assert len(line) < 500 + len(str(root))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), []),
        ((), {"passwd": {"bytes": 1, "digest": "0" * 32}}),
        ((), {"../faces.h5": {"bytes": 1, "digest": "0" * 32}}),
        (("faces.h5",), None),
        (("faces.h5",), {"bytes": 1}),
        (("faces.h5", "bytes"), 2**63),
        (("faces.h5", "bytes"), -1),
        (("faces.h5", "bytes"), "1"),
        (("kernels.h5", "digest"), "0" * 31),
        (("kernels.h5", "digest"), 0),
        (("kernels.h5", "more"), 0),
    ],
)
def test_hostile_lists_of_files_are_refused(root, path, value):
    tree = json.loads((root / "dataset.json").read_text())
    place, last = tree, "files"
    for step in path:
        place, last = place[last], step
    place[last] = value
    (root / "dataset.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"dataset\.json: files"):
        open_dataset(root)


def test_a_dataset_json_of_many_bytes_is_not_read(root):
    with (root / "dataset.json").open("r+b") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with limited(), pytest.raises(InputError, match=r"dataset\.json: has 1,099,511,627,776 bytes, more than"):
        open_dataset(root)


def test_a_recipe_of_more_faces_or_pixels_than_there_are_is_refused(root):
    sound = json.loads((root / "dataset.json").read_text())
    for name, value in (("count", 2**32 - 1), ("count", 1)):
        tree = json.loads(json.dumps(sound))
        tree["recipe"]["faces"][name] = value
        (root / "dataset.json").write_text(json.dumps(tree))
        with limited():
            assert any("faces.h5: has 6 faces, but the recipe says" in line for line in use(root))
    sound["recipe"] |= {"count": 10**12, "shard_size": 2**20}
    sound["sets"] = {name: [] for name in sound["sets"]}
    (root / "dataset.json").write_text(json.dumps(sound | {"complete": False}))
    with limited():
        assert any("lists 0 of 953,675 shards" in line for line in use(root))
