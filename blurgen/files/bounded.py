"""Reading a file that somebody else put there: only a regular one, and not more of it than was agreed on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from blurgen.errors import InputError


def read_bounded(path: str | os.PathLike[str], most_bytes: int, where: str | None = None) -> bytes:
    """Return the bytes of a file of at most ``most_bytes``; ``where`` stands for its path in messages.

    InputError when it is larger, cannot be read, or is no regular file (a pipe would never end).
    """
    where = str(Path(path)) if where is None else where
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{where}: is not a regular file; remove it.")
            if facts.st_size > most_bytes:
                raise InputError(
                    f"{where}: has {facts.st_size:,} bytes, more than the {most_bytes:,} that are read."
                )
            return _read(file.fileno(), facts.st_size)
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error}).") from None


def _open_at_once(path: str, flags: int) -> int:
    # Opening a pipe without O_NONBLOCK would wait for a writer before its kind can be seen.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(descriptor: int, size: int) -> bytes:
    """Read ``size`` bytes, or what there is by now: also a file that grows is read no further."""
    pieces, left = [], size
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
