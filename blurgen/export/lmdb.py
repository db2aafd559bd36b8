"""LMDB as BasicSR reads it: ``clean.lmdb``, ``blurry.lmdb`` and ``mask.lmdb``, with the same keys.

Each is an LMDB environment (``data.mdb``, ``lock.mdb``) whose keys are sample numbers and whose values are
PNG files, with a ``meta_info.txt`` of one line ``<key>.png (height,width,channels) <compression level>`` for
each. In BasicSR's ``PairedImageDataset``, ``dataroot_gt`` is ``clean.lmdb``, ``dataroot_lq`` is
``blurry.lmdb`` and ``io_backend`` is of type ``lmdb``.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from blurgen.errors import Argument, InputError
from blurgen.export.rows import PICTURES, EncodedRow, Rows
from blurgen.files.png import COMPRESS_LEVEL
from blurgen.jobs.parallel import Workers
from blurgen.jobs.progress import Bar

# An upper limit that LMDB wants to know beforehand; only what is used takes room on the disk.
_MAP_SIZE = 1 << 42
_PAGE = 4096


def export_lmdb(rows: Rows, folder: Path, workers: Workers, bar: Bar) -> None:
    """Write all rows to ``folder``; InputError when the package lmdb is not installed."""
    try:
        import lmdb  # noqa: PLC0415  (an extra: only this export needs it)
    except ImportError:
        needs = " needs the package lmdb: pip install 'blurgen[export]'"
        raise InputError(Argument("to", "lmdb"), needs) from None
    size = 0
    try:
        with ExitStack() as opened:
            writers = [_Writer(folder / f"{name}.lmdb", lmdb, opened) for name in PICTURES]
            for piece in rows.each_piece(_read_piece, workers):
                size = sum(len(data) for row in piece for data in row.pictures)
                for i, writer in enumerate(writers):
                    writer.put([(row.key, row.pictures[i]) for row in piece])
                bar.advance(len(piece), size)
    except lmdb.Error:
        # Of a disk that gets full in the middle of a page LMDB says no more than "Input/output error".
        (folder / "room").write_bytes(bytes(2 * size + _PAGE))
        raise


class _Writer:
    """One LMDB environment and its ``meta_info.txt``."""

    def __init__(self, path: Path, lmdb: Any, opened: ExitStack) -> None:
        # The disk is waited for once, when all is written: until then nobody knows the folder.
        self._environment = lmdb.open(str(path), map_size=_MAP_SIZE, sync=False, metasync=False)
        opened.callback(self._environment.close)
        self._list = opened.enter_context((path / "meta_info.txt").open("w", encoding="ascii"))

    def put(self, pictures: list[tuple[str, bytes]]) -> None:
        with self._environment.begin(write=True) as transaction:
            for key, data in pictures:
                transaction.put(key.encode("ascii"), data, append=True)
                self._list.write(f"{key}.png {_shape(data)} {COMPRESS_LEVEL}\n")


def _read_piece(rows: Rows, number: int) -> list[EncodedRow]:
    return list(rows.read(number))


def _shape(png: bytes) -> str:
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    channels = {0: 1, 2: 3}[png[25]]  # grey, RGB
    return f"({height},{width},{channels})"
