"""Rows from here and there come to the right places, compiled or not, and a slow one stops the copying."""

from __future__ import annotations

import numpy as np
import pytest

from blurgen.dataset.copy_rows import gather
from blurgen.dataset.shards import empty_rows
from blurgen.synthesis.recipe import INDEX_DTYPE

PATCH = 6
FOREVER = 1 << 62


def random_rows(count, seed):
    rows = empty_rows(count, PATCH)
    for part in rows.parts():
        part.view(np.uint8)[...] = np.random.default_rng(seed).integers(0, 256, part.view(np.uint8).shape)
    return rows


@pytest.fixture(scope="module")
def shards():
    return [random_rows(count, seed) for seed, count in enumerate((5, 1, 7))]


@pytest.fixture
def places(shards):
    starts = np.cumsum([0, *map(len, shards)])
    return starts, np.array([[part.ctypes.data for part in shard.parts()] for shard in shards])


@pytest.mark.parametrize("run", [gather, gather.py_func], ids=["compiled", "plain"])
def test_rows_go_where_they_are_wanted(shards, places, run):
    rows = np.random.default_rng(3).integers(0, 13, 40)
    batch = random_rows(40, seed=4)
    assert run(rows, 0, *places, *batch.parts(), FOREVER) == 40
    for part, *stored in zip(batch.parts(), *(shard.parts() for shard in shards), strict=True):
        assert np.array_equal(part, np.concatenate(stored)[rows])
    assert batch.index.dtype == INDEX_DTYPE


@pytest.mark.parametrize("run", [gather, gather.py_func], ids=["compiled", "plain"])
def test_it_stops_before_a_row_that_is_too_slow_and_goes_on_from_there(shards, places, run):
    rows = np.array([12, 0, 5, 6])
    batch, before = random_rows(4, seed=4), random_rows(4, seed=4)
    assert run(rows, 1, *places, *batch.parts(), -1) == 1  # no row is as quick as that
    assert batch.clean.tobytes() == before.clean.tobytes()
    assert run(rows, 1, *places, *batch.parts(), FOREVER) == 4
    assert np.array_equal(batch.mask[0], before.mask[0])
    assert np.array_equal(batch.mask[1], shards[0].mask[0])
    assert np.array_equal(batch.mask[3], shards[2].mask[0])
