"""PSNR and SSIM as the paper tabulates them: methods (Table III), classes (Table I), ablation (Table VI)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from blurgen.jobs.progress import counted
from blurgen.labels import CLASS_NAMES
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import DEFINITIONS, Mean, Score, mean, score
from umsn.scoring.tables import CLASSES, Cell, Table, TableRow, csv_text, row

_SHOWN: Final = (
    ("PSNR (dB)", 2, "psnr"),
    ("SSIM", 3, "ssim"),
    ("PSNR, best shift", 2, "psnr_shifted"),
    ("SSIM, best shift", 3, "ssim_shifted"),
)
"""Heading, decimals and field of ``Score``; those of the classes are called ``class_`` and the same."""


def score_all(pair: Pair, restored: Mapping[str, Picture], definition: Definition = OURS) -> list[Score]:
    """Score what each method made of one pair; from any thread, and mostly without Python's lock."""
    return [score(name, pair, picture, definition) for name, picture in restored.items()]


class PsnrSsim:
    """Tabulates scores: ``compared`` are the methods of Table III, ``ablation`` those of Table VI."""

    def __init__(
        self, compared: Sequence[str], ablation: Sequence[str] = (), definition: Definition = OURS
    ) -> None:
        self.definition = definition
        self._compared, self._ablation = tuple(compared), tuple(ablation)
        self.scores: list[Score] = []

    def add(self, scores: Sequence[Score]) -> None:
        """Take the scores of one pair (``score_all``)."""
        self.scores += scores

    def findings(self) -> Findings:
        """Return Tables III, I and VI and the one by kernel size, as far as the scores fill them."""
        methods = list(dict.fromkeys(s.method for s in self.scores))
        pictures = len({s.name for s in self.scores})
        title = f"Comparison of methods (Table III), {counted(pictures, 'picture')}"
        made = [_overall("methods", title, self.scores, self._compared)]
        if self._ablation:
            title = f"Ablation study (Table VI), {counted(pictures, 'picture')}"
            made.append(_overall("ablation", title, self.scores, self._ablation))
        if any(not math.isnan(value) for s in self.scores for value in s.class_psnr):
            made.append(_by_class(self.scores, methods))
        if any(s.kernel_size is not None for s in self.scores):
            made.append(_by_kernel_size(self.scores, methods))
        return Findings(made, (*self.definition.lines, *DEFINITIONS), {"scores.csv": scores_csv(self.scores)})


def scores_csv(scores: Sequence[Score]) -> str:
    """Return one line for each method and picture."""
    whole = ("method", "name", "face", "kernel_size", "psnr", "ssim", "shift_rows", "shift_columns")
    of_class = [f"{field}_{name}" for *_, field in _SHOWN for name in CLASS_NAMES]
    return csv_text(
        (*whole, "psnr_shifted", "ssim_shifted", *of_class),
        [
            (
                *(s.method, s.name, s.face, "" if s.kernel_size is None else s.kernel_size),
                *(s.psnr, s.ssim, *s.shift, s.psnr_shifted, s.ssim_shifted),
                *(value for *_, field in _SHOWN for value in getattr(s, f"class_{field}")),
            )
            for s in scores
        ],
    )


def _overall(name: str, title: str, scores: Sequence[Score], methods: Sequence[str]) -> Table:
    rows = []
    for method in methods:
        mine = _of_method(scores, method)
        cells = [Cell(_mean(mine, field), decimals) for _, decimals, field in _SHOWN]
        rows.append(TableRow((method,), tuple(cells)))
    return Table(name, title, ("method",), tuple(heading for heading, *_ in _SHOWN), rows, intervals=True)


def _by_class(scores: Sequence[Score], methods: Sequence[str]) -> Table:
    rows = []
    for method in methods:
        mine = _of_method(scores, method)
        faces = [s.face for s in mine]
        for label, decimals, field in _SHOWN:
            by_class = zip(*(getattr(s, f"class_{field}") for s in mine), strict=True)
            rows.append(row((method, label), (mean(values, faces) for values in by_class), decimals))
    title = "PSNR and SSIM by semantic class (Table I)"
    return Table("classes", title, ("method", "score"), CLASSES, rows)


def _by_kernel_size(scores: Sequence[Score], methods: Sequence[str]) -> Table:
    sizes = sorted({s.kernel_size for s in scores if s.kernel_size is not None})
    of_size = [[s for s in scores if s.kernel_size == size] for size in sizes]
    rows = [
        row(
            (method, label),
            (_mean(_of_method(some, method), field) for some in of_size),
            decimals,
        )
        for method in methods
        for label, decimals, field in _SHOWN
    ]
    return Table("kernel-sizes", "By kernel size", ("method", "score"), tuple(map(str, sizes)), rows)


def _of_method(scores: Sequence[Score], method: str) -> list[Score]:
    return [s for s in scores if s.method == method]


def _mean(scores: Sequence[Score], field: str) -> Mean:
    return mean([getattr(s, field) for s in scores], [s.face for s in scores])
