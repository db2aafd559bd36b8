"""Reads ``metrics.jsonl``, in which a training keeps its numbers: one JSON object a line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from blurgen.errors import InputError

LOG: Final = "metrics.jsonl"
"""Name of the log in the folder of a training."""


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a log in order; what is no whole JSON object, or no UTF-8, is passed over.

    A training that was killed may leave half a line. Raises InputError when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                # In msgspec 0.19 its errors are no ValueError.
                with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
                    yield msgspec.json.decode(line, type=dict[str, Any])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
