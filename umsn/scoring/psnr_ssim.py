"""PSNR and SSIM as the paper tabulates them: methods (Table III), classes (Table I), ablation (Table VI)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from blurgen.labels import CLASS_NAMES
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import DEFINITIONS, Mean, Score, mean, score
from umsn.scoring.tables import CLASSES, Cell, Table, TableRow, csv_text

Get = Callable[[Score], float]

_WHOLE: tuple[tuple[str, int, Get], ...] = (
    ("PSNR (dB)", 2, lambda s: s.psnr),
    ("SSIM", 3, lambda s: s.ssim),
    ("PSNR, best shift", 2, lambda s: s.psnr_shifted),
    ("SSIM, best shift", 3, lambda s: s.ssim_shifted),
)
_OF_CLASS: tuple[tuple[str, int, Callable[[Score, int], float]], ...] = (
    ("PSNR (dB)", 2, lambda s, i: s.class_psnr[i]),
    ("SSIM", 3, lambda s, i: s.class_ssim[i]),
    ("PSNR, best shift", 2, lambda s, i: s.class_psnr_shifted[i]),
    ("SSIM, best shift", 3, lambda s, i: s.class_ssim_shifted[i]),
)
_CLASS_FIELDS = ("class_psnr", "class_ssim", "class_psnr_shifted", "class_ssim_shifted")


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
        title = f"Comparison of methods (Table III), {pictures} pictures"
        made = [_overall("methods", title, self.scores, self._compared)]
        if self._ablation:
            title = f"Ablation study (Table VI), {pictures} pictures"
            made.append(_overall("ablation", title, self.scores, self._ablation))
        if any(not math.isnan(value) for s in self.scores for value in s.class_psnr):
            made.append(_by_class(self.scores, methods))
        if any(s.kernel_size is not None for s in self.scores):
            made.append(_by_kernel_size(self.scores, methods))
        return Findings(made, (*self.definition.lines, *DEFINITIONS), {"scores.csv": scores_csv(self.scores)})


def scores_csv(scores: Sequence[Score]) -> str:
    """Return one line for each method and picture."""
    whole = ("method", "name", "face", "kernel_size", "psnr", "ssim", "shift_rows", "shift_columns")
    of_class = [f"{field.removeprefix('class_')}_{name}" for field in _CLASS_FIELDS for name in CLASS_NAMES]
    return csv_text(
        (*whole, "psnr_shifted", "ssim_shifted", *of_class),
        [
            (
                *(s.method, s.name, s.face, "" if s.kernel_size is None else s.kernel_size),
                *(s.psnr, s.ssim, *s.shift, s.psnr_shifted, s.ssim_shifted),
                *(value for field in _CLASS_FIELDS for value in getattr(s, field)),
            )
            for s in scores
        ],
    )


def _overall(name: str, title: str, scores: Sequence[Score], methods: Sequence[str]) -> Table:
    rows = [
        TableRow((m,), tuple(Cell(_mean(scores, m, get), decimals) for _, decimals, get in _WHOLE))
        for m in methods
    ]
    return Table(name, title, ("method",), tuple(c for c, *_ in _WHOLE), tuple(rows), intervals=True)


def _by_class(scores: Sequence[Score], methods: Sequence[str]) -> Table:
    rows = []
    for method in methods:
        mine = [s for s in scores if s.method == method]
        faces = [s.face for s in mine]
        for label, decimals, get in _OF_CLASS:
            means = [mean([get(s, number) for s in mine], faces) for number in range(len(CLASS_NAMES))]
            rows.append(TableRow((method, label), tuple(Cell(one, decimals) for one in means)))
    return Table(
        "classes", "PSNR and SSIM by semantic class (Table I)", ("method", "score"), CLASSES, tuple(rows)
    )


def _by_kernel_size(scores: Sequence[Score], methods: Sequence[str]) -> Table:
    sizes = sorted({s.kernel_size for s in scores if s.kernel_size is not None})
    of_size = {size: [s for s in scores if s.kernel_size == size] for size in sizes}
    rows = [
        TableRow((method, label), tuple(Cell(_mean(of_size[size], method, get), decimals) for size in sizes))
        for method in methods
        for label, decimals, get in _WHOLE
    ]
    labels = ("method", "score")
    return Table("kernel-sizes", "By kernel size", labels, tuple(map(str, sizes)), tuple(rows))


def _mean(scores: Sequence[Score], method: str, get: Get) -> Mean:
    chosen = [s for s in scores if s.method == method]
    return mean([get(s) for s in chosen], [s.face for s in chosen])
