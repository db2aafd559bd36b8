"""Tables of measurements: Markdown and LaTeX to read, CSV and JSON to compute with.

A cell is a ``Mean``: its value, its interval and of how many it is the mean. Text shows values with the
interval where the table is narrow enough; CSV and JSON always hold all of it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

from blurgen.labels import CLASS_NAMES
from umsn.scoring.scores import Mean

CLASSES: Final = tuple(f"class-{number} {name}" for number, name in enumerate(CLASS_NAMES, start=1))
"""Headings of what is measured by class, with the paper's numbers."""

CONFIDENCES: Final = tuple(f"C{number} {name}" for number, name in enumerate(CLASS_NAMES, start=1))
"""Headings of the confidence in each class, likewise."""


@dataclass(frozen=True)
class Cell:
    """One number and how many decimals it is shown with."""

    mean: Mean
    decimals: int

    def text(self, intervals: bool) -> str:
        """Return what a reader sees; a number that does not exist is a dash."""
        if math.isnan(self.mean.value):
            return "-"
        shown = f"{self.mean.value:.{self.decimals}f}"
        if not intervals or math.isnan(self.mean.low) or math.isinf(self.mean.value):
            return shown
        return f"{shown} ({self.mean.low:.{self.decimals}f} to {self.mean.high:.{self.decimals}f})"


@dataclass(frozen=True)
class TableRow:
    """What the row is of, one text for each of the table's labels, and its cells."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


def row(labels: Sequence[str], means: Iterable[Mean], decimals: int) -> TableRow:
    """Return a row of numbers that are all shown with so many decimals."""
    return TableRow(tuple(labels), tuple(Cell(one, decimals) for one in means))


@dataclass(frozen=True)
class Table:
    """One table of the paper, or one of ours."""

    name: str
    """Short, of letters and hyphens; what CSV and JSON know it by."""
    title: str
    labels: tuple[str, ...]
    """Headings of the columns that say what a row is of."""
    columns: tuple[str, ...]
    """Headings of the cells."""
    rows: Sequence[TableRow]
    intervals: bool = False
    """Whether the text shows intervals."""

    def lines(self) -> list[tuple[str, ...]]:
        """Return the headings and every row as texts."""
        head = (*self.labels, *self.columns)
        return [head, *((*r.labels, *(c.text(self.intervals) for c in r.cells)) for r in self.rows)]

    def markdown(self) -> str:
        """Return the table for a README."""
        head, *body = [tuple(text.replace("|", r"\|") for text in line) for line in self.lines()]
        rule = ("---",) * len(self.labels) + ("---:",) * len(self.columns)
        lines = "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))
        return f"**{self.title}**\n\n{lines}\n"

    def latex(self) -> str:
        """Return the table for a paper, as a ``tabular``."""
        head, *body = [" & ".join(map(_escaped, line)) + r" \\" for line in self.lines()]
        columns = "l" * len(self.labels) + "r" * len(self.columns)
        inner = [r"\hline", head, r"\hline", *body, r"\hline"]
        begin = [f"% {self.title}", rf"\begin{{tabular}}{{{columns}}}"]
        return "\n".join([*begin, *inner, r"\end{tabular}"]) + "\n"


def markdown_page(tables: Sequence[Table], definitions: Sequence[str], notes: Sequence[str]) -> str:
    """Return all tables, what could not be made, and once, below, what the numbers mean."""
    parts = [table.markdown() for table in tables]
    for title, lines in (("Left out", notes), ("Definitions", definitions)):
        if lines:
            parts.append(f"**{title}**\n\n" + "".join(f"- {line}\n" for line in lines))
    return "\n".join(parts)


def latex_page(tables: Sequence[Table]) -> str:
    """Return all tables, one ``tabular`` after another."""
    return "\n".join(table.latex() for table in tables)


def csv_page(tables: Sequence[Table]) -> str:
    """Return one line for each cell of each table."""
    header = ("table", "row", "column", "value", "low", "high", "count")
    return csv_text(
        header,
        [
            (t.name, " / ".join(r.labels), column, *astuple(c.mean))
            for t in tables
            for r in t.rows
            for column, c in zip(t.columns, r.cells, strict=True)
        ],
    )


def json_page(
    tables: Sequence[Table],
    definitions: Sequence[str],
    notes: Sequence[str],
    about: Mapping[str, Any],
) -> str:
    """Return everything as one object; a number that does not exist is null, an infinite one "infinity"."""
    page = {
        "about": dict(about),
        "tables": [_table_object(table) for table in tables],
        "definitions": list(definitions),
        "left_out": list(notes),
    }
    return json.dumps(_finite(page), indent=1, allow_nan=False) + "\n"


def csv_text(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return lines as CSV; a number that does not exist is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for line in lines:
        writer.writerow(["" if isinstance(x, float) and math.isnan(x) else x for x in line])
    return out.getvalue()


def _table_object(table: Table) -> dict[str, Any]:
    rows = [
        {
            "labels": row.labels,
            "cells": [{"text": cell.text(table.intervals), **asdict(cell.mean)} for cell in row.cells],
        }
        for row in table.rows
    ]
    return {
        "name": table.name,
        "title": table.title,
        "labels": table.labels,
        "columns": table.columns,
        "rows": rows,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null and a text."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: rf"\{character}" for character in "%&_#${}"},
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
