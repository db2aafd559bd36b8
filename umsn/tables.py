"""Scores as tables: Markdown and LaTeX to read, CSV and JSON to compute with."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from blurgen.labels import CLASS_NAMES
from umsn.scores import Mean, Score, mean


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table for a README."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def latex(self) -> str:
        """Return the table for a paper, as a ``tabular``."""
        body = [" & ".join(map(_escaped, line)) + r" \\" for line in (self.columns, *self.rows)]
        inner = [r"\hline", body[0], r"\hline", *body[1:], r"\hline"]
        head = rf"% {self.title}" + "\n" + rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}"
        return "\n".join([head, *inner, r"\end{tabular}"]) + "\n"


def tables(scores: Sequence[Score]) -> list[Table]:
    """Return every table the scores fill: all pictures (as Table III), classes (as Table I), kernel sizes."""
    made = [_overall(scores)]
    if any(not math.isnan(value) for score in scores for value in score.class_psnr):
        made.append(_by_class(scores))
    if any(score.kernel_size is not None for score in scores):
        made.append(_by_kernel_size(scores))
    return made


def per_picture_csv(scores: Sequence[Score]) -> str:
    """Return one line per method and picture."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"{metric}_{name}" for metric in ("psnr", "ssim") for name in CLASS_NAMES)])
    for one in scores:
        size = "" if one.kernel_size is None else one.kernel_size
        numbers = [one.psnr, one.ssim, *one.shift, one.psnr_shifted, one.ssim_shifted]
        writer.writerow([one.method, one.name, one.face, size, *numbers, *one.class_psnr, *one.class_ssim])
    return out.getvalue()


def summary_json(scores: Sequence[Score]) -> str:
    """Return the means of each method with their confidence intervals, by name of the measure."""
    summary = {
        method: {name: asdict(_mean(scores, method, get)) for name, get in _MEASURES.items()}
        for method in _methods(scores)
    }
    return json.dumps(_finite(summary), indent=1, allow_nan=False) + "\n"


_COLUMNS = (
    *("method", "name", "face", "kernel_size", "psnr", "ssim"),
    *("shift_rows", "shift_columns", "psnr_shifted", "ssim_shifted"),
)

_MEASURES: dict[str, Callable[[Score], float]] = {
    "psnr": lambda s: s.psnr,
    "ssim": lambda s: s.ssim,
    "psnr_shifted": lambda s: s.psnr_shifted,
    "ssim_shifted": lambda s: s.ssim_shifted,
    **{f"psnr_{name}": lambda s, i=i: s.class_psnr[i] for i, name in enumerate(CLASS_NAMES)},  # type: ignore[misc]
    **{f"ssim_{name}": lambda s, i=i: s.class_ssim[i] for i, name in enumerate(CLASS_NAMES)},  # type: ignore[misc]
}


def _overall(scores: Sequence[Score]) -> Table:
    names = ("psnr", "ssim", "psnr_shifted", "ssim_shifted")
    rows = [
        (method, *(_text(_mean(scores, method, _MEASURES[name]), name) for name in names))
        for method in _methods(scores)
    ]
    columns = ("method", "PSNR (dB)", "SSIM", "PSNR, best shift", "SSIM, best shift")
    pictures = len({score.name for score in scores})
    return Table(f"{pictures} pictures; mean and 95 % interval", columns, tuple(rows))


def _by_class(scores: Sequence[Score]) -> Table:
    names = [(f"psnr_{name}", f"ssim_{name}") for name in CLASS_NAMES]
    rows = [(method, *(_pair(scores, method, *pair) for pair in names)) for method in _methods(scores)]
    return Table("By class, PSNR (dB) / SSIM", ("method", *CLASS_NAMES), tuple(rows))


def _by_kernel_size(scores: Sequence[Score]) -> Table:
    sizes = sorted({score.kernel_size for score in scores if score.kernel_size is not None})
    rows = []
    for method in _methods(scores):
        cells = [
            _pair([score for score in scores if score.kernel_size == size], method, "psnr", "ssim")
            for size in sizes
        ]
        rows.append((method, *cells))
    return Table("By kernel size, PSNR (dB) / SSIM", ("method", *map(str, sizes)), tuple(rows))


def _pair(scores: Sequence[Score], method: str, *names: str) -> str:
    return " / ".join(_number(_mean(scores, method, _MEASURES[name]).value, name) for name in names)


def _mean(scores: Sequence[Score], method: str, measure: Callable[[Score], float]) -> Mean:
    chosen = [score for score in scores if score.method == method]
    return mean([measure(score) for score in chosen], [score.face for score in chosen])


def _methods(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.method for score in scores))


def _text(value: Mean, name: str) -> str:
    return f"{_number(value.value, name)} ({_number(value.low, name)} to {_number(value.high, name)})"


def _number(value: float, name: str) -> str:
    return f"{value:.2f}" if name.startswith("psnr") else f"{value:.3f}"


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: they become null and a text."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity"
    return value


def _escaped(text: str) -> str:
    return "".join(rf"\{c}" if c in "%&_#$" else c for c in text)
