"""The rows of many shards as if they were one, each shard mapped when a row of it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from time import perf_counter_ns
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.dataset.copy_rows import gather
from blurgen.dataset.shards import MappedShard, ShardArrays, empty_rows

_FROM_DISK: Final = 30_000  # nanoseconds; a first byte takes some 700 from memory, 100,000 from a disk
_FOREVER: Final = 1 << 62


@dataclass(frozen=True)
class _Maps:
    """What is mapped at a time.

    It never changes: to map one more shard makes another. So threads copy from it without a lock, and
    nothing is unmapped before the last of them is done.
    """

    shards: dict[int, MappedShard]
    """By their place among all shards, those first whose last use is longest ago, as far as it is known."""
    addresses: NDArray[np.int64]
    """``[shards, 4]``: where their arrays lie in memory; 0 for those that are not mapped."""


class MappedRows:
    """The rows of shards that have ``sizes`` rows and that ``map_shard`` maps by their place.

    Up to ``most`` are kept mapped, and as many more as one batch needs. Where one more is one too many, the
    one whose last use is longest ago goes.
    """

    def __init__(
        self, sizes: Iterable[int], patch_size: int, map_shard: Callable[[int], MappedShard], most: int
    ) -> None:
        self.starts = list(accumulate(sizes, initial=0))
        """The first row of every shard, and how many rows there are."""
        self._patch_size = patch_size
        self._map_shard = map_shard
        self._most = most
        self._start_array = np.array(self.starts)
        self._maps = _Maps({}, np.zeros((len(self.starts) - 1, 4), np.int64))

    def shard(self, place: int) -> MappedShard:
        """Return one shard, mapped."""
        return self._with({place}).shards[place]

    def batch(self, rows: NDArray[np.int64], out: ShardArrays | None) -> ShardArrays:
        """Return rows that exist, as ``Dataset.batch`` does."""
        run = self._run(rows)
        if run is not None:
            return run if out is None else run.copy_into(out)
        if out is not None and all(part.flags.c_contiguous for part in out.parts()):
            return self._gather(rows, out)
        batch = self._gather(rows, empty_rows(len(rows), self._patch_size))
        return batch if out is None else batch.copy_into(out)

    def _run(self, rows: NDArray[np.int64]) -> ShardArrays | None:
        """Return views of consecutive rows of one shard; None if they are not."""
        if not len(rows):
            return None
        first, last = int(rows[0]), int(rows[-1])
        place = bisect_right(self.starts, first) - 1
        if last >= self.starts[place + 1] or last - first != len(rows) - 1 or (np.diff(rows) != 1).any():
            return None
        maps = self._with({place})
        shard, start = maps.shards[place], first - self.starts[place]
        if len(rows) > 1:
            shard.expect_run()
        elif _is_on_disk(shard, start):
            self._read_ahead(maps, rows)
        return ShardArrays(*(part[start : start + len(rows)] for part in shard.parts()))

    def _gather(self, rows: NDArray[np.int64], batch: ShardArrays) -> ShardArrays:
        """Copy rows from here and there, into contiguous arrays."""
        maps = self._maps
        if len(maps.shards) < len(maps.addresses):
            maps = self._with(set(self._places(rows)))
        given = self._start_array, maps.addresses, *batch.parts()
        done = gather(rows, 0, *given, _FROM_DISK)
        if done < len(rows):
            self._read_ahead(maps, rows[done:])
            gather(rows, done, *given, _FOREVER)
        return batch

    def _places(self, rows: NDArray[np.int64]) -> list[int]:
        places: list[int] = (np.searchsorted(self._start_array, rows, side="right") - 1).tolist()
        return places

    def _read_ahead(self, maps: _Maps, rows: NDArray[np.int64]) -> None:
        """Ask the disk for all rows at once.

        Left alone, a mapped page is fetched only when it is touched, and one is waited for after the other.
        """
        places = self._places(rows)
        for place in set(places):
            maps.shards[place].expect_any_row()
        for row, place in zip(rows.tolist(), places, strict=True):
            maps.shards[place].read_ahead(row - self.starts[place])

    def _with(self, places: set[int]) -> _Maps:
        """Return maps with the shards at ``places`` among them, and remember them."""
        maps = self._maps  # once: another thread may put others there at any time
        missing = places - maps.shards.keys()
        if missing:
            unused = [place for place in maps.shards if place not in places]
            dropped = unused[: max(0, len(maps.shards) + len(missing) - self._most)]
            shards = {place: maps.shards[place] for place in unused[len(dropped) :]}
            shards |= {place: maps.shards[place] for place in places - missing}
            fresh = {place: self._map(place) for place in missing}
            addresses = maps.addresses.copy()
            addresses[dropped] = 0
            for place, shard in fresh.items():
                addresses[place] = shard.addresses
            self._maps = maps = _Maps(shards | fresh, addresses)
        return maps

    def _map(self, place: int) -> MappedShard:
        shard = self._map_shard(place)
        shard.expect_any_row()
        return shard


def _is_on_disk(shard: MappedShard, row: int) -> bool:
    before = perf_counter_ns()
    shard.clean[row, 0, 0, 0]
    return perf_counter_ns() - before > _FROM_DISK
