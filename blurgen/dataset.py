"""Reading a dataset: triplets by number and by batch, mapped straight from the page cache.

A dataset without shards (``--recipe-only``) gives the same arrays, made on the fly. Nothing is open
before it is used and no file handle is shared, so a Dataset may be pickled, forked and used by threads.
"""

from __future__ import annotations

import resource
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import accumulate
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.store import FaceStore
from blurgen.kernels import KernelBank
from blurgen.manifest import FULL, Manifest, inside, read_manifest, set_names, shard_file
from blurgen.recipe import INDEX_DTYPE, Recipe
from blurgen.render import Renderer, open_faces, open_kernels
from blurgen.shards import MappedShard, ShardArrays, ShardLayout, map_shard, read_layout

_FROM_DISK = 200_000  # nanoseconds: copying a picture from memory takes some 10,000
_SAMPLES_COUNTED = 1 << 16  # at a time, so that finding the rows of class sets takes no memory to speak of


@dataclass(frozen=True)
class Triplet:
    """One row of a set."""

    clean: NDArray[np.uint8]
    """uint8 ``[P, P, 3]``, RGB."""
    blurry: NDArray[np.uint8]
    """uint8 ``[P, P, 3]``, RGB."""
    mask: NDArray[np.uint8]
    """uint8 ``[P, P]``, labels (blurgen.labels.Label)."""
    index: np.void
    """INDEX_DTYPE: sample number, face number, corner of the crop, kernel number."""


class ShardSet:
    """The rows of one set of a dataset, in order; a sequence of Triplet."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.name = name
        self._dataset = dataset

    def __len__(self) -> int:
        return self._dataset.set_length(self.name)

    def __getitem__(self, row: int) -> Triplet:
        """Return one row; mapped arrays are read-only. Raises IndexError past the end."""
        row = range(len(self))[row]
        rows = self.batch(slice(row, row + 1))
        return Triplet(rows.clean[0], rows.blurry[0], rows.mask[0], rows.index[0])

    def batch(
        self, rows: Sequence[int] | NDArray[np.integer[Any]] | slice, *, out: ShardArrays | None = None
    ) -> ShardArrays:
        """Return several rows (see ``Dataset.batch``)."""
        return self._dataset.batch(rows, self.name, out=out)


class Dataset:
    """A dataset in a folder; ``len`` and ``[i]`` are those of its full set."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self._manifest = manifest
        # A mapped shard holds a file descriptor, and a process may not have many.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._shard = lru_cache(maxsize=max(16, min(most, 4096)))(partial(_map_shard, root, manifest, {}))

    def __reduce__(self) -> tuple[type[Dataset], tuple[Path, Manifest], dict[str, Any]]:
        # What is mapped or opened stays behind; what took long to count goes along.
        kept = {"_members": self.__dict__["_members"]} if "_members" in self.__dict__ else {}
        return Dataset, (self.root, self._manifest), kept

    @property
    def recipe(self) -> Recipe:
        """What the dataset is made of."""
        return self._manifest.recipe

    @property
    def complete(self) -> bool:
        """Whether all its shards are there (or none is wanted); else the sets hold what there is so far."""
        return self._manifest.complete

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets: "full", and with class isolation "isolated/background" and so on."""
        return set_names(self.recipe)

    @cached_property
    def faces(self) -> FaceStore:
        """The faces the patches are cut from."""
        return open_faces(self.root, self.recipe)

    @cached_property
    def bank(self) -> KernelBank:
        """The kernels the patches are blurred with."""
        return open_kernels(self.root, self.recipe)

    def __len__(self) -> int:
        return self.set_length(FULL)

    def __getitem__(self, row: int) -> Triplet:
        """Return one triplet of the full set."""
        return self.open_set(FULL)[row]

    def open_set(self, name: str) -> ShardSet:
        """Return one set by name; InputError when the dataset has no such set."""
        self._check_set(name)
        return ShardSet(self, name)

    def set_length(self, name: str) -> int:
        """Return how many rows a set has."""
        self._check_set(name)
        if not self._manifest.recipe_only:
            return self._starts[name][-1]
        return self.recipe.count if name == FULL else len(self._members[name])

    def batch(
        self,
        rows: Sequence[int] | NDArray[np.integer[Any]] | slice,
        set: str = FULL,  # the word users know
        *,
        out: ShardArrays | None = None,
    ) -> ShardArrays:
        """Return rows of one set, in the order asked for.

        ``rows`` are row numbers (0 to the length of the set less 1) or a slice. A run of consecutive rows
        that lies in one shard comes as read-only views, nothing copied; anything else as fresh arrays. With
        ``out``, writeable arrays of that many rows, all go there (into pinned memory, say), and it is
        returned. Raises IndexError for a row that does not exist, ValueError for arrays that do not fit,
        InputError when a shard is missing or damaged.
        """
        self._check_set(set)
        numbers = self._row_numbers(rows, set)
        if out is not None:
            _check_out(out, len(numbers), self.recipe.patch_size)
        if self._manifest.recipe_only:
            samples = np.array(numbers, np.int64)
            if set != FULL:
                samples = self._members[set][samples]
            made = self._renderer.rows(self._renderer.plan(samples), set)
            return made if out is None else _copied(made, out)
        return self._read(set, numbers, out)

    def find(self, sample: int, set: str = FULL) -> int | None:
        """Return the row of a set that was made from sample number ``sample``, or None if it has none."""
        self._check_set(set)
        if set == FULL and self.complete:
            return sample if 0 <= sample < self.recipe.count else None
        if self._manifest.recipe_only:
            return _position(self._members[set], sample)
        number = sample // self.recipe.shard_size
        if number not in self._manifest.sets[set]:
            return None
        row = _position(self._shard(set, number).index["sample"], sample)
        return None if row is None else self._starts[set][self._numbers[set].index(number)] + row

    def _check_set(self, name: str) -> None:
        if name not in self.sets:
            raise InputError(
                f"{self.root}: has no set '{name}', only {', '.join(self.sets)}; "
                "sets of classes are made with --class-isolated."
            )

    def _row_numbers(self, rows: Sequence[int] | NDArray[Any] | slice, name: str) -> list[int]:
        length = self.set_length(name)
        if isinstance(rows, slice):
            return list(range(*rows.indices(length)))
        numbers = np.asarray(rows)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise IndexError(f"Argument 'rows' must be row numbers [n], not {numbers.dtype} {numbers.shape}.")
        found: list[int] = numbers.tolist()
        if found and not (min(found) >= 0 and max(found) < length):
            raise IndexError(f"Argument 'rows' must be from 0 to {length - 1}.")
        return found

    # --- shards ---------------------------------------------------------------------------------------

    @cached_property
    def _starts(self) -> dict[str, list[int]]:
        """For each set the first row of every shard, and its length at the end."""
        return {
            name: list(accumulate((record.rows for _, record in sorted(records.items())), initial=0))
            for name, records in self._manifest.sets.items()
        }

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        """For each set the numbers of its shards, in order; a set of a class may lack some."""
        return {name: sorted(records) for name, records in self._manifest.sets.items()}

    def _read(self, name: str, rows: list[int], out: ShardArrays | None) -> ShardArrays:
        # Lists: for as few numbers as a batch has, they are several times faster than arrays.
        starts, numbers = self._starts[name], self._numbers[name]
        places = [bisect_right(starts, row) - 1 for row in rows]
        if rows and places[0] == places[-1] and rows == list(range(rows[0], rows[0] + len(rows))):
            shard = self._shard(name, numbers[places[0]])
            first = rows[0] - starts[places[0]]
            shard.read_in_order()
            run = ShardArrays(*(part[first : first + len(rows)] for part in shard.parts()))
            return run if out is None else _copied(run, out)
        batch = _empty(len(rows), self.recipe.patch_size) if out is None else out
        found = [
            (self._shard(name, numbers[place]).parts(), row - starts[place])
            for row, place in zip(rows, places, strict=True)
        ]
        clean, *others = batch.parts()
        self._read_ahead(name, rows[:1])
        asked = False
        for i, (arrays, row) in enumerate(found):
            began = perf_counter_ns()
            clean[i] = arrays[0][row]
            if not asked and perf_counter_ns() - began > _FROM_DISK:
                asked = True
                self._read_ahead(name, sorted(rows))  # as they lie on the disk
        for n, part in enumerate(others, start=1):
            for i, (arrays, row) in enumerate(found):
                part[i] = arrays[n][row]
        return batch

    def _read_ahead(self, name: str, rows: list[int]) -> None:
        """Ask the disk for rows at once: left alone, a mapped page is fetched only when it is touched."""
        starts, numbers = self._starts[name], self._numbers[name]
        for row in rows:
            place = bisect_right(starts, row) - 1
            self._shard(name, numbers[place]).read_ahead(row - starts[place])

    # --- on the fly -----------------------------------------------------------------------------------

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.root, self.recipe)

    @cached_property
    def _members(self) -> dict[str, NDArray[np.int64]]:
        """For each set of a class the samples that belong to it."""
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self.sets if name != FULL}
        for first in range(0, self.recipe.count, _SAMPLES_COUNTED):
            samples = np.arange(first, min(first + _SAMPLES_COUNTED, self.recipe.count))
            rows = self._renderer.rows_by_set(self._renderer.plan(samples))
            for name, parts in found.items():
                parts.append(samples[rows[name]])
        return {name: np.concatenate(parts) for name, parts in found.items()}


def open_dataset(root: str | Path) -> Dataset:
    """Open the dataset in a folder, with or without shards.

    InputError when there is none, when its ``dataset.json`` is damaged, when the build was not finished, or
    when shards are missing. Nothing outside the folder is ever read.
    """
    root = Path(root)
    manifest = read_manifest(root)
    if not manifest.complete:
        done = len(manifest.sets[FULL])
        raise InputError(
            f"{root}: has {done} of {manifest.recipe.shard_count} shards only; "
            "run the same 'blurgen build-dataset' again to finish it."
        )
    for name, records in manifest.sets.items():
        there = {path.name for path in inside(root, name).glob("shard-*.h5")} if records else set()
        for number in records:
            file = shard_file(name, number)
            if Path(file).name not in there:
                raise InputError(f"{root / file}: is missing; make it again with 'blurgen repair {root}'.")
    return Dataset(root, manifest)


def _empty(rows: int, patch: int) -> ShardArrays:
    return ShardArrays(
        np.empty((rows, patch, patch, 3), np.uint8),
        np.empty((rows, patch, patch, 3), np.uint8),
        np.empty((rows, patch, patch), np.uint8),
        np.empty(rows, INDEX_DTYPE),
    )


def _check_out(out: ShardArrays, rows: int, patch: int) -> None:
    for array, wanted in zip(out.parts(), _empty(0, patch).parts(), strict=True):
        shape = (rows, *wanted.shape[1:])
        if array.shape != shape or array.dtype != wanted.dtype or not array.flags.writeable:
            raise ValueError(f"Argument 'out' must have a writeable {wanted.dtype} {list(shape)}.")


def _copied(rows: ShardArrays, out: ShardArrays) -> ShardArrays:
    for target, part in zip(out.parts(), rows.parts(), strict=True):
        target[...] = part
    return out


def _position(ascending: NDArray[Any], value: int) -> int | None:
    place = int(np.searchsorted(ascending, value))
    return place if place < len(ascending) and ascending[place] == value else None


def _map_shard(
    root: Path, manifest: Manifest, known: dict[tuple[str, int], ShardLayout], name: str, number: int
) -> MappedShard:
    """Map one shard; ``known`` keeps the layouts of those that were mapped before."""
    path = inside(root, shard_file(name, number))
    layout = known.get((name, number))
    if layout is None:
        layout = read_layout(path)
        wanted = manifest.sets[name][number].rows
        if (layout.rows, layout.patch_size) != (wanted, manifest.recipe.patch_size):
            raise InputError(f"{path}: is not the shard that dataset.json lists; see 'blurgen repair'.")
        known[name, number] = layout
    return map_shard(path, layout)
