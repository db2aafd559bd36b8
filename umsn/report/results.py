"""What ``umsn evaluate`` left in a folder: the tables, and the scores of every picture."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blurgen.errors import InputError


@dataclass(frozen=True)
class ShownCell:
    """One cell of a table: what is read, and what it is sorted by (NaN: nothing)."""

    text: str
    value: float


@dataclass(frozen=True)
class ShownTable:
    """One table of ``tables.json``."""

    name: str
    title: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[ShownCell, ...]], ...]


@dataclass(frozen=True)
class Results:
    """Everything ``tables.json`` holds."""

    about: Mapping[str, Any]
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
    try:
        page = json.loads(path.read_text("utf-8"))
        return Results(
            dict(page["about"]),
            tuple(_table(one) for one in page["tables"]),
            tuple(str(one) for one in page["definitions"]),
            tuple(str(one) for one in page["left_out"]),
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: is not what umsn evaluate writes; run it again.") from error


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


def _table(page: Any) -> ShownTable:
    labels, columns = tuple(map(str, page["labels"])), tuple(map(str, page["columns"]))
    rows = []
    for row in page["rows"]:
        names = tuple(map(str, row["labels"]))
        cells = tuple(ShownCell(str(cell["text"]), _value(cell["value"])) for cell in row["cells"])
        if (len(names), len(cells)) != (len(labels), len(columns)):
            raise ValueError("A row of another length than the table's head.")
        rows.append((names, cells))
    return ShownTable(str(page["name"]), str(page["title"]), labels, columns, tuple(rows))


def _value(value: Any) -> float:
    """JSON has no NaN and no infinity: null and a text stand for them."""
    return math.nan if value is None else float(value)


def _number(text: str) -> float:
    return float(text) if text else math.nan
