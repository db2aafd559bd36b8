"""What ``umsn evaluate`` left in a folder: the tables, and the scores of every picture."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from blurgen.errors import InputError
from blurgen.files.bounded import read_bounded
from blurgen.files.strict_json import convert, parse_json

_MOST_BYTES: Final = 64 << 20


class ShownCell(msgspec.Struct, frozen=True):
    """One cell of a table: what is read, and what it is sorted by."""

    text: str
    value: float | Literal["infinity", "-infinity"] | None
    """JSON has no infinity, and null is for what does not exist."""

    @property
    def number(self) -> float:
        """What it is sorted by; NaN: nothing."""
        return math.nan if self.value is None else float(self.value)


class Row(msgspec.Struct, frozen=True):
    """One row of a table."""

    labels: tuple[str, ...]
    cells: tuple[ShownCell, ...]


class ShownTable(msgspec.Struct, frozen=True):
    """One table of ``tables.json``."""

    name: str
    title: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if any((len(r.labels), len(r.cells)) != (len(self.labels), len(self.columns)) for r in self.rows):
            raise ValueError("A row is of another length than the table's head")


class Results(msgspec.Struct, frozen=True):
    """Everything ``tables.json`` holds."""

    about: dict[str, Any]
    tables: tuple[ShownTable, ...]
    definitions: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class PictureScore:
    """What one method made of one picture."""

    kernel_size: int | None
    psnr: float
    ssim: float


Scores = dict[str, dict[str, PictureScore]]
"""By name of the picture, then by method, in the order of the file."""


def read_results(path: Path) -> Results:
    """Read ``tables.json``; InputError when it cannot be read or is something else."""
    return convert(parse_json(read_bounded(path, _MOST_BYTES), str(path)), Results, str(path))


def read_scores(path: Path) -> Scores:
    """Read ``scores.csv``; InputError when it cannot be read or is something else."""
    found: Scores = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, strict=True):
                size = line["kernel_size"]
                found.setdefault(line["name"], {})[line["method"]] = PictureScore(
                    int(_number(size)) if size else None, _number(line["psnr"]), _number(line["ssim"])
                )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: is not what umsn evaluate writes; run it again.") from error
    return found


def _number(text: str) -> float:
    return float(text) if text else math.nan
