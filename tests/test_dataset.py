"""Reading a dataset gives what is in it, in any process, and nothing from elsewhere."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import small_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import blurgen
from blurgen.building.verify import verify
from blurgen.dataset.manifest import read_manifest, shard_file
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.dataset.shards import ShardArrays
from blurgen.errors import InputError
from blurgen.labels import CLASS_NAMES

SETS = ("full", *(f"isolated/{name}" for name in CLASS_NAMES))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return small_dataset.write_photos(tmp_path_factory.mktemp("photos") / "labelled")


@pytest.fixture(scope="module")
def root(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "data"
    small_dataset.build(photos, out)
    return out


@pytest.fixture(scope="module")
def recipe_only(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "data"
    small_dataset.build(photos, out, recipe_only=True)
    return out


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    return tmp_path / "data"


def stored(root, name):
    """Return the four arrays of a set, read by h5py in the order of the shards."""
    parts = []
    for path in sorted((root / name).glob("*.h5")):
        with h5py.File(path) as file:
            parts.append([file[array][()] for array in ("clean", "blurry", "mask", "index")])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["shards", "recipe only"])
def test_batches_are_what_the_shards_hold(root, recipe_only, name, kind):
    data = open_dataset(root if kind == "shards" else recipe_only)
    expected = stored(root, name)
    length = len(expected[3])
    assert len(data.open_set(name)) == length
    random = np.random.default_rng(0)
    for rows in (
        random.permutation(length),
        random.integers(0, length, 50),
        np.arange(3, 7),
        np.arange(5, 25),
        [0],
        [],
        [length - 1, 0, length - 1],
        np.array([7, 6, 5], np.uint8),
        np.array([7, 6, 5], ">i8"),
        np.arange(20)[::-3],
    ):
        assert same(data.batch(rows, name).parts(), [array[list(rows)] for array in expected])
    for rows in (slice(None), slice(2, 30, 3), slice(-4, None), slice(8, 8)):
        assert same(data.open_set(name).batch(rows).parts(), [array[rows] for array in expected])


def test_it_is_a_sequence_of_triplets(root):
    data = blurgen.open_dataset(root)
    assert data.sets == SETS
    assert len(data) == len(list(data)) == 42
    skin = data.open_set("isolated/skin")
    assert data[-1].index == data[41].index
    assert same(
        (skin[3].clean, skin[3].blurry, skin[3].mask, skin[3].index),
        [a[1] for a in skin.batch([5, 3]).parts()],
    )
    for row in (42, -43):
        with pytest.raises(IndexError):
            data[row]


def test_a_run_of_rows_in_one_shard_is_not_copied(root):
    data = open_dataset(root)
    one, other = data.batch(np.arange(12, 18)), data.batch(slice(14, 16))
    assert np.shares_memory(one.clean, other.clean)
    assert not one.blurry.flags.writeable
    assert data.batch([12, 14]).clean.flags.writeable


@pytest.mark.parametrize("rows", [[41, 3, 3, 20], [14, 15, 16, 17]], ids=["any", "run"])
@pytest.mark.parametrize("kind", ["shards", "recipe only"])
def test_batches_go_into_arrays_that_are_given(root, recipe_only, kind, rows):
    data = open_dataset(root if kind == "shards" else recipe_only)
    expected = data.batch(rows)
    out = ShardArrays(*(np.empty_like(part) for part in expected.parts()))
    assert data.batch(rows, out=out) is out
    assert same(out.parts(), expected.parts())


def test_arrays_that_do_not_fit_a_batch_are_refused(root):
    data = open_dataset(root)
    rows = data.batch([5, 3])
    with pytest.raises(ValueError, match="'out' must have a writeable uint8"):
        data.batch([5, 3, 1], out=rows)
    for part in rows.parts():
        part.flags.writeable = False
    with pytest.raises(ValueError, match="'out' must have a writeable uint8"):
        data.batch([5, 3], out=rows)


def test_batches_go_into_every_other_row_of_larger_arrays(root):
    data = open_dataset(root)
    expected = data.batch([41, 3, 20])
    large = ShardArrays(*(np.zeros((6, *part.shape[1:]), part.dtype) for part in expected.parts()))
    data.batch([41, 3, 20], out=ShardArrays(*(part[::2] for part in large.parts())))
    assert same([part[::2] for part in large.parts()], expected.parts())
    assert not any(part[1::2].tobytes().strip(b"\0") for part in large.parts())


@pytest.mark.parametrize(
    "rows", [[42], [-43], [0.5], [[1]], ["a"], [True], [2**63], np.array([0, 2**64 - 1], np.uint64)]
)
def test_rows_that_do_not_exist_raise_index_error(root, rows):
    with pytest.raises(IndexError, match="'rows'"):
        open_dataset(root).batch(rows)


def test_find_leads_from_a_sample_to_its_rows(root, recipe_only):
    for folder in (root, recipe_only):
        data = open_dataset(folder)
        for name in SETS:
            index = data.batch(slice(None), name).index
            found = [data.find(sample, name) for sample in range(42)]
            assert [row for row in found if row is not None] == list(range(len(index)))
            assert [s for s in range(42) if found[s] is not None] == index["sample"].tolist()
        assert data.find(42) is None
        assert data.find(10**9, "isolated/hair") is None


def content(data: Dataset) -> list[bytes]:
    return [array.tobytes() for name in data.sets for array in data.batch([1, 20, 12], name).parts()]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("kind", ["shards", "recipe only"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_other_processes_read_the_same(root, recipe_only, method, kind):
    data = open_dataset(root if kind == "shards" else recipe_only)
    expected = content(data)  # opened and used before the other process gets it
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(content, (data,)) == expected


def test_a_pickle_is_small_and_keeps_what_was_counted(root, recipe_only):
    for folder in (root, recipe_only):
        data = open_dataset(folder)
        expected = content(data)
        text = pickle.dumps(data)
        assert len(text) < 10_000
        assert content(pickle.loads(text)) == expected


def test_threads_may_share_it(root):
    data = open_dataset(root)
    rows = [np.random.default_rng(i).permutation(42)[:20] for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for chosen, batch in zip(rows, pool.map(data.batch, rows), strict=True):
            assert np.array_equal(batch.index["sample"], chosen)


def open_shards(root):
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for link in links if "shard-" in (target := os.readlink(link)) and str(root) in target]


def test_no_more_shards_stay_open_than_may(root, monkeypatch):
    monkeypatch.setattr("blurgen.dataset.reading.allow_open_files", lambda _: 4)
    gc.collect()  # datasets of other tests, which nobody uses any more
    data = open_dataset(root)
    for name in data.sets * 2:
        expected = stored(root, name)
        rows = np.random.default_rng(0).permutation(len(expected[3]))
        assert same(data.batch(rows, name).parts(), [array[rows] for array in expected])
    assert 0 < len(open_shards(root)) <= 16 < len(list(root.rglob("shard-*.h5")))


def test_a_dataset_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"is no dataset \(it has no dataset\.json\)"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="is no dataset"):
        open_dataset(tmp_path / "nowhere")


def test_an_unknown_set_is_refused(root):
    with pytest.raises(InputError, match=r"has no set 'isolated/ears', only full, isolated/background"):
        open_dataset(root).open_set("isolated/ears")


def test_a_missing_shard_is_named_when_the_dataset_is_opened(copy):
    (copy / "isolated/hair/shard-00002.h5").unlink()
    with pytest.raises(InputError, match=r"isolated/hair/shard-00002\.h5: is missing.*blurgen repair"):
        open_dataset(copy)


def test_another_shard_in_its_place_is_refused(copy):
    shutil.copy(copy / "full/shard-00001.h5", copy / "full/shard-00004.h5")
    with pytest.raises(InputError, match=r"full/shard-00004\.h5: is not the shard"):
        open_dataset(copy).batch([41])


def test_another_shard_of_its_size_in_its_place_is_refused(copy):
    shutil.copy(copy / "full/shard-00002.h5", copy / "full/shard-00001.h5")
    with pytest.raises(
        InputError, match=r"full/shard-00001\.h5: row 0 is made of sample 20, which it cannot be"
    ):
        open_dataset(copy).batch([10])


@pytest.mark.parametrize("name", SETS)
def test_where_the_arrays_lie_is_listed_and_no_hdf5_is_needed_to_read_them(copy, name, monkeypatch):
    tree = json.loads((copy / "dataset.json").read_text())
    for shard in tree["sets"][name]:
        with h5py.File(copy / shard["file"]) as file:
            assert shard["offsets"] == [
                file[array].id.get_offset() for array in ("clean", "blurry", "mask", "index")
            ]
    monkeypatch.setattr("blurgen.dataset.reading.read_layout", None)
    rows = open_dataset(copy).open_set(name)
    assert all(map(np.array_equal, rows[:].parts(), stored(copy, name)))


def test_a_dataset_of_an_earlier_blurgen_that_lists_no_offsets_reads_the_same(photos, copy):
    tree = json.loads((copy / "dataset.json").read_text())
    for shards in tree["sets"].values():
        for shard in shards:
            del shard["offsets"]
    (copy / "dataset.json").write_text(json.dumps(tree))
    assert all(map(np.array_equal, open_dataset(copy)[:].parts(), stored(copy, "full")))
    assert verify(copy) == []
    before = (copy / "dataset.json").read_bytes()
    small_dataset.build(photos, copy)
    assert (copy / "dataset.json").read_bytes() == before


def test_other_kernels_than_the_recipes_are_refused(copy):
    (copy / "kernels.h5").unlink()
    small_dataset.small_bank(seed=8).save(copy / "kernels.h5")
    with pytest.raises(InputError, match=r"kernels\.h5: is not the kernel bank of the recipe"):
        _ = open_dataset(copy).bank


# --- hostile datasets ---------------------------------------------------------------------------------


def change(root, path, value):
    tree = json.loads((root / "dataset.json").read_text())
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (root / "dataset.json").write_text(json.dumps(tree))


SHARD = ("sets", "full", 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "other"),
        (("version",), 2),
        (("version",), True),
        (("complete",), "yes"),
        (("recipe",), None),
        (("recipe", "count"), 10**12),
        (("recipe", "patch_size"), 25),
        (("recipe", "shard_size"), 11),
        (("recipe", "faces", "count"), 7),
        (("sets",), []),
        (("sets", "full"), {}),
        (("sets", "full"), []),
        (("sets", "full"), [5]),
        (("sets", "isolated/ears"), []),
        ((*SHARD, "file"), "/etc/passwd"),
        ((*SHARD, "file"), "../full/shard-00001.h5"),
        ((*SHARD, "file"), "full/shard-00002.h5"),
        ((*SHARD, "file"), 5),
        ((*SHARD, "rows"), [10, 2**70]),
        ((*SHARD, "rows"), [20, 10]),
        ((*SHARD, "rows"), [10]),
        ((*SHARD, "rows"), "10"),
        ((*SHARD, "samples"), [0, 10]),
        ((*SHARD, "samples"), [11, 20]),
        ((*SHARD, "samples"), [-10, 0]),
        ((*SHARD, "bytes"), -1),
        ((*SHARD, "bytes"), 1.5),
        ((*SHARD, "digest"), "x"),
        ((*SHARD, "content"), None),
        ((*SHARD, "offsets"), 5),
        ((*SHARD, "offsets"), [2048, 2048, 2048]),
        ((*SHARD, "offsets"), [2048, 2048, 2048, -1]),
        ((*SHARD, "offsets"), [2048, 2048, 2048, 1 << 40]),
        ((*SHARD, "offsets"), [(1 << 62) - 1] * 4),
        ((*SHARD, "offsets"), [0, 0, 0, 0]),
        ((*SHARD, "more"), None),
        (("more",), None),
    ],
)
def test_a_hostile_dataset_json_is_refused_in_one_line(copy, path, value):
    change(copy, path, value)
    with pytest.raises(InputError) as error:
        data = open_dataset(copy)
        data.batch([10, 5])
        _ = data.faces
    assert str(copy) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\ufeff{}", "[" * 10_000, '{"format": NaN}', "\0"])
def test_a_dataset_json_that_is_none_is_refused(copy, text):
    (copy / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(str(copy / "dataset.json"))):
        open_dataset(copy)


def files(name, shards):
    return [shard_file(name, number) for number in shards]


def rows(shards):
    return [record.rows for record in shards.values()]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_dataset_json_is_refused_or_means_the_same_files(root, tmp_path, data):
    content = bytearray((root / "dataset.json").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    (tmp_path / "dataset.json").write_bytes(content[:end])
    try:
        manifest = read_manifest(tmp_path)
    except InputError as error:
        assert str(tmp_path) in str(error)
        assert "\n" not in str(error)
    else:
        sound = read_manifest(root)
        assert set(manifest.sets) == set(sound.sets)
        for name, shards in manifest.sets.items():
            assert files(name, shards) == files(name, sound.sets[name])
            if rows(shards) != rows(sound.sets[name]):  # of a class, which only the shards can contradict
                with pytest.raises(InputError, match="is not the shard that"):
                    Dataset(root, manifest).batch(slice(None), name)


@pytest.mark.parametrize("name", ["dataset.json", "faces.h5", "kernels.h5", "full", "full/shard-00001.h5"])
def test_links_out_of_the_folder_are_not_followed(copy, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (copy / name).rename(elsewhere)
    (copy / name).symlink_to(elsewhere)
    with pytest.raises(InputError, match="leads out of the folder"):
        data = open_dataset(copy)
        data.batch([10, 5])
        _ = data.faces, data.bank


def test_a_whole_dataset_may_be_reached_by_a_link(copy, tmp_path):
    (tmp_path / "link").symlink_to(copy)
    assert len(open_dataset(tmp_path / "link").batch([10, 5])) == 2
