"""F-scores of S-Net on clean and blurry pictures, before and after fine-tuning (Table II)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL, NO_CLASS
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import NO_VALUE, Mean, by_face, interval, resample
from umsn.scoring.tables import CLASSES, Table, csv_text, row

Segment = Callable[[Picture], NDArray[np.uint8]]
"""From a picture to its label map, ``blurgen.labels.Label`` values."""

DEFINITIONS: Final = (
    "F-score: 2 TP / (2 TP + FP + FN) of a class, over the pixels of all pictures together; pixels of "
    "unknown label do not count. A class that is neither in the labels nor found has none (-). Each "
    "distinct clean picture counts once.",
)


class SegmentationScores:
    """Counts how S-Net's classes agree with the labels.

    ``on_clean`` was trained on clean pictures, ``fine_tuned`` also on blurry ones; None leaves a column out.
    """

    def __init__(self, on_clean: Segment | None, fine_tuned: Segment | None) -> None:
        self._columns: list[tuple[str, Segment, bool]] = []
        if on_clean is not None:
            self._columns.append(("clean pictures, trained on clean", on_clean, True))
            self._columns.append(("blurry pictures, trained on clean", on_clean, False))
        if fine_tuned is not None:
            self._columns.append(("blurry pictures, fine-tuned on blurry", fine_tuned, False))
        self._counts: dict[str, list[tuple[Pair, NDArray[np.int64]]]] = {c: [] for c, *_ in self._columns}
        self._seen: set[int] = set()

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Segment one pair; a pair without labels tells nothing."""
        if pair.labels is None:
            return
        truth = CLASS_OF_LABEL[pair.labels]
        key = hash(pair.clean.tobytes())
        for column, segment, clean in self._columns:
            if clean and key in self._seen:
                continue
            found = CLASS_OF_LABEL[segment(pair.clean if clean else pair.blurry)]
            self._counts[column].append((pair, agreement(found, truth)))
        self._seen.add(key)

    def findings(self) -> Findings:
        """Return Table II; nothing where no pair had labels."""
        if not self._seen:
            return Findings()
        records = csv_text(
            ("column", "name", "face", "class", "true_positive", "false_positive", "false_negative"),
            [
                (column, pair.name, pair.face, CLASS_NAMES[number], *counts[number].tolist())
                for column, measured in self._counts.items()
                for pair, counts in measured
                for number in range(len(CLASS_NAMES))
            ],
        )
        columns = tuple(self._counts)
        means = [f_scores([c for _, c in m], [p.face for p, _ in m]) for m in self._counts.values()]
        by_class = zip(*means, strict=True)
        rows = [row((name,), values, 3) for name, values in zip(CLASSES, by_class, strict=True)]
        title = "F-scores of semantic masks (Table II)"
        table = Table("segmentation", title, ("class",), columns, rows, intervals=True)
        return Findings([table], DEFINITIONS, {"segmentation.csv": records})


def agreement(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return true positives, false positives and false negatives of every class, int64 ``[4, 3]``.

    Both are class maps of one shape; pixels whose true class is 255 (unknown) do not count.
    """
    found, truth = found[truth != NO_CLASS], truth[truth != NO_CLASS]
    counts = np.zeros((len(CLASS_NAMES), 3), np.int64)
    for number in range(len(CLASS_NAMES)):
        ours, true = found == number, truth == number
        counts[number] = (ours & true).sum(), (ours & ~true).sum(), (~ours & true).sum()
    return counts


def f_scores(counts: Sequence[NDArray[np.int64]], faces: Sequence[str]) -> list[Mean]:
    """Return the F-score of each class from the counts of all pictures, with bootstrap over faces."""
    if not counts:
        return [NO_VALUE] * len(CLASS_NAMES)
    resampled = _f_score(resample(by_face(np.stack(counts).astype(np.float64), faces)))
    values = _f_score(np.sum(counts, axis=0, dtype=np.float64))
    return [
        NO_VALUE if math.isnan(value) else interval(float(value), resampled[:, number], len(counts))
        for number, value in enumerate(values)
    ]


def _f_score(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[..., 3]`` -> ``[...]``; NaN where a class is in neither."""
    twice = 2 * counts[..., 0]
    either = twice + counts[..., 1] + counts[..., 2]
    return np.divide(twice, either, out=np.full_like(either, math.nan), where=either > 0)
