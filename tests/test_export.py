"""An export reads back as the dataset it came from, in the reader it was made for, or is not there at all."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import datasets
import lmdb
import mlcroissant
import numpy as np
import PIL
import pytest
import small_dataset
import webdataset
from click.testing import CliRunner
from PIL import Image

import blurgen.export.folder
from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from blurgen.export import FORMATS, export
from blurgen.export.folder import new_folder
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.export import export as command

SETS = ("full", "isolated/skin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the same dataset twice: with shards, and as a recipe."""
    folder = tmp_path_factory.mktemp("export")
    small_dataset.write_photos(folder / "photos")
    small_dataset.build(folder / "photos", folder / "shards")
    small_dataset.build(folder / "photos", folder / "recipe", recipe_only=True)
    return folder


# --- Readers, as the programs the formats are for read them -------------------------------------------


def decoded(data):
    return np.array(Image.open(io.BytesIO(data)))


def read_png(folder):
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            key = f"{int(line['sample']):09d}"
            pictures = [(folder / name / f"{key}.png").read_bytes() for name in ("clean", "blurry", "mask")]
            facts = {name: value if name == "face" else int(value) for name, value in line.items()}
            yield (*map(decoded, pictures), facts)


def read_lmdb(folder):
    """As BasicSR does: keys from meta_info.txt, the same in all databases; values are PNG files."""
    keys, found = {}, {}
    for name in ("clean", "blurry", "mask"):
        lines = (folder / f"{name}.lmdb/meta_info.txt").read_text("ascii").splitlines()
        keys[name] = [line.split(".")[0] for line in lines]
        with (
            lmdb.open(str(folder / f"{name}.lmdb"), readonly=True, lock=False, readahead=False) as opened,
            opened.begin(write=False) as transaction,
        ):
            assert transaction.stat()["entries"] == len(lines)
            for key, line in zip(keys[name], lines, strict=True):
                picture = decoded(bytes(transaction.get(key.encode("ascii"))))
                height, width = picture.shape[:2]
                channels = picture.shape[2] if picture.ndim == 3 else 1
                assert line == f"{key}.png ({height},{width},{channels}) 1"
                found[key, name] = picture
    assert keys["clean"] == keys["blurry"] == keys["mask"] == sorted(keys["clean"])
    for key in keys["clean"]:
        yield found[key, "clean"], found[key, "blurry"], found[key, "mask"], {"sample": int(key)}


def read_webdataset(folder):
    shards = sorted(str(path) for path in folder.glob("shard-*.tar"))
    for row in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
        pictures = [decoded(row[f"{name}.png"]) for name in ("clean", "blurry", "mask")]
        facts = json.loads(row["json"])
        assert int(row["__key__"]) == facts["sample"]
        yield (*pictures, facts)


def read_parquet(folder):
    """As anyone does who downloads it: the features come from the files, the splits from the card."""
    rows = datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "cache"))
    for row in rows["train"]:
        pictures = [np.array(row.pop(name)) for name in ("clean", "blurry", "mask")]
        yield (*pictures, row)


READERS = {"png": read_png, "lmdb": read_lmdb, "webdataset": read_webdataset, "parquet": read_parquet}


# --- Tests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_name", SETS)
@pytest.mark.parametrize("to", FORMATS)
def test_every_row_reads_back_as_it_is_in_the_dataset(folder, tmp_path, to, set_name):
    assert export(folder / "shards", to, tmp_path / "out", set_name=set_name, shard_size=15) > 15
    dataset = open_dataset(folder / "shards")
    rows = dataset.open_set(set_name)
    read = list(READERS[to](tmp_path / "out"))
    assert len(read) == len(rows)
    for row, (clean, blurry, mask, facts) in zip(rows, read, strict=True):
        assert np.array_equal(clean, row.clean)
        assert np.array_equal(blurry, row.blurry)
        assert np.array_equal(mask, row.mask)
        expected = {name: int(row.index[name]) for name in ("sample", "top", "left", "kernel")}
        expected |= {
            "face": dataset.faces.name(int(row.index["image"])),
            "kernel_size": int(dataset.bank.sizes[row.index["kernel"]]),
        }
        assert facts.items() <= expected.items()
        assert len(facts) in (1, 6)  # LMDB has the sample number only
    said = json.loads((tmp_path / "out/export.json").read_text("utf-8"))
    assert (said["to"], said["set"], said["rows"]) == (to, set_name, len(rows))
    assert said["recipe"] == dataset.recipe.to_json()


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "lock.mdb"
    }


@pytest.mark.parametrize("to", FORMATS)
def test_a_recipe_and_any_number_of_jobs_give_the_same_bytes(folder, tmp_path, to, monkeypatch):
    monkeypatch.setattr(blurgen.export, "_ROWS_PER_PIECE", {"png": 10, "lmdb": 10})
    options = {"set_name": "isolated/hair", "shard_size": 10}
    export(folder / "shards", to, tmp_path / "a", **options)
    export(folder / "recipe", to, tmp_path / "b", jobs=2, **options)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not list(tmp_path.glob(".*"))


def test_times_and_owners_do_not_show_in_tar_files(folder, tmp_path):
    export(folder / "recipe", "webdataset", tmp_path / "out", limit=3)
    with tarfile.open(tmp_path / "out/shard-000000.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members[:5]] == [
        "000000000.clean.png",
        "000000000.blurry.png",
        "000000000.mask.png",
        "000000000.json",
        "000000001.clean.png",
    ]
    assert len(members) == 12
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


@pytest.mark.parametrize("to", FORMATS)
def test_an_interrupted_export_leaves_nothing(folder, tmp_path, to, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(blurgen.export, "_facts", stop)  # when all rows are written
    with pytest.raises(KeyboardInterrupt):
        export(folder / "recipe", to, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_the_next_and_a_living_one_is_left_alone(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from blurgen.export.folder import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "out")], check=False)
    left, lock = sorted(tmp_path.iterdir())
    assert left.name.endswith(".part") and lock.name == f"{left.name}.lock"
    with new_folder(tmp_path / "out") as first:
        assert not left.exists()
        with pytest.raises(OSError, match="empty"), new_folder(tmp_path / "out") as second:
            assert first.exists()
            (second / "whole").write_text("whole")
            (tmp_path / "out").mkdir()
            (tmp_path / "out/other").write_text("another was quicker")
        assert not lock.exists()
        shutil.rmtree(tmp_path / "out")
        (first / "whole").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/whole").exists()


@pytest.mark.parametrize("to", ["lmdb", "webdataset"])
def test_a_full_disk_is_told_in_one_line(folder, tmp_path, to):
    def quota():
        # No file may become longer than that; the error is that of a full disk but for its number.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    words = ["export", str(folder / "shards"), "--to", to, "--out", str(tmp_path / "out"), "--jobs", "1"]
    program = (
        "from blurgen_cli.errors import OneLineErrors; from blurgen_cli.export import export\n"
        "group = OneLineErrors('blurgen'); group.add_command(export); group.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, preexec_fn=quota
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"Error: No room left in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_with_small_files_is_told_in_one_line(folder, tmp_path, monkeypatch):
    written = []

    def write_some(path, data):
        if len(written) == 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        return real(path, data)

    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", write_some)
    with pytest.raises(InputError, match=r"^No room left in [^\n]*; free some space"):
        export(folder / "shards", "png", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_does_not_fit_the_disk_is_refused(folder, tmp_path, monkeypatch):
    nearly_full = shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(blurgen.export.folder.shutil, "disk_usage", lambda _: nearly_full)
    with pytest.raises(InputError, match=r"do not fit on the disk, which has 1\.0 kB free"):
        export(folder / "recipe", "png", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    with pytest.raises(InputError, match=r"full: is not empty"):
        export(folder / "recipe", "png", tmp_path / "full")
    with pytest.raises(InputError, match=r"has no set 'isolated/nose'"):
        export(folder / "recipe", "png", tmp_path / "out", set_name="isolated/nose")
    with pytest.raises(InputError, match=r"is no dataset"):
        export(tmp_path, "png", tmp_path / "out")
    with pytest.raises(ValueError, match=r"'to' must be one of png, lmdb, webdataset, parquet"):
        export(folder / "recipe", "zip", tmp_path / "out")
    with pytest.raises(ValueError, match=r"'limit' must be at least 1"):
        export(folder / "recipe", "png", tmp_path / "out", limit=0)
    with pytest.raises(ValueError, match=r"'jpeg_quality' must be from 1 to 100, not 0"):
        export(folder / "recipe", "png", tmp_path / "out", jpeg_quality=0)
    assert not (tmp_path / "out").exists()


def test_without_the_package_the_user_is_told_how_to_get_it(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(InputError, match=r"pip install 'blurgen\[export\]'"):
        export(folder / "recipe", "lmdb", tmp_path / "out")


def test_the_card_and_the_metadata_say_what_is_there(folder, tmp_path):
    export(folder / "recipe", "parquet", tmp_path / "out", set_name="isolated/skin", limit=12, shard_size=5)
    files = sorted(path.name for path in (tmp_path / "out/data").iterdir())
    assert files == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert "12 triplets of 24 x 24 pixels" in card
    assert json.dumps(open_dataset(folder / "recipe").recipe.to_json(), indent=2) in card
    described = mlcroissant.Dataset(tmp_path / "out/croissant.json")
    assert not described.metadata.issues.errors
    rows = list(described.records("rows"))
    assert len(rows) == 12
    assert [row["rows/sample"] for row in rows] == [
        int(row.index["sample"])
        for row in itertools.islice(open_dataset(folder / "recipe").open_set("isolated/skin"), 12)
    ]


@pytest.mark.parametrize("to", FORMATS)
def test_blurry_pictures_go_through_jpeg_where_that_is_wanted(folder, tmp_path, to):
    export(folder / "shards", to, tmp_path / "out", jpeg_quality=40, jobs=2)
    rows = open_dataset(folder / "shards")
    for row, (clean, blurry, mask, _) in zip(rows, READERS[to](tmp_path / "out"), strict=True):
        file = io.BytesIO()
        Image.fromarray(row.blurry).save(file, "JPEG", quality=40)  # 4:2:0 is what Pillow takes by itself
        assert np.array_equal(blurry, decoded(file.getvalue()))
        assert not np.array_equal(blurry, row.blurry)
        assert np.array_equal(clean, row.clean)
        assert np.array_equal(mask, row.mask)
    said = json.loads((tmp_path / "out/export.json").read_text("utf-8"))["jpeg"]
    assert (said["quality"], said["subsampling"], said["pillow"]) == (40, "4:2:0", PIL.__version__)
    assert len(said) == 4  # and the version of the JPEG library
    if to == "parquet":
        assert "through JPEG of quality 40" in (tmp_path / "out/README.md").read_text("utf-8")


def test_the_command_line(folder, tmp_path):
    group = OneLineErrors("blurgen")
    group.add_command(command)
    words = ["export", str(folder / "recipe"), "--to", "png", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(group, [*words, "--limit", "4", "--set", "isolated/skin", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "jpeg" not in json.loads((tmp_path / "out/export.json").read_text("utf-8"))
    assert done.stdout == f"{tmp_path / 'out'}: 4 rows of isolated/skin, png\n"
    assert len(list((tmp_path / "out/blurry").iterdir())) == 4
    assert CliRunner().invoke(group, words).exit_code == 2
