"""HDF5 without surprises: readers that trust nothing, and a full disk that ends in an error.

An HDF5 file can point at other files (external links, external storage, virtual datasets), claim
shapes it has no bytes for, and ask for filter plug-ins. Ours do none of this (FORMAT.md, section 4),
so whatever does is refused by name before a byte of it is read.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from blurgen.errors import InputError
from blurgen.files.at_offset import open_to_read, read_into, write_at
from blurgen.files.hdf5_screen import Positioned, ScreenedFile
from blurgen.files.strict_json import parse_json

_PAGE = 4096
_LONGEST_TEXT = 1 << 26  # bytes in a text attribute: made_with may list many thousand skipped files
H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises on a damaged file depends on which layer of HDF5 stumbles."""


@contextmanager
def open_plain(path: str | os.PathLike[str], format_name: str, version: int) -> Iterator[h5py.File]:
    """Open a file of one of our formats for reading and check its ``format`` and ``version``.

    Raises InputError when the file is absent, is no HDF5 file, is truncated, or is of another format or
    version. Nothing but these two attributes is read; get datasets with ``plain_dataset``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    with open_screened(path) as file:
        if file.userblock_size:
            raise InputError(f"{path}: has a user block; files of format {format_name} have none.")
        found = text_attribute(file, "format")
        if found != format_name:
            raise InputError(f"{path}: is of format {found!r:.60}, expected '{format_name}'.")
        found_version = _whole_attribute(file, "version")
        if found_version != version:
            raise InputError(
                f"{path}: is version {found_version} of {format_name}; this blurgen reads version {version}."
            )
        yield file


@contextmanager
def open_screened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file of anyone for reading; InputError when it is none, or cut off.

    Structures on which HDF5 would hang are never seen by it (blurgen.files.hdf5_screen).
    """
    try:
        opened = open_to_read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    with opened:
        try:
            source = ScreenedFile(opened)
            is_usual = source.is_usual
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
        if not is_usual:
            raise InputError(f"{path}: not a readable HDF5 file (or an unusual one); make it again.")
        try:
            file = h5py.File(path, "r", driver="fileobj", fileobj=source)
        except H5_ERRORS as error:
            raise InputError(f"{path}: not a readable HDF5 file (or cut off); make it again.") from error
        with file:
            yield file


@contextmanager
def create_plain(path: str | os.PathLike[str], format_name: str, version: int) -> Iterator[h5py.File]:
    """Create a file of one of our formats for writing; large datasets start on page boundaries.

    Combine with ``write_aside``: ``with write_aside(final) as aside, create_plain(aside, ...) as file``.
    A failing disk surfaces as the OSError it caused, once, when the context ends.
    """
    with open(path, "wb+", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w", alignment_threshold=_PAGE, alignment_interval=_PAGE) as file:
                file.attrs["format"] = format_name
                file.attrs["version"] = np.int64(version)
                yield file
        finally:
            if sink.error is not None:
                raise sink.error


class _Sink(Positioned):
    """A file that takes everything HDF5 writes and remembers the first failure.

    HDF5 must not be told of a full disk: what it cannot flush it keeps, and crashes the process with it at
    exit (seen with h5py 3.16, HDF5 2.0). So after a failure writes go nowhere, and the caller raises the
    error.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            if self.error is None:
                write_at(self._raw, view, self._position)
        except OSError as error:
            self.error = error
        self._position += len(view)
        return len(view)

    def length(self) -> int:
        try:
            return os.fstat(self._raw.fileno()).st_size
        except OSError as error:
            self.error = self.error or error
            return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        found = read_into(self._raw, view, self._position)
        view[found:] = bytes(len(view) - found)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        try:
            if self.error is None:
                self._raw.truncate(size)
        except OSError as error:
            self.error = error
        return size


def room_plan() -> h5py.h5p.PropDCID:
    """Return how a dataset is laid out that has its place in the file at once, and its bytes later."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    return plan


def plain_dataset(
    file: h5py.File, name: str, dtype: DTypeLike | None, shape: tuple[int | None, ...]
) -> h5py.Dataset:
    """Return dataset ``name`` of the root group if it is what it should be and its bytes are in this file.

    ``dtype`` is compared exactly (None: any fixed-size type; the caller checks the fields). ``shape`` may
    hold None for a length that is not known beforehand. Refused with InputError: soft and external links,
    groups, external storage, virtual datasets, filters, chunks, variable-length types, compact storage, and
    shapes with more bytes than the file has, so that reading it needs no more memory than the file's size.
    """
    where = f"{file.filename}: /{name}"
    try:
        link = file.get(name, getlink=True)
        if link is None:
            raise InputError(f"{where} is missing.")
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{where} is a link to somewhere else; links are not followed.")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{where} is not a dataset.")
        _check_storage(dataset, where)
        _check_type(dataset, where, dtype, shape)
        _check_bytes(dataset, where, Path(file.filename).stat().st_size)
    except H5_ERRORS as error:
        raise InputError(f"{where} is damaged; make the file again.") from error
    return dataset


def read_all(dataset: h5py.Dataset) -> NDArray[Any]:
    """Read a dataset that ``plain_dataset`` returned; InputError when the disk or the file fails."""
    path, count = dataset.file.filename, math.prod(dataset.shape)
    try:
        elements = np.fromfile(path, dataset.dtype, count, offset=contiguous_offset(dataset))
        return elements.reshape(dataset.shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {dataset.name} cannot be read; make the file again.") from error


def contiguous_offset(dataset: h5py.Dataset) -> int:
    """Return where a dataset from ``plain_dataset`` starts in its file, in bytes; 0 if it has no elements."""
    return int(dataset.id.get_offset() or 0)


def text_attribute(file: h5py.File, name: str) -> str:
    """Return a text attribute of the root group; InputError when it is missing or no text."""
    try:
        attribute = file.attrs.get_id(name)
        is_text = h5py.check_string_dtype(attribute.dtype) is not None
        if attribute.shape == () and is_text and attribute.get_storage_size() <= _LONGEST_TEXT:
            value = file.attrs[name]
            return value.decode("utf-8") if isinstance(value, bytes) else str(value)
    except (*H5_ERRORS, UnicodeDecodeError) as error:
        raise InputError(f"{file.filename}: attribute '{name}' is missing or damaged.") from error
    raise InputError(f"{file.filename}: attribute '{name}' is not a text.")


def json_attribute(file: h5py.File, name: str) -> dict[str, Any]:
    """Return a JSON object kept in a text attribute; InputError when it is anything else."""
    where = f"{file.filename}: attribute '{name}'"
    return parse_json(text_attribute(file, name).encode("utf-8", "surrogatepass"), where)


def _whole_attribute(file: h5py.File, name: str) -> int:
    try:
        attribute = file.attrs.get_id(name)
        if attribute.shape == () and attribute.dtype.kind in "iu":
            return int(file.attrs[name])
    except H5_ERRORS as error:
        raise InputError(f"{file.filename}: attribute '{name}' is missing or damaged.") from error
    raise InputError(f"{file.filename}: attribute '{name}' is not a whole number.")


def _check_storage(dataset: h5py.Dataset, where: str) -> None:
    plan = dataset.id.get_create_plist()
    if plan.get_nfilters():
        raise InputError(f"{where} is compressed; rewrite the file with 'h5repack -f NONE -l CONTI'.")
    if plan.get_layout() == h5py.h5d.CHUNKED:
        raise InputError(f"{where} is stored in chunks; rewrite the file with 'h5repack -l CONTI'.")
    if plan.get_layout() != h5py.h5d.CONTIGUOUS:
        raise InputError(f"{where} is virtual or compact; its bytes must lie in this file.")
    if plan.get_external_count():
        raise InputError(f"{where} is stored in another file; its bytes must lie in this one.")


def _check_type(
    dataset: h5py.Dataset, where: str, dtype: DTypeLike | None, shape: tuple[int | None, ...]
) -> None:
    if dataset.dtype.hasobject or (dtype is not None and dataset.dtype != np.dtype(dtype)):
        raise InputError(f"{where} is of type {dataset.dtype}, expected {dtype or 'a type of fixed size'}.")
    found = dataset.shape
    if (
        found is None
        or len(found) != len(shape)
        or any(b is not None and a != b for a, b in zip(found, shape, strict=True))
    ):
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(f"{where} has shape {found}, expected ({expected}).")


def _check_bytes(dataset: h5py.Dataset, where: str, file_size: int) -> None:
    wanted = math.prod(dataset.shape) * dataset.dtype.itemsize  # Python integers: cannot overflow
    offset = dataset.id.get_offset()
    if wanted and (offset is None or offset + wanted > file_size):
        raise InputError(f"{where} claims {wanted} bytes that the file does not have.")
