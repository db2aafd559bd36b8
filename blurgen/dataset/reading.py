"""Reading a dataset: triplets by number and by batch, mapped straight from the page cache.

A dataset without shards (``recipe_only``) gives the same arrays, made on the fly. Nothing is open
before it is used and no file handle is shared, so a Dataset may be pickled, forked and used by threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from blurgen.dataset.manifest import FULL, DatasetManifest, read_manifest, set_called, set_names, shard_file
from blurgen.dataset.mapped_rows import MappedRows
from blurgen.dataset.render import Renderer, open_faces, open_kernels
from blurgen.dataset.shards import MappedShard, ShardArrays, ShardLayout, map_shard, read_layout
from blurgen.errors import Argument, InputError
from blurgen.faces.store import FaceStore
from blurgen.files.inside import inside
from blurgen.files.open_files import allow_open_files
from blurgen.jobs.progress import counted
from blurgen.kernels.bank import KernelBank
from blurgen.synthesis.recipe import INDEX_DTYPE, Recipe

_LEAST_MAPPED, _MOST_MAPPED = 16, 1 << 14  # shards; Linux allows some 65,000 maps of any kind
if TYPE_CHECKING:
    from blurgen.dataset.table import SampleTable

Rows = Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_] | slice
"""Several rows of a set: their numbers, a mask of all of them, or a slice."""

_SAMPLES_COUNTED = 1 << 16  # at a time, so that finding the rows of class sets takes no memory to speak of


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        side, made_of = len(self.mask), self.index
        return (
            f"Triplet(sample {made_of['sample']}, {side} x {side}: face {made_of['image']} at row "
            f"{made_of['top']}, column {made_of['left']}; kernel {made_of['kernel']})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Triplet):
            return NotImplemented
        ours, theirs = (self.clean, self.blurry, self.mask), (other.clean, other.blurry, other.mask)
        same = all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        return same and bool(self.index == other.index)

    def __hash__(self) -> int:
        return hash(self.index.tobytes())

    def _repr_png_(self) -> bytes:
        from blurgen.dataset.pictures import triplet_picture  # noqa: PLC0415

        return triplet_picture(self)


class ShardSet:
    """The rows of one set of a dataset, in order; a sequence of Triplet."""

    def __init__(self, dataset: Dataset, set_name: str) -> None:
        self.set_name = set_name
        self._dataset = dataset

    def __len__(self) -> int:
        return self._dataset.set_length(self.set_name)

    def __repr__(self) -> str:
        return f"ShardSet('{self.set_name}', {counted(len(self), 'row')} of {self._dataset.root})"

    @overload
    def __getitem__(self, row: int) -> Triplet: ...
    @overload
    def __getitem__(self, row: Rows) -> ShardArrays: ...
    def __getitem__(self, row: int | Rows) -> Triplet | ShardArrays:
        """Return one row by number, or several as ``Dataset.batch`` does. Raises IndexError past the end."""
        if not isinstance(row, int | np.integer):
            return self.batch(row)
        length = len(self)
        if not -length <= row < length:
            has = counted(length, "row")
            raise IndexError(f"There is no row {row}: the set '{self.set_name}' has {has}.")
        row %= length
        rows = self.batch(slice(row, row + 1))
        return Triplet(rows.clean[0], rows.blurry[0], rows.mask[0], rows.index[0])

    def batch(self, rows: Rows, *, out: ShardArrays | None = None) -> ShardArrays:
        """Return several rows (see ``Dataset.batch``)."""
        return self._dataset.batch(rows, self.set_name, out=out)


class Dataset:
    """A dataset in a folder; ``len`` and ``[i]`` are those of its full set.

    >>> with blurgen.open_dataset(small_dataset) as dataset:
    ...     dataset, dataset[0].clean.shape, dataset[-2:].blurry.shape
    (Dataset('...', 6 triplets of 32 x 32, complete), (32, 32, 3), (2, 32, 32, 3))
    """

    def __init__(self, root: Path, manifest: DatasetManifest) -> None:
        self.root = root
        self._manifest = manifest

    def __reduce__(self) -> tuple[type[Dataset], tuple[Path, DatasetManifest], dict[str, Any]]:
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

    @cached_property
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

    def __repr__(self) -> str:
        side, done = self.recipe.patch_size, len(self)
        state = "complete" if self.complete else f"of {self.recipe.count:,} so far"
        state += ", made on the fly" if self._manifest.recipe_only else ""
        return f"Dataset('{self.root}', {counted(done, 'triplet')} of {side} x {side}, {state})"

    @overload
    def __getitem__(self, row: int) -> Triplet: ...
    @overload
    def __getitem__(self, row: Rows) -> ShardArrays: ...
    def __getitem__(self, row: int | Rows) -> Triplet | ShardArrays:
        """Return one triplet of the full set by its number, or several as ``batch`` does."""
        return self.open_set(FULL)[row]

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all files; what is used again is opened again. Arrays that were given out stay valid."""
        if "faces" in self.__dict__:
            self.faces.close()
        if "_renderer" in self.__dict__:
            self._renderer.close()
        for name in ("faces", "bank", "_mapped", "_renderer"):
            self.__dict__.pop(name, None)

    def table(self, set_name: str = FULL) -> SampleTable:
        """Return what every row of a set is made of, a column for each thing; see ``SampleTable``.

        >>> blurgen.open_dataset(small_dataset).table()["kernel_size"].shape
        (6,)
        """
        from blurgen.dataset.table import sample_table  # noqa: PLC0415

        return sample_table(self, set_name)

    def _repr_png_(self) -> bytes | None:
        from blurgen.dataset.pictures import contact_sheet, png  # noqa: PLC0415

        return png(contact_sheet(self, 4)) if len(self) else None

    def open_set(self, set_name: str) -> ShardSet:
        """Return one set by name, "isolated/skin" or just "skin"; InputError when there is none."""
        set_name = set_called(set_name)
        self._check_set(set_name)
        return ShardSet(self, set_name)

    def set_length(self, set_name: str) -> int:
        """Return how many rows a set has."""
        self._check_set(set_name)
        if not self._manifest.recipe_only:
            return len(self._stored_rows[set_name])
        return self.recipe.count if set_name == FULL else len(self._members[set_name])

    def batch(self, rows: Rows, set_name: str = FULL, *, out: ShardArrays | None = None) -> ShardArrays:
        """Return rows of one set, in the order asked for.

        ``rows`` are row numbers, negative ones from the end; a slice; or a mask, bool ``[set length]``.
        A run of consecutive rows that lies in one shard comes as read-only views, nothing copied; anything
        else as fresh arrays, which share one block of memory, so that to keep one of them is to keep all.
        With ``out``, writeable arrays of that many rows, all go there (into pinned memory, say), and it is
        returned. Raises IndexError for a row that does not exist, ValueError for arrays that do not fit,
        InputError when a shard is missing or damaged.
        """
        self._check_set(set_name)
        numbers = self._row_numbers(rows, set_name)
        if out is not None:
            _check_out(out, len(numbers), self.recipe.patch_size)
        if self._manifest.recipe_only:
            samples = numbers if set_name == FULL else self._members[set_name][numbers]
            made = self._renderer.rows(self._renderer.plan(samples), set_name)
            return made if out is None else made.copy_into(out)
        return self._mapped.batch(numbers + self._stored_rows[set_name].start, out)

    def index(self, set_name: str = FULL) -> NDArray[np.void]:
        """Return what every row of a set is made of, INDEX_DTYPE ``[len of the set]``; no pixel is read."""
        self._check_set(set_name)
        if self._manifest.recipe_only:
            samples = np.arange(self.recipe.count) if set_name == FULL else self._members[set_name]
            return self._renderer.plan(samples)
        places = [i for i, (name, _) in enumerate(self._shards) if name == set_name]
        parts = [self._mapped.shard(place).index for place in places]
        return np.concatenate(parts) if parts else np.empty(0, INDEX_DTYPE)

    def find(self, sample: int, set_name: str = FULL) -> int | None:
        """Return the row of a set that was made from sample number ``sample``, or None if it has none."""
        self._check_set(set_name)
        if set_name == FULL and self.complete:
            return sample if 0 <= sample < self.recipe.count else None
        if self._manifest.recipe_only:
            return _position(self._members[set_name], sample)
        number = sample // self.recipe.shard_size
        if number not in self._manifest.sets[set_name]:
            return None
        place = self._shards.index((set_name, number))
        row = _position(self._mapped.shard(place).index["sample"], sample)
        return None if row is None else self._mapped.starts[place] + row - self._stored_rows[set_name].start

    def _check_set(self, set_name: str) -> None:
        if set_name not in self.sets:
            raise InputError(
                f"{self.root}: has no set '{set_name}', only {', '.join(self.sets)}; ",
                "sets of classes are made with ",
                Argument("class_isolated", True),
                ".",
            )

    def _row_numbers(self, rows: Rows, set_name: str) -> NDArray[np.int64]:
        length = self.set_length(set_name)
        if isinstance(rows, slice):
            return np.arange(*rows.indices(length))
        numbers = np.asarray(rows)
        if numbers.dtype == np.bool_ and numbers.shape == (length,):
            return np.flatnonzero(numbers)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise IndexError(f"Argument 'rows' must be row numbers [n], not {numbers.dtype} {numbers.shape}.")
        found = np.array(numbers, np.int64)  # a copy: what is checked here is what is read
        if found.size and found.view(np.uint64).max() >= length:  # what is negative is very large there
            if numbers.dtype.kind == "i":
                found[found < 0] += length
            if found.view(np.uint64).max() >= length:
                raise IndexError(f"Argument 'rows' must be from {-length} to {length - 1}.")
        return found

    # --- shards ---------------------------------------------------------------------------------------

    @cached_property
    def _shards(self) -> list[tuple[str, int]]:
        """Set and number of every shard, one set after the other."""
        return [(name, number) for name, shards in self._manifest.sets.items() for number in sorted(shards)]

    @cached_property
    def _stored_rows(self) -> dict[str, range]:
        """Where the rows of each set lie among those of all shards."""
        names = list(self._manifest.sets)
        starts = accumulate((self._manifest.rows(name) for name in names), initial=0)
        return {name: range(first, end) for name, (first, end) in zip(names, pairwise(starts), strict=True)}

    @cached_property
    def _mapped(self) -> MappedRows:
        # A mapped shard holds a file descriptor. Half of those a process may have are left to others.
        most = max(_LEAST_MAPPED, min(allow_open_files(2 * len(self._shards)) // 2, _MOST_MAPPED))
        sizes = [self._manifest.sets[name][number].rows for name, number in self._shards]
        map_at = partial(_map_shard, self.root, self._manifest, self._shards, {})
        return MappedRows(sizes, self.recipe.patch_size, map_at, most)

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

    >>> blurgen.open_dataset(small_dataset)[0]
    Triplet(sample 0, 32 x 32: face 0 at row ..., column ...; kernel ...)

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


def _check_out(out: ShardArrays, rows: int, patch: int) -> None:
    byte = np.dtype(np.uint8)
    picture, mask = ((rows, patch, patch, 3), byte), ((rows, patch, patch), byte)
    wanted = picture, picture, mask, ((rows,), INDEX_DTYPE)
    for array, (shape, dtype) in zip(out.parts(), wanted, strict=True):
        if array.shape != shape or array.dtype != dtype or not array.flags.writeable:
            raise ValueError(f"Argument 'out' must have a writeable {dtype} {list(shape)}.")


def _position(ascending: NDArray[Any], value: int) -> int | None:
    place = int(np.searchsorted(ascending, value))
    return place if place < len(ascending) and ascending[place] == value else None


def _map_shard(
    root: Path,
    manifest: DatasetManifest,
    shards: list[tuple[str, int]],
    known: dict[int, tuple[Path, ShardLayout]],
    place: int,
) -> MappedShard:
    """Map one of ``shards``; ``known`` keeps path and layout of those that were mapped before."""
    if place not in known:
        set_name, number = shards[place]
        path = inside(root, shard_file(set_name, number))
        record, patch = manifest.sets[set_name][number], manifest.recipe.patch_size
        if not path.is_file():
            raise InputError(f"{path}: there is no such file.")
        # To ask HDF5 where the arrays lie takes ten times as long as the rest.
        layout = ShardLayout(record.rows, patch, record.offsets) if record.offsets else read_layout(path)
        shard = map_shard(path, layout)
        if (layout.rows, layout.patch_size, len(shard.buffer)) != (record.rows, patch, record.bytes):
            raise InputError(f"{path}: is not the shard that dataset.json lists; see 'blurgen repair'.")
        _check_index(path, shard.index, manifest.recipe, number)
        known[place] = path, layout
        return shard
    return map_shard(*known[place])


def _check_index(path: Path, index: NDArray[np.void], recipe: Recipe, number: int) -> None:
    """Raise InputError unless every row is made of a sample of its shard, and a face and kernel there are."""
    first, end = recipe.shard_samples(number)
    for column, what, least, past in (
        ("sample", "sample", first, end),
        ("image", "face", 0, recipe.faces.count),
        ("kernel", "kernel", 0, recipe.kernels.count),
    ):
        values = index[column]
        wrong = (values < least) | (values >= past)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{path}: row {row} is made of {what} {values[row]}, which it cannot be: they are "
                f"{least} to {past - 1}; see 'blurgen verify' and 'blurgen repair'."
            )
