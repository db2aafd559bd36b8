"""HDF5 that other programs wrote: it may be compressed, and never stands for more than was agreed on.

The library itself inflates a chunk to whatever size comes out, several times over if the file says so. So
every chunk is inflated here first, no further than its size, and the library reads it afterwards.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.files.hdf5 import H5_ERRORS

# In the order in which they are applied in writing; each may be left out.
_FILTERS: Final = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)
_MOST_CHUNKS: Final = 1 << 16
_REFERENCE_BYTES: Final = 128  # of memory, with the object that stands for it


def foreign_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return dataset ``name`` of the root group of another program's file; InputError when it is none."""
    where = f"{file.filename}: /{name}"
    try:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{where} is missing or a link to somewhere else; links are not followed.")
        dataset = file[name]
    except H5_ERRORS as error:
        raise InputError(f"{where} is damaged.") from error
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{where} is not a dataset.")
    return dataset


def foreign_bytes(dataset: h5py.Dataset, where: str) -> int:
    """Return how many bytes a dataset of numbers or references takes in memory; InputError for another type.

    Of chunks that reach beyond the dataset all counts.
    """
    try:
        is_reference = is_references(dataset)
        if dataset.shape is None or (dataset.dtype.kind not in "biuf" and not is_reference):
            raise InputError(f"{where} is of type {dataset.dtype}, expected numbers.")
        chunks = dataset.chunks or (1,) * len(dataset.shape)
        whole = [-(-side // chunk) * chunk for side, chunk in zip(dataset.shape, chunks, strict=True)]
        itemsize = _REFERENCE_BYTES if is_reference else dataset.dtype.itemsize
    except H5_ERRORS as error:
        raise InputError(f"{where} is damaged.") from error
    return math.prod(whole) * itemsize


def is_references(dataset: h5py.Dataset) -> bool:
    """Return whether the elements of a dataset are references to other objects of the file."""
    return h5py.check_ref_dtype(dataset.dtype) is h5py.Reference


def read_foreign(dataset: h5py.Dataset, where: str) -> NDArray[Any]:
    """Return the elements of a dataset for which ``foreign_bytes`` was found to be not too much.

    It may be compressed by the filters that are part of HDF5 (deflate, shuffle, checksum), each once.
    InputError when it is stored in another file, otherwise compressed, or inflates beyond its size.
    """
    try:
        plan = dataset.id.get_create_plist()
        layout = plan.get_layout()
        if layout == h5py.h5d.VIRTUAL or (layout == h5py.h5d.CONTIGUOUS and plan.get_external_count()):
            raise InputError(f"{where} is stored in another file; its bytes must lie in this one.")
        filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        if [each for each in _FILTERS if each in filters] != filters:
            raise InputError(f"{where} is compressed in an unusual way; rewrite the file with gzip or none.")
        if layout == h5py.h5d.CHUNKED:
            _check_chunks(dataset, filters, where)
        return np.asarray(dataset[()])
    except (*H5_ERRORS, MemoryError, zlib.error) as error:
        raise InputError(f"{where} cannot be read.") from error


def _check_chunks(dataset: h5py.Dataset, filters: list[int], where: str) -> None:
    """Raise InputError unless every chunk has the size it should have, once it is inflated."""
    grid = [range(0, side, chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if math.prod(map(len, grid)) > _MOST_CHUNKS:
        raise InputError(f"{where} has more than {_MOST_CHUNKS:,} chunks; rewrite the file with larger ones.")
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    stored: dict[tuple[int, ...], Any] = {}

    def remember(chunk: Any) -> bool | None:
        is_sound = chunk.size <= size + (size >> 6) + 64  # what cannot be compressed grows by less
        if not is_sound or chunk.chunk_offset in stored or len(stored) == _MOST_CHUNKS:
            return True  # that is the end
        stored[chunk.chunk_offset] = chunk
        return None

    if dataset.id.chunk_iter(remember):
        raise InputError(f"{where} has chunks that are no chunks of it.")
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return
    skipped = 1 << filters.index(h5py.h5z.FILTER_DEFLATE)
    for place in itertools.product(*grid):
        if place in stored and not stored[place].filter_mask & skipped:
            _, content = dataset.id.read_direct_chunk(place)
            inflated = zlib.decompressobj().decompress(content, size + 1)
            if len(inflated) > size:
                raise InputError(f"{where} has a chunk that inflates to more than its {size:,} bytes.")
