"""How sure training was of each class: over its iterations (Table VII), and by kernel size (Table VIII)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL
from umsn.nets import ConfidenceNet
from umsn.patches.batches import one_hot, to_image
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import NO_VALUE, mean, single
from umsn.scoring.tables import CONFIDENCES, Table, TableRow, csv_text, row

MOMENTS: Final = (0.03, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of the training that Table VII shows; the paper's are 0.03, 0.5 and 1."""

DEFINITIONS_TRACE: Final = (
    "Confidence over training: mean of C_i over the images, among the training batches since the line of the "
    "log before, that show class i.",
)
DEFINITIONS_SIZES: Final = (
    "Confidence by kernel size: C_i of the confidence network as training left it, for the restored and the "
    "clean picture under the masks that its loss had (S-Net on the clean picture, or the labels); mean over "
    "the pictures that show class i.",
)

Segment = Callable[[Picture], np.ndarray[Any, np.dtype[np.uint8]]]


def trace(lines: Sequence[Mapping[str, Any]], name: str) -> Findings:
    """Return Table VII from what a training logged (``run_folder.log_lines``); no table where it has none."""
    logged = [line for line in lines if _of_class(line, 0) is not None]
    if not logged:
        return Findings()
    of_iteration = {int(line["iteration"]): line for line in logged}
    rows = [_trace_row(of_iteration[iteration]) for iteration in at_moments(list(of_iteration))]
    title = f"Confidence values over the training of {name}, mean of training batches (Table VII)"
    table = Table("confidence-training", title, ("iteration",), CONFIDENCES, rows)
    records = csv_text(
        ("iteration", *CLASS_NAMES),
        [(line["iteration"], *(_of_class(line, i) for i in range(len(CLASS_NAMES)))) for line in logged],
    )
    return Findings([table], DEFINITIONS_TRACE, {"confidence-training.csv": records})


def at_moments(iterations: Sequence[int]) -> list[int]:
    """Return those of ``iterations`` that are nearest to ``MOMENTS`` of the last, in order, each once."""
    known = np.array(sorted(iterations))
    return sorted({int(known[np.abs(known - moment * known[-1]).argmin()]) for moment in MOMENTS})


def _trace_row(line: Mapping[str, Any]) -> TableRow:
    values = [_of_class(line, i) for i in range(len(CLASS_NAMES))]
    return row((str(line["iteration"]),), [NO_VALUE if v is None else single(v) for v in values], 3)


def _of_class(line: Mapping[str, Any], number: int) -> float | None:
    value = line.get(f"confidence_{CLASS_NAMES[number]}")
    return float(value) if isinstance(value, int | float) else None


def confidence_line(values: Sequence[float]) -> str:
    """Return C_1 to C_4 as the caption of a picture."""
    return "C " + " ".join("-" if math.isnan(value) else f"{value:.2f}" for value in values)


class Confidence:
    """Asks a confidence network how sure it is of each class of a restored picture.

    ``segment`` makes the masks of the clean picture (label maps); None: the pair's own labels.
    """

    def __init__(self, network: ConfidenceNet, segment: Segment | None, device: torch.device) -> None:
        self._network, self._segment, self._device = network, segment, device

    def __call__(self, pair: Pair, restored: Picture) -> tuple[float, ...] | None:
        """Return C_i in (0, 1] by class, NaN for one that the picture does not show.

        None for a pair without labels, where they are the masks.
        """
        labels = pair.labels if self._segment is None else self._segment(pair.clean)
        if labels is None:
            return None
        classes = torch.from_numpy(CLASS_OF_LABEL[labels].astype(np.int64))[None].to(self._device)
        masks = one_hot(classes)
        shown = (masks.amax(dim=(2, 3))[0] > 0).tolist()
        values = self._ask(restored, pair.clean, masks)
        return tuple(v if s else math.nan for v, s in zip(values, shown, strict=True))

    @torch.no_grad()
    def _ask(self, picture: Picture, clean: Picture, masks: Tensor) -> list[float]:
        images = (to_image(picture, self._device), to_image(clean, self._device))
        return self._network.per_class(*images, masks).exp()[0].tolist()


class ConfidenceScores:
    """Asks about every picture of one method."""

    def __init__(self, confidence: Confidence, method: str) -> None:
        self._confidence, self._method = confidence, method
        self._found: list[tuple[Pair, tuple[float, ...]]] = []

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Ask about one pair."""
        values = self._confidence(pair, restored[self._method])
        if values is not None:
            self._found.append((pair, values))

    def findings(self) -> Findings:
        """Return Table VIII: a row for each kernel size, and one for all; nothing where no pair had masks."""
        if not self._found:
            return Findings()
        sizes = sorted({p.kernel_size for p, _ in self._found if p.kernel_size is not None})
        groups = {f"{size} x {size}": [f for f in self._found if f[0].kernel_size == size] for size in sizes}
        rows = []
        for name, found in {**groups, "all": self._found}.items():
            faces = [pair.face for pair, _ in found]
            by_class = zip(*(values for _, values in found), strict=True)
            rows.append(row((name,), (mean(values, faces) for values in by_class), 3))
        title = f"Confidence values of {self._method} by kernel size (Table VIII)"
        table = Table("confidence-kernels", title, ("kernel",), CONFIDENCES, rows)
        records = csv_text(
            ("name", "face", "kernel_size", *CLASS_NAMES),
            [
                (p.name, p.face, "" if p.kernel_size is None else p.kernel_size, *values)
                for p, values in self._found
            ],
        )
        return Findings([table], DEFINITIONS_SIZES, {"confidence-kernels.csv": records})
