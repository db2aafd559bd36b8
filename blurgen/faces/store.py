"""faces.h5: every face of a dataset, decoded once, one after another (FORMAT.md, section 4)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from blurgen.errors import Argument, ArgumentError, InputError, check_choice
from blurgen.faces.collect import Collected, FaceRecord, Part, Skipped, collect, labels_path
from blurgen.faces.source import Face, FaceSource
from blurgen.files.atomic import write_aside
from blurgen.files.digests import FileRecord, digest_areas
from blurgen.files.hdf5 import (
    contiguous_offset,
    create_plain,
    json_attribute,
    open_plain,
    plain_dataset,
    read_all,
    room_plan,
)
from blurgen.jobs.progress import Reporter, Silent
from blurgen.labels import LABEL_VALUES

__all__ = ["FORMAT", "VERSION", "FaceStore", "Skipped", "StoreReport", "write_store"]

FORMAT = "blurgen-faces"
VERSION = 1

_NAMED_BYTES = 1 << 24  # of JSON: skipped faces beyond it are only counted
_NUMBERS = {"offset": "<u8", "height": "<u4", "width": "<u4", "identity": "<i8", "labelled": "|u1"}
_TEXTS = ("id", "name", "digest")


@dataclass(frozen=True)
class StoreReport:
    """What ``write_store`` did."""

    count: int
    labelled: int
    pixels: int
    """Of all faces together."""
    digest: str
    """The store's digest, XXH3-128."""
    per_source: tuple[int, ...]
    """Faces in the store, in the order of the sources."""
    skipped: tuple[Skipped, ...]


class FaceStore:
    """A ``faces.h5`` opened for reading.

    The bytes are mapped, not read, on first use. It can be sent to another process, forked or spawned,
    where the file is opened anew.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Check the file and read its table; InputError naming it when anything is wrong."""
        self.path = Path(path)
        with open_plain(self.path, FORMAT, VERSION) as file:
            self.made_with = json_attribute(file, "made_with")
            pixels = plain_dataset(file, "pixels", np.uint8, (None,))
            labels = plain_dataset(file, "labels", np.uint8, (None,))
            table = plain_dataset(file, "table", None, (None,))
            _check_table_type(table)
            self.table: NDArray[np.void] = read_all(table)
            self._total = int(labels.shape[0])
            self._at = (contiguous_offset(pixels), contiguous_offset(labels))
            _check_places(self.table, int(pixels.shape[0]), self._total, self.path)
        self.offsets = self.table["offset"].astype(np.int64)
        """int64 ``[n]``: where each face starts, in pixels."""
        self.heights = self.table["height"].astype(np.int64)
        self.widths = self.table["width"].astype(np.int64)
        self.labelled = self.table["labelled"] != 0
        """bool ``[n]``."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 ``[3 T]``, read-only: RGB of all faces; face ``i`` starts at ``3 * offsets[i]``."""
        return self._map(self._at[0], 3 * self._total)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """uint8 ``[T]``, read-only: labels of all faces, 255 where a face has none."""
        return self._map(self._at[1], self._total)

    @cached_property
    def digest(self) -> str:
        """XXH3-128 of pixels, labels, heights and widths (FORMAT.md); the first call reads the file."""
        return self.digests()[1]

    def digests(self) -> tuple[FileRecord, str]:
        """Return size and digest of the whole file, and the store's digest; reads the file once."""
        areas = ((self._at[0], 3 * self._total), (self._at[1], self._total))
        try:
            record, digest = digest_areas(self.path, areas)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}).") from None
        digest.update(self.heights.astype("<u4").tobytes())
        digest.update(self.widths.astype("<u4").tobytes())
        return record, digest.hexdigest()

    def face(self, i: int) -> Face:
        """Return face ``i`` with its own copies of the pixels; InputError when its labels are not labels."""
        row = self.table[i]
        shape = (int(self.heights[i]), int(self.widths[i]))
        start, size = int(self.offsets[i]), shape[0] * shape[1]
        labels = None
        if self.labelled[i]:
            labels = np.array(self.labels[start : start + size]).reshape(shape)
            if not np.isin(labels, LABEL_VALUES).all():
                raise InputError(
                    f"{self.path}: face {i} holds values that are no labels; make the file again."
                )
        return Face(
            np.array(self.pixels[3 * start : 3 * (start + size)]).reshape(*shape, 3),
            labels,
            id=self._text(row["id"]),
            name=self._text(row["name"]),
            digest=self._text(row["digest"]),
            identity=int(row["identity"]),
        )

    def name(self, i: int) -> str:
        """Return ``SOURCE:FILE`` of face ``i``."""
        return self._text(self.table[i]["name"])

    def close(self) -> None:
        """Let go of the mapped file; it is mapped again if it is used again."""
        for view in ("pixels", "labels"):
            self.__dict__.pop(view, None)

    def __getstate__(self) -> Path:
        return self.path.absolute()

    def __setstate__(self, path: Path) -> None:
        self.__init__(path)  # type: ignore[misc]

    def _map(self, offset: int, size: int) -> NDArray[np.uint8]:
        if size == 0:
            return np.zeros(0, np.uint8)
        try:
            return np.memmap(self.path, np.uint8, "r", offset, (size,))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} cannot be mapped: {error}; was it replaced?") from None

    def _text(self, value: bytes) -> str:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(
                f"{self.path}: /table holds a name that is no UTF-8; make the file again."
            ) from None


def write_store(
    path: str | os.PathLike[str],
    sources: Sequence[FaceSource],
    *,
    jobs: int = 1,
    on_error: str = "skip",
    progress: Reporter | None = None,
) -> StoreReport:
    """Decode every face of ``sources``, in order, into ``path``, which appears only when it is whole.

    A face whose file is, bit for bit, that of an earlier face is skipped as a duplicate. A face that
    cannot be used is skipped and named, in the report and in the file, or with ``on_error="fail"``
    raises its InputError. The file is the same for any number of ``jobs``. ``progress`` is told
    as faces are read, used or not.

    Needs memory for one face per job, and while it works a folder beside ``path`` in which the decoded
    faces wait. Raises InputError when a source has no usable face or the disk is full.
    """
    check_choice("on_error", on_error, ("skip", "fail"))
    if not sources:
        raise ArgumentError(Argument("sources"), " must hold at least one source.")
    path = Path(path)
    with write_aside(path) as aside, _waiting_room(path) as folder:
        collected = collect(sources, folder, jobs=jobs, on_error=on_error, reporter=progress or Silent())
        rows = collected.rows()
        digest = _write_file(aside, rows, collected.parts, _made_with(sources, collected))
    return StoreReport(
        count=len(rows),
        labelled=sum(row.labelled for row in rows),
        pixels=sum(row.height * row.width for row in rows),
        digest=digest,
        per_source=tuple(collected.per_source),
        skipped=tuple(collected.skipped),
    )


@contextmanager
def _waiting_room(path: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".parts", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made_with(sources: Sequence[FaceSource], collected: Collected) -> str:
    named: list[dict[str, str]] = []
    room = _NAMED_BYTES
    for one in collected.skipped:
        entry = {"name": one.name, "reason": one.reason}
        room -= len(json.dumps(entry))
        if room < 0:
            break
        named.append(entry)
    facts = {
        "sources": [
            {**source.describe(), "faces": kept}
            for source, kept in zip(sources, collected.per_source, strict=True)
        ],
        "labelled": sum(row.labelled for row in collected.rows()),
        "skipped": named,
        "skipped_count": len(collected.skipped),
    }
    return json.dumps(facts, sort_keys=True)


def _write_file(path: Path, rows: list[FaceRecord], parts: list[Part], made_with: str) -> str:
    """Write the file and return the store's digest; the files of the parts are removed on the way."""
    table = _table(rows)
    total = sum(row.height * row.width for row in rows)
    digest = xxhash.xxh3_128()
    with create_plain(path, FORMAT, VERSION) as file:
        file.attrs["made_with"] = made_with
        file.create_dataset("table", data=table, track_times=False)
        pixels = file.create_dataset("pixels", (3 * total,), np.uint8, dcpl=room_plan())
        labels = file.create_dataset("labels", (total,), np.uint8, dcpl=room_plan())
        for dataset, blocks in ((pixels, _blocks(parts, 3)), (labels, _blocks(parts, 1))):
            at = 0
            for block in blocks:
                dataset[at : at + block.size] = block
                digest.update(block.data)
                at += block.size
    digest.update(table["height"].tobytes())
    digest.update(table["width"].tobytes())
    return digest.hexdigest()


def _table(rows: list[FaceRecord]) -> NDArray[np.void]:
    texts = {name: [getattr(row, name).encode("utf-8") for row in rows] for name in _TEXTS}
    longest = {name: max(map(len, values)) or 1 for name, values in texts.items()}
    fields: list[tuple[str, Any]] = [("offset", "<u8"), ("height", "<u4"), ("width", "<u4")]
    fields += [(name, h5py.string_dtype("utf-8", longest[name])) for name in ("id", "name")]
    fields += [("identity", "<i8"), ("labelled", "|u1")]
    fields += [("digest", h5py.string_dtype("utf-8", longest["digest"]))]
    table = np.zeros(len(rows), fields)
    for name in ("height", "width", "identity", "labelled"):
        table[name] = [getattr(row, name) for row in rows]
    for name, values in texts.items():
        table[name] = values
    sizes = table["height"].astype(np.uint64) * table["width"]
    table["offset"] = np.cumsum(sizes) - sizes
    return table


def _blocks(parts: list[Part], channels: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of all faces kept, RGB (3 channels) or labels (1), and remove each file when read."""
    for part in parts:
        path = part.path if channels == 3 else labels_path(part.path)
        with path.open("rb") as file:
            for row, kept in zip(part.rows, part.kept, strict=True):
                face = np.fromfile(file, np.uint8, channels * row.height * row.width)
                if kept:
                    yield face
        path.unlink()


def _check_table_type(table: h5py.Dataset) -> None:
    where = f"{table.file.filename}: /table"
    found = table.dtype.fields or {}
    if set(found) != {*_NUMBERS, *_TEXTS}:
        raise InputError(f"{where} has not the columns of format {FORMAT}; make the file again.")
    for name, expected in _NUMBERS.items():
        if found[name][0] != np.dtype(expected):
            raise InputError(f"{where}: column {name} is of type {found[name][0]}, expected {expected}.")
    for name in _TEXTS:
        if found[name][0].kind != "S":
            raise InputError(f"{where}: column {name} is no fixed-length text; make the file again.")


def _check_places(table: NDArray[np.void], pixels: int, total: int, path: Path) -> None:
    """Check that the faces lie one after another and fill the file exactly."""
    offsets = table["offset"]
    sizes = table["height"].astype(np.uint64) * table["width"]  # of 32 bits each: no overflow
    sound = len(table) > 0 and pixels == 3 * total
    # Nothing is larger than the file, so the sums below cannot overflow either.
    sound = sound and bool(((sizes > 0) & (sizes <= total) & (offsets <= total)).all())
    sound = sound and int(offsets[0]) == 0 and int(offsets[-1] + sizes[-1]) == total
    if not sound or not np.array_equal(offsets[1:], offsets[:-1] + sizes[:-1]):
        raise InputError(f"{path}: /table, /pixels and /labels do not fit together; make the file again.")
