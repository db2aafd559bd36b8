"""Digests of files, XXH3-128: of all bytes, and in the same pass of the arrays in them alone."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

_PIECE: Final = 1 << 18  # bytes hashed at a time: they stay in the processor's cache


@dataclass(frozen=True)
class FileRecord:
    """A file as ``dataset.json`` lists it: its size in bytes and the digest of all of them."""

    bytes: int
    digest: str


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes, whatever they are."""
    return record_file(path).digest


def record_file(path: Path) -> FileRecord:
    """Return size and digest of a file; reads it once, in small pieces."""
    return digest_areas(path, ())[0]


def digest_areas(path: Path | int, areas: Sequence[tuple[int, int]]) -> tuple[FileRecord, xxhash.xxh3_128]:
    """Return size and digest of a file, and a hasher that took its ``areas`` alone, in the order given.

    ``areas`` are ``(offset, bytes)`` within the file, which is a path or an open descriptor. Where they lie
    in ascending order, as in files of ours, the file is read once.
    """
    if isinstance(path, Path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return digest_areas(descriptor, areas)
        finally:
            os.close(descriptor)
    size = os.fstat(path).st_size
    whole, content = xxhash.xxh3_128(), xxhash.xxh3_128()
    edges = [0, *(edge for offset, length in areas for edge in (offset, offset + length)), size]
    if edges == sorted(edges):
        # Both digests are taken of a piece while it is in the processor's cache.
        for i, (first, end) in enumerate(itertools.pairwise(edges)):
            is_area = i % 2 == 1
            _update([whole, content] if is_area else [whole], path, first, end)
    else:  # HDF5 puts a small array where there is room
        _update([whole], path, 0, size)
        for offset, length in areas:
            _update([content], path, offset, offset + length)
    return FileRecord(size, whole.hexdigest()), content


def _update(hashers: list[xxhash.xxh3_128], descriptor: int, first: int, end: int) -> None:
    buffer = memoryview(bytearray(min(_PIECE, end - first)))
    while first < end:
        read = os.preadv(descriptor, [buffer[: end - first]], first)
        if read == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        for hasher in hashers:
            hasher.update(buffer[:read])
        first += read
