"""What a kernel bank looks like in numbers: for people who want to know what they train on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blurgen.jobs.progress import counted
from blurgen.kernels.bank import KernelBank, has_paths, trajectory
from blurgen.kernels.raster import UNIT

DIRECTION_BINS: Final = 12
"""Directions are counted in steps of 15 degrees from 0 (horizontal) over 90 (vertical) to 180."""

_HISTOGRAM_BINS = 40
_MOST_AT_ONCE = 4096  # kernels turned to floating point at a time: bounds memory


def statistics(bank: KernelBank, paths: int = 1000) -> dict[str, Any]:
    """Return statistics of a bank, JSON-able.

    - ``sizes``: number of kernels of each size; ``digest``, ``count``, ``max_size``, ``made_with``;
    - ``taps``: pixels with any weight; ``extent``: longer side of the box around them, in pixels;
      ``center_offset``: distance of the centre of mass from the centre pixel, in pixels; ``peak``: largest
      weight, as a share of the whole;
    - ``roundness``: standard deviation across the main axis over the one along it; 0 is a straight line,
      1 is round;
    - ``directions``: kernels by direction of the main axis, 12 counts from 0 to 180 degrees;
    - ``path_length`` (pixels), ``path_to_size`` (length over size) and ``straightness`` (distance of the ends
      over length) of at most ``paths`` camera paths, evenly spread over the bank; absent for imported
      kernels.

    All but counts are summaries: min, p10, median, p90, max, mean, and a histogram of 40 bins.
    """
    parts = [_of_weights(bank.weights[i : i + _MOST_AT_ONCE]) for i in range(0, len(bank), _MOST_AT_ONCE)]
    measured = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    angles = measured.pop("angle")
    bins = np.minimum(angles * DIRECTION_BINS / 180, DIRECTION_BINS - 1).astype(int)
    result: dict[str, Any] = {
        "count": len(bank),
        "max_size": bank.max_size,
        "digest": bank.digest,
        "made_with": bank.made_with,
        "sizes": bank.size_counts(),
        "directions": np.bincount(bins, minlength=DIRECTION_BINS).tolist(),
        **{name: _summary(values) for name, values in measured.items()},
    }
    if has_paths(bank):
        chosen = np.unique(np.linspace(0, len(bank) - 1, min(paths, len(bank))).astype(int))
        result["paths_measured"] = len(chosen)
        result |= {name: _summary(values) for name, values in _of_paths(bank, chosen).items()}
    return result


def as_text(statistics: dict[str, Any]) -> str:
    """Return statistics as a table for a terminal."""
    made, side = statistics["made_with"], statistics["max_size"]
    lines = [
        f"{counted(statistics['count'], 'kernel')} up to {side} x {side}, digest {statistics['digest']}",
        "made with: " + ", ".join(f"{name} {value}" for name, value in made.items()),
        "sizes: " + ", ".join(f"{size}: {n:,}" for size, n in statistics["sizes"].items()),
        "",
        f"{'':24}{'min':>9}{'10 %':>9}{'median':>9}{'90 %':>9}{'max':>9}{'mean':>9}",
    ]
    for name, label in _LABELS.items():
        if name in statistics:
            s = statistics[name]
            lines.append(f"{label:24}" + "".join(f"{s[key]:9.3f}" for key in _KEYS))
    lines.append("")
    if "paths_measured" in statistics:
        lines.append(f"Paths: measured on {counted(statistics['paths_measured'], 'kernel')}, evenly spread.")
    most = max(statistics["directions"])
    for i, n in enumerate(statistics["directions"]):
        first, last = i * 180 // DIRECTION_BINS, (i + 1) * 180 // DIRECTION_BINS
        lines.append(f"{first:4d} to {last:3d} degrees {n:7,} {'#' * round(30 * n / most)}")
    return "\n".join(lines)


_KEYS = ("min", "p10", "median", "p90", "max", "mean")
_LABELS = {
    "taps": "taps",
    "extent": "extent (px)",
    "peak": "peak weight",
    "center_offset": "centre offset (px)",
    "roundness": "roundness",
    "path_length": "path length (px)",
    "path_to_size": "path length / size",
    "straightness": "straightness",
}


def center_offsets(weights: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return (x, y) of every kernel's centre of mass from the centre pixel, in pixels, float64 [K, 2]."""
    coordinate = np.arange(weights.shape[1], dtype=np.float64) - (weights.shape[1] - 1) / 2
    columns, rows = (weights.sum(axis=axis, dtype=np.int64) for axis in (1, 2))
    return np.stack([columns @ coordinate, rows @ coordinate], axis=1) / UNIT


def _of_weights(weights: NDArray[np.uint16]) -> dict[str, NDArray[np.float64]]:
    columns, rows = weights.sum(axis=1, dtype=np.int64), weights.sum(axis=2, dtype=np.int64)
    center = center_offsets(weights)
    coordinate = np.arange(weights.shape[1], dtype=np.float64) - (weights.shape[1] - 1) / 2
    xx = columns @ coordinate**2 / UNIT - center[:, 0] ** 2
    yy = rows @ coordinate**2 / UNIT - center[:, 1] ** 2
    xy = np.einsum("kij,i,j->k", weights, coordinate, coordinate) / UNIT - center[:, 0] * center[:, 1]
    spread = np.hypot((xx - yy) / 2, xy)
    along, across = (xx + yy) / 2 + spread, np.maximum((xx + yy) / 2 - spread, 0)
    return {
        "taps": np.count_nonzero(weights, axis=(1, 2)).astype(np.float64),
        "extent": np.maximum(_reach(columns), _reach(rows)),
        "peak": weights.max(axis=(1, 2)) / UNIT,
        "center_offset": np.hypot(center[:, 0], center[:, 1]),
        "roundness": np.sqrt(across / np.maximum(along, 1e-12)),
        # Rows count downwards; directions are counted from the horizontal upwards, as on paper.
        "angle": np.degrees(np.arctan2(-xy, (xx - yy) / 2)) / 2 % 180,
    }


def _reach(profile: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the length between the first and the last entry that is not 0, of every row."""
    used = profile > 0
    first, last = used.argmax(axis=1), profile.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return (last - first + 1).astype(np.float64)


def _of_paths(bank: KernelBank, chosen: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    lengths, chords = np.empty(len(chosen)), np.empty(len(chosen))
    for k, i in enumerate(chosen):
        path = trajectory(bank, int(i))
        lengths[k] = path.length
        chords[k] = np.hypot(path.x[-1] - path.x[0], path.y[-1] - path.y[0])
    return {
        "path_length": lengths,
        "path_to_size": lengths / bank.sizes[chosen],
        "straightness": chords / lengths,
    }


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    p10, median, p90 = np.percentile(values, [10, 50, 90])
    numbers = (values.min(), p10, median, p90, values.max(), values.mean())
    counts, edges = np.histogram(values, bins=_HISTOGRAM_BINS)
    summary: dict[str, Any] = {key: round(float(value), 6) for key, value in zip(_KEYS, numbers, strict=True)}
    summary["histogram"] = {"edges": edges.round(6).tolist(), "counts": counts.tolist()}
    return summary
