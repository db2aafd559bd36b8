"""Many shards read as one: what is on the disk is asked for at once, and no more is mapped than may be."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blurgen.dataset.mapped_rows import MappedRows
from blurgen.dataset.shards import MappedShard, create_shard, empty_rows, open_shard

PATCH, SIZES = 8, (5, 3, 6, 4)
ROWS = sum(SIZES)


@pytest.fixture(scope="module")
def rows():
    rows = empty_rows(ROWS, PATCH)
    for part in rows.parts():
        part.view(np.uint8)[...] = np.random.default_rng(0).integers(0, 256, part.view(np.uint8).shape)
    return rows


@pytest.fixture(scope="module")
def paths(rows, tmp_path_factory):
    folder, first = tmp_path_factory.mktemp("shards"), 0
    for place, size in enumerate(SIZES):
        with create_shard(folder / f"{place}.h5", size, PATCH) as shard:
            shard.append(type(rows)(*(part[first : first + size] for part in rows.parts())))
        first += size
    return [folder / f"{place}.h5" for place in range(len(SIZES))]


@pytest.fixture(scope="module", autouse=True)
def _compiled(paths):
    """Compile first: while it does, numba holds on to what it was called with."""
    MappedRows(SIZES, PATCH, lambda place: open_shard(paths[place]), most=2).batch(np.array([0, 9]), None)
    gc.collect()


@pytest.fixture
def alive():
    return weakref.WeakSet()


@pytest.fixture
def calls():
    """The places of the shards that were mapped, one after another."""
    return []


@pytest.fixture
def mapped(paths, alive, calls):
    return rows_of(paths, alive, calls, most=2)


def rows_of(paths, alive, calls, most):
    def map_shard(place):
        shard = open_shard(paths[place])
        alive.add(shard.buffer)
        calls.append(place)
        return shard

    return MappedRows(SIZES, PATCH, map_shard, most=most)


def same(batch, rows, chosen):
    pairs = zip(batch.parts(), rows.parts(), strict=True)
    return all(np.array_equal(part, whole[chosen]) for part, whole in pairs)


def test_no_more_shards_stay_mapped_than_may(mapped, alive, rows):
    for chosen in np.random.default_rng(1).integers(0, ROWS, (30, 2)):
        assert same(mapped.batch(chosen, None), rows, chosen)
        assert 0 < len(alive) <= 2


def test_the_shard_that_was_not_used_for_longest_goes_and_no_other(paths, alive, calls, rows):
    mapped = rows_of(paths, alive, calls, most=3)
    first_of = [0, 5, 8, 14]
    for places in ([0, 1], [2, 0], [3, 0], [0, 3, 2], [1, 3]):
        chosen = np.array([first_of[place] for place in places])
        assert same(mapped.batch(chosen, None), rows, chosen)
        assert len(alive) <= 3
    # 3 takes the place of 1, which is the oldest; then 1 that of 0 or 2, last used together.
    assert calls == [*sorted([0, 1], key=calls.index), 2, 3, 1]


def test_random_batches_over_too_many_shards_map_only_what_is_missing(paths, alive, calls, rows):
    mapped = rows_of(paths, alive, calls, most=3)
    batches = np.random.default_rng(4).integers(0, ROWS, (300, 2))
    for chosen in batches:
        assert same(mapped.batch(chosen, None), rows, chosen)
    # One shard of four is missing: to map all shards of a batch again would be about 525 times.
    assert len(calls) < 250


def test_a_batch_may_need_more_shards_than_stay_mapped(mapped, alive, rows):
    everything = np.arange(ROWS)[::-1].copy()
    assert same(mapped.batch(everything, None), rows, everything)
    mapped.batch(np.array([0, 2]), None)
    assert same(mapped.batch(everything, None), rows, everything)


def test_fresh_arrays_share_one_block_that_begins_at_a_cache_line(mapped):
    batches = [mapped.batch(np.array([9, 2, 17]), None) for _ in range(8)]
    assert all(batch.clean.ctypes.data % 64 == 0 for batch in batches)
    assert all(part.base is batch.clean.base for batch in batches for part in batch.parts())


def test_views_outlive_what_is_mapped(mapped, rows):
    chosen = np.array([6, 7])
    view = mapped.batch(chosen, None)
    for other in (0, 9, 15):
        mapped.batch(np.array([other]), None)
    assert same(view, rows, chosen)


def test_threads_may_map_and_unmap_what_others_read(mapped, rows):
    chosen = np.random.default_rng(2).integers(0, ROWS, (400, 3))
    with ThreadPoolExecutor(4) as pool:
        batches = pool.map(lambda numbers: mapped.batch(numbers, None), chosen)
        assert all(same(batch, rows, numbers) for numbers, batch in zip(chosen, batches, strict=True))


@pytest.mark.parametrize("chosen", [[17, 3, 3, 8], [7]])
def test_rows_on_the_disk_are_all_asked_for_at_once(mapped, rows, monkeypatch, chosen):
    asked = []
    monkeypatch.setattr(MappedShard, "read_ahead", lambda shard, row: asked.append(shard.index[row]))
    mapped.batch(np.array(chosen), None)
    asked.clear()
    monkeypatch.setattr("blurgen.dataset.mapped_rows._FROM_DISK", 10**9)
    mapped.batch(np.array(chosen), None)
    assert asked == []
    monkeypatch.setattr("blurgen.dataset.mapped_rows._FROM_DISK", -1)
    assert same(mapped.batch(np.array(chosen), None), rows, chosen)
    assert [row.tobytes() for row in asked] == [rows.index[row].tobytes() for row in chosen]


def test_asking_for_any_row_of_a_shard_is_allowed(paths, rows):
    shard = open_shard(paths[0])
    shard.expect_any_row()
    for row in range(SIZES[0]):
        shard.read_ahead(row)
    shard.expect_run()
    assert same(shard, rows, slice(0, SIZES[0]))
