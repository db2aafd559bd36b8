"""Digests of files, XXH3-128: of all bytes, and in the same pass of the arrays in them alone.

They find accidents: a flipped bit, a file cut off, another dataset's shard. They do not stop an attacker, who
can make other bytes of the same digest, or change the digest that is listed along with the file.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import xxhash
from msgspec import Meta

from blurgen.files.at_offset import open_to_read, read_into
from blurgen.files.strict_json import Digest, Record

_PIECE: Final = 1 << 18  # bytes hashed at a time: they stay in the processor's cache


class FileRecord(Record, frozen=True):
    """A file as ``dataset.json`` lists it: its size in bytes and the digest of all of them."""

    bytes: Annotated[int, Meta(ge=1, le=2**62)]
    digest: Digest


def record_file(path: Path) -> FileRecord:
    """Return size and digest of a file; reads it once, in small pieces."""
    return digest_areas(path, ())[0]


def digest_areas(
    source: Path | io.FileIO, areas: Sequence[tuple[int, int]]
) -> tuple[FileRecord, xxhash.xxh3_128]:
    """Return size and digest of a file, and a hasher that took its ``areas`` alone, in the order given.

    ``areas`` are ``(offset, bytes)`` within the file, which is a path or opened for reading. Where they lie
    in ascending order, as in files of ours, the file is read once.
    """
    if isinstance(source, Path):
        with open_to_read(source) as file:
            return digest_areas(file, areas)
    size = os.fstat(source.fileno()).st_size
    whole, content = xxhash.xxh3_128(), xxhash.xxh3_128()
    edges = [0, *(edge for offset, length in areas for edge in (offset, offset + length)), size]
    if edges == sorted(edges):
        # Both digests are taken of a piece while it is in the processor's cache.
        for i, (first, end) in enumerate(itertools.pairwise(edges)):
            is_area = i % 2 == 1
            _update([whole, content] if is_area else [whole], source, first, end)
    else:  # HDF5 puts a small array where there is room
        _update([whole], source, 0, size)
        for offset, length in areas:
            _update([content], source, offset, offset + length)
    return FileRecord(size, whole.hexdigest()), content


def _update(hashers: list[xxhash.xxh3_128], file: io.FileIO, first: int, end: int) -> None:
    buffer = memoryview(bytearray(min(_PIECE, end - first)))
    while first < end:
        read = read_into(file, buffer[: end - first], first)
        if read == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        for hasher in hashers:
            hasher.update(buffer[:read])
        first += read
