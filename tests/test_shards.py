"""Shards hold what was put in, appear whole or not at all, and cannot be made to lie."""

from __future__ import annotations

import os
import re

import h5py
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blurgen.dataset.shards import ShardArrays, ShardRecord, create_shard, open_shard, record_shard
from blurgen.errors import InputError
from blurgen.files.digests import record_file
from blurgen.synthesis.recipe import INDEX_DTYPE


def rows(count: int = 5, patch: int = 8, seed: int = 0) -> ShardArrays:
    random = np.random.default_rng(seed)
    index = np.zeros(count, INDEX_DTYPE)
    index["sample"] = np.arange(count) + 2**40
    index["left"] = random.integers(-5, 5, count)
    picture = (count, patch, patch, 3)
    return ShardArrays(
        random.integers(0, 256, picture, np.uint8),
        random.integers(0, 256, picture, np.uint8),
        random.integers(0, 11, picture[:3], np.uint8),
        index,
    )


def write_shard(path, rows: ShardArrays) -> ShardRecord:
    with create_shard(path, len(rows), rows.clean.shape[1]) as writer:
        writer.append(rows)
    return writer.record


def part(shard: ShardArrays, first: int, end: int) -> ShardArrays:
    return ShardArrays(*(array[first:end] for array in shard.parts()))


def test_what_goes_in_comes_out_mapped_and_read_only(tmp_path):
    written = rows()
    write_shard(tmp_path / "shard.h5", written)
    read = open_shard(tmp_path / "shard.h5")
    for one, other in zip(written.parts(), read.parts(), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
        assert not other.flags.writeable


def test_any_hdf5_tool_can_read_it(tmp_path):
    written = rows()
    write_shard(tmp_path / "shard.h5", written)
    with h5py.File(tmp_path / "shard.h5") as file:
        assert dict(file.attrs) == {"format": "blurgen-shard", "version": 1}
        for name, array in zip(("clean", "blurry", "mask", "index"), written.parts(), strict=True):
            assert np.array_equal(file[name][()], array)
            assert file[name].chunks is None


def test_digests_are_those_of_the_format(tmp_path):
    path, written = tmp_path / "shard.h5", rows()
    digest = write_shard(path, written)
    everything = b"".join(array.tobytes() for array in written.parts())
    assert digest.content == xxhash.xxh3_128_hexdigest(everything)
    assert digest.digest == xxhash.xxh3_128_hexdigest(path.read_bytes()) == record_file(path).digest
    assert digest.bytes == path.stat().st_size
    assert record_shard(path) == digest


def test_equal_rows_give_equal_files_however_they_are_written(tmp_path):
    written = rows(7)
    write_shard(tmp_path / "one.h5", written)
    with create_shard(tmp_path / "two.h5", 7, 8) as shard:
        for first, end in ((0, 1), (1, 1), (1, 6), (6, 7)):
            shard.append(part(written, first, end))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_shard_appears_only_when_it_is_whole(tmp_path):
    with pytest.raises(KeyError), create_shard(tmp_path / "shard.h5", 5, 8) as shard:
        shard.append(part(rows(), 0, 3))
        assert not (tmp_path / "shard.h5").exists()
        raise KeyError
    with (
        pytest.raises(ValueError, match="must get 5 rows, not 3"),
        create_shard(tmp_path / "shard.h5", 5, 8) as shard,
    ):
        shard.append(part(rows(), 0, 3))
    assert list(tmp_path.iterdir()) == []


def test_rows_that_do_not_fit_are_refused(tmp_path):
    with create_shard(tmp_path / "shard.h5", 5, 8) as shard:
        with pytest.raises(ValueError, match="room for 5 rows, not 6"):
            shard.append(rows(6))
        with pytest.raises(ValueError, match=re.escape("must have (5, 8, 8, 3), not (5, 9, 9, 3)")):
            shard.append(rows(5, 9))
        shard.append(rows(5))


def replaced(path, name, make):
    """Write a sound shard to ``path`` and put something else in the place of one dataset."""
    write_shard(path, rows())
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file)


def external_link(file):
    file["clean"] = h5py.ExternalLink("other.h5", "clean")


def soft_link(file):
    file["clean"] = h5py.SoftLink("/blurry")


def external_storage(file):
    file.create_dataset("clean", (5, 8, 8, 3), np.uint8, external=[("secret.bin", 0, 960)])


def virtual(file):
    layout = h5py.VirtualLayout((5, 8, 8, 3), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "clean", (5, 8, 8, 3))
    file.create_virtual_dataset("clean", layout)


def absurd_shape(file):
    file.create_dataset("clean", (2**40, 8, 8, 3), np.uint8, chunks=(1, 8, 8, 3))


def absurd_contiguous(file):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple((2**40, 8, 8, 3))
    h5py.h5d.create(file.id, b"clean", h5py.h5t.NATIVE_UINT8, space, plan)


def other_type(file):
    file.create_dataset("clean", (5, 8, 8, 3), np.float32)


def text(file):
    file.create_dataset("clean", (5, 8, 8, 3), h5py.string_dtype())


def other_shape(file):
    file.create_dataset("clean", (4, 8, 8, 3), np.uint8)


def group(file):
    file.create_group("clean")


def compressed(file):
    file.create_dataset("clean", (5, 8, 8, 3), np.uint8, compression="gzip")


def chunked(file):
    file.create_dataset("clean", data=np.zeros((5, 8, 8, 3), np.uint8), chunks=(1, 8, 8, 3))


def nothing(file):
    pass


@pytest.mark.parametrize(
    "make",
    [
        external_link,
        soft_link,
        external_storage,
        virtual,
        absurd_shape,
        absurd_contiguous,
        other_type,
        text,
        other_shape,
        group,
        compressed,
        chunked,
        nothing,
    ],
)
def test_hostile_datasets_are_refused_by_name(tmp_path, make):
    (tmp_path / "secret.bin").write_bytes(bytes(960))
    write_shard(tmp_path / "other.h5", rows())
    replaced(tmp_path / "shard.h5", "clean", make)
    with pytest.raises(InputError, match=r"shard\.h5.*clean"):
        open_shard(tmp_path / "shard.h5")


def test_oblong_patches_and_other_versions_are_refused(tmp_path):
    path = tmp_path / "shard.h5"
    replaced(path, "mask", lambda file: file.create_dataset("mask", data=np.zeros((5, 8, 9), np.uint8)))
    with pytest.raises(InputError, match="square"):
        open_shard(path)
    write_shard(path, rows())
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(InputError, match="version 2"):
        open_shard(path)


def test_a_link_in_place_of_a_shard_is_not_followed(tmp_path):
    write_shard(tmp_path / "elsewhere.h5", rows())
    (tmp_path / "shard.h5").symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(InputError, match="cannot be read"):
        open_shard(tmp_path / "shard.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5", bytes(5000)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "shard.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"shard\.h5"):
        open_shard(tmp_path / "shard.h5")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_read_within_bounds(tmp_path, data):
    path, sound = tmp_path / "shard.h5", tmp_path / "sound.h5"
    if not sound.exists():
        write_shard(sound, rows())
    content = bytearray(sound.read_bytes())
    for place in data.draw(st.lists(st.integers(0, 2500), max_size=8)):  # the headers lie here
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(content[:end])
    try:
        read = open_shard(path)
    except InputError as error:
        assert "shard.h5" in str(error)
        assert "\n" not in str(error)
    else:
        for array in read.parts():
            array.tobytes()
    os.unlink(path)
