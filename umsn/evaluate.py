"""One command from a checkpoint and test pictures to the paper's tables (section IV-B)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.hdf5 import write_aside
from blurgen.progress import Reporter, Silent
from umsn.deblur import Deblurrer
from umsn.pairs import Pair, Pairs
from umsn.scores import Score, score
from umsn.strips import sheet, strip
from umsn.tables import Table, per_picture_csv, summary_json, tables

Method = Callable[[Pair], NDArray[np.uint8]]
"""From a pair's blurry picture to the restored one, uint8 of the same shape."""

SHOWN: Final = 12
"""Pictures on the sheet of results, spread evenly over the test set."""


@dataclass(frozen=True)
class Evaluation:
    """Every score, and what was written where."""

    scores: list[Score]
    tables: list[Table]
    sheet: Path


def evaluate(
    checkpoint: str | os.PathLike[str],
    pairs: Pairs,
    out: str | os.PathLike[str],
    *,
    device: str = "cpu",
    reporter: Reporter = Silent(),
) -> Evaluation:
    """Deblur every pair, score the result beside the blurry picture, and write it all into ``out``.

    Writes ``scores.csv`` (a line per method and picture), ``scores.json`` (means with confidence
    intervals), ``tables.md``, ``tables.tex`` and ``sheet.png``. The network sees the blurry picture alone.
    Raises InputError for an unusable checkpoint, and where pictures cannot be read or ``out`` not written.
    """
    deblur = Deblurrer(checkpoint, device)
    methods: dict[str, Method] = {
        "blurry": lambda pair: pair.blurry,
        "deblurred": lambda pair: deblur(pair.blurry),
    }
    return compare(methods, pairs, Path(out), reporter)


def compare(
    methods: Mapping[str, Method], pairs: Pairs, out: Path, reporter: Reporter = Silent()
) -> Evaluation:
    """Score any methods on the same pairs; see ``evaluate`` for what is written."""
    if not len(pairs):
        raise InputError("There are no pictures to evaluate on.")
    out.mkdir(parents=True, exist_ok=True)
    shown = set(np.linspace(0, len(pairs) - 1, min(SHOWN, len(pairs))).astype(int))
    scores: list[Score] = []
    strips = []
    with reporter.bar("evaluate", len(pairs), "pictures") as bar:
        for number, pair in enumerate(pairs):
            restored = {name: method(pair) for name, method in methods.items()}
            scores += [score(name, pair, picture) for name, picture in restored.items()]
            if number in shown:
                strips.append(strip(pair, restored))
            bar.advance()
    made = tables(scores)
    _write(out / "scores.csv", per_picture_csv(scores))
    _write(out / "scores.json", summary_json(scores))
    _write(out / "tables.md", "\n".join(table.markdown() for table in made))
    _write(out / "tables.tex", "\n".join(table.latex() for table in made))
    with write_aside(out / "sheet.png") as aside:
        sheet(strips).save(aside, "PNG")
    return Evaluation(scores, made, out / "sheet.png")


def _write(path: Path, text: str) -> None:
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
