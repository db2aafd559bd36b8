"""Which faces of a source are taken: a part of it (train, test), then a number chosen by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from blurgen.errors import InputError, check_choice
from blurgen.faces.adapters.listing import read_inside
from blurgen.faces.decode import sha256
from blurgen.faces.source import SourceOptions
from blurgen.files.names import printable
from blurgen.randomness.philox import Stream, words

Entry = TypeVar("Entry")

SPLITS = ("all", "train", "validation", "test")
"""Parts of a source. ``validation`` exists only where the owners of a dataset made such a part."""


def in_split(digest: str, split: str) -> bool:
    """Tell whether a face belongs to ``"all"``, ``"train"`` or ``"test"`` by its digest alone.

    A face is in ``test`` when the first 8 bytes of its SHA-256, as a big-endian integer, are below a
    tenth of 2^64. So the same file is on the same side in every folder and on every machine.
    """
    check_choice("split", split, ("all", "train", "test"))
    if split == "all":
        return True
    return (int(digest[:16], 16) * 10 < 2**64) == (split == "test")


def choose(count: int, limit: int | None, seed: int) -> list[int]:
    """Return the numbers of the faces that are taken out of ``count``, in ascending order.

    Each face draws one word of the Philox stream ``choice``; the ``limit`` smallest words are taken,
    the smaller face number first among equals. All of them without a limit.
    """
    if limit is None or limit >= count:
        return list(range(count))
    drawn = np.array([words(seed, Stream.CHOICE, number, 1)[0] for number in range(count)])
    taken = np.argsort(drawn, kind="stable")[:limit]
    return sorted(int(number) for number in taken)


def take(found: Sequence[Entry], options: SourceOptions) -> tuple[Entry, ...]:
    """Return the faces that ``options.limit`` leaves of those found, in their order."""
    return tuple(found[number] for number in choose(len(found), options.limit, options.seed))


def files_in_split(root: str, files: Sequence[str], split: str) -> list[str]:
    """Return the ``files`` below ``root`` that are in ``split`` by their digest; this reads all of them.

    A file that cannot be read stays in, so that reading it as a face tells of it. Raises InputError for a
    split that cannot be made from digests, and when no file is left.
    """
    if split == "all":
        return list(files)
    if split not in ("train", "test"):
        raise InputError(f"{printable(root)} comes without a {split} part; use train or test.")
    chosen = [file for file in files if _file_in_split(root, file, split)]
    if not chosen:
        raise InputError(f"{printable(root)} has no picture in its {split} part; it holds too few pictures.")
    return chosen


def _file_in_split(root: str, file: str, split: str) -> bool:
    try:
        return in_split(sha256(read_inside(root, file)), split)
    except InputError:
        return True
