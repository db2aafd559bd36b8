"""Curves of a training, from the ``metrics.jsonl`` that ``umsn train`` writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from blurgen.errors import InputError
from blurgen.labels import CLASS_NAMES
from umsn.report.chart import Series, line_chart, short
from umsn.report.markup import Markup, element
from umsn.runs.metrics_log import read_lines

_TERMS: Final = (
    *("l1", "cross_entropy", "confidence", "perceptual"),
    *("gradient", "half_scale", "half_scale_gradient"),  # of the released code
)
_NAMES: Final = {
    "loss": "loss",
    "l1": "L1",
    "cross_entropy": "cross entropy",
    "confidence": "confidence-guided",
    "half_scale": "half scale",
    "half_scale_gradient": "half-scale gradient",
    "validation_psnr": "restored",
    "validation_psnr_blurry": "blurry",
    "validation_f_score": "mean",
}
_CHARTS: Final = (
    ("Loss", ("loss", *_TERMS)),
    ("Confidence per class", tuple(f"confidence_{name}" for name in CLASS_NAMES)),
    ("Validation PSNR (dB)", ("validation_psnr", "validation_psnr_blurry")),
    ("Validation F-score", ("validation_f_score", *(f"validation_f_score_{name}" for name in CLASS_NAMES))),
)


@dataclass
class Stage:
    """What one stage logged."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The line that its start wrote."""
    values: dict[str, dict[float, float]] = field(default_factory=dict)
    """By measurement, then by iteration."""


def read_log(path: Path) -> list[Stage]:
    """Return the stages of a training in the order they began.

    Lines that are no measurement are left out, as a killed training may leave half a line. InputError when
    the file cannot be read or holds no measurement.
    """
    stages: dict[str, Stage] = {}
    for values in read_lines(path):
        _take(values, stages)
    found = [stage for stage in stages.values() if stage.values]
    if not found:
        raise InputError(f"{path}: holds no measurements; expected the log of umsn train.")
    return found


def training_content(stages: Sequence[Stage]) -> list[Markup]:
    """Return a block of charts for each stage."""
    return [block for stage in stages if (block := _block(stage)) is not None]


def _take(values: Mapping[str, Any], stages: dict[str, Stage]) -> None:
    name = values.get("stage")
    if not isinstance(name, str):
        return
    stage = stages.setdefault(name, Stage(name))
    if values.get("event") == "start":
        stage.settings = values
        return
    iteration = _finite(values.get("iteration"))
    if iteration is None:
        return
    for key, value in values.items():
        number = _finite(value)
        if number is not None and key != "iteration":
            # Of two lines for one iteration the later one counts: a resumed training writes it again.
            stage.values.setdefault(key, {})[iteration] = number


def _block(stage: Stage) -> Markup | None:
    charts = [chart for title, keys in _CHARTS if (chart := _chart(title, keys, stage)) is not None]
    if not charts:
        return None
    about = element("p", _summary(stage), class_="note")
    return element(
        "section", element("h3", stage.name), about, element("div", *charts, class_="charts"), class_="stage"
    )


def _chart(title: str, keys: Sequence[str], stage: Stage) -> Markup | None:
    found = {key: stage.values[key] for key in keys if key in stage.values}
    terms = [key for key in found if key in _TERMS]
    if len(terms) == 1:
        # The loss is this term alone: one line says it.
        del found[terms[0]]
    series = [Series(_name(key), *zip(*sorted(points.items()), strict=True)) for key, points in found.items()]
    return line_chart(title, "iteration", series) if series else None


def _name(key: str) -> str:
    """Return what the legend calls a measurement: the class, where it is one of a class."""
    return _NAMES.get(key) or next((c for c in CLASS_NAMES if key.endswith(f"_{c}")), key)


def _summary(stage: Stage) -> str:
    parts = [f"{short(max(i for points in stage.values.values() for i in points))} iterations"]
    about = stage.settings.get("about")
    planned = about.get("stage") if isinstance(about, Mapping) else None
    settings = planned if isinstance(planned, Mapping) else {}
    for label, value in (
        ("parameters", stage.settings.get("parameters")),
        ("batch", settings.get("batch_size")),
        ("learning rate", settings.get("learning_rate")),
    ):
        number = _finite(value)
        if number is not None:
            parts.append(f"{short(number)} {label}" if label == "parameters" else f"{label} {short(number)}")
    speeds = list(stage.values.get("images_per_second", {}).values())
    if speeds:
        parts.append(f"{short(sum(speeds) / len(speeds))} images/s")
    return " · ".join(parts)


def _finite(value: Any) -> float | None:
    """Return a number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e30 else None
