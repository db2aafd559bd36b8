"""The paper's measurements of restored pictures, each number with its definition (section IV-B).

PSNR and SSIM are those of ``umsn.scoring.definitions``, of 8-bit pictures, averaged over pictures. Blind
deblurring is defined only up to a shift, and test sets differ in how they centre their kernels, so all
are given a second time at the best shift of up to three pixels. A class is scored as Table I does: both
pictures are black outside the class, and the mean is over the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL
from blurgen.randomness.philox import Stream, words
from umsn.scoring.definitions import OURS, Definition
from umsn.scoring.pairs import Pair

FURTHEST_SHIFT: Final = 3
"""Pixels, in each direction."""

DEFINITIONS: Final = (
    f"Best shift: the result is moved by up to {FURTHEST_SHIFT} pixels each way, where its PSNR is highest; "
    f"both are scored there without a border of {FURTHEST_SHIFT} pixels. One shift for the whole picture, "
    "also for its classes.",
    "By class: both pictures are black outside the class (labels of the clean picture), scored over the "
    "whole picture; pictures without the class are left out. Small classes so have high values.",
    "Intervals: 95 %, bootstrap with 1,000 resamples of faces (several pictures of one face are not "
    "independent). Values are written as value (low to high).",
)
"""What the numbers of ``score`` and ``mean`` mean, after ``Definition.lines``, for every table of them."""

_BAND: Final = 128  # rows that are compared at a time
_RESAMPLES: Final = 1000
_CONFIDENCE: Final = 0.95
# Not among the streams of FORMAT.md, nor among those of a training (umsn.patches.batches).
_BOOTSTRAP_STREAM: Final = cast(Stream, 103)


@dataclass(frozen=True)
class Score:
    """What one method made of one picture. PSNR in dB."""

    method: str
    name: str
    face: str
    kernel_size: int | None
    psnr: float
    ssim: float
    shift: tuple[int, int]
    """Rows and columns by which the result is moved for the values called ``shifted``."""
    psnr_shifted: float
    ssim_shifted: float
    class_psnr: tuple[float, ...]
    """By class, as all that follow; NaN where the picture has no pixel of it, or no labels."""
    class_ssim: tuple[float, ...]
    class_psnr_shifted: tuple[float, ...]
    class_ssim_shifted: tuple[float, ...]


@dataclass(frozen=True)
class Mean:
    """A mean over pictures, with a bootstrap confidence interval (95 %, percentiles) over faces."""

    value: float
    low: float
    high: float
    count: int
    """How many pictures it is the mean of."""


NO_VALUE: Final = Mean(math.nan, math.nan, math.nan, 0)


def single(value: float) -> Mean:
    """Return the mean of one value, which has no interval."""
    return Mean(value, math.nan, math.nan, 1)


def score(method: str, pair: Pair, restored: NDArray[np.uint8], definition: Definition = OURS) -> Score:
    """Measure one restored picture.

    Raises ValueError when it is not uint8 of the shape of the clean one, InputError when it is too small.
    """
    side = min(pair.clean.shape[:2])
    if side < definition.smallest + 2 * FURTHEST_SHIFT:
        raise InputError(
            f"{pair.name}: a side of {side} pixels is too small to score by this definition; at least "
            f"{definition.smallest + 2 * FURTHEST_SHIFT}."
        )
    psnr, ssim = definition.psnr, definition.ssim
    whole = psnr(restored, pair.clean), ssim(restored, pair.clean)
    shift = best_shift(restored, pair.clean)
    moved, inner = shifted(restored, shift), shifted(pair.clean, (0, 0))
    classes = None if pair.labels is None else CLASS_OF_LABEL[pair.labels]
    inner_classes = None if classes is None else shifted(classes, (0, 0))
    class_psnr, class_ssim = _class_scores(definition, classes, restored, pair.clean)
    class_psnr_shifted, class_ssim_shifted = _class_scores(definition, inner_classes, moved, inner)
    return Score(
        method,
        pair.name,
        pair.face,
        pair.kernel_size,
        *whole,
        shift,
        psnr(moved, inner),
        ssim(moved, inner),
        class_psnr,
        class_ssim,
        class_psnr_shifted,
        class_ssim_shifted,
    )


def mean(values: Sequence[float], faces: Sequence[str]) -> Mean:
    """Return the mean of the values that are not NaN.

    The interval resamples faces, not pictures: several pictures of one face are not independent. An
    infinite value (a perfect picture) makes the mean infinite.
    """
    kept = [(value, face) for value, face in zip(values, faces, strict=True) if not math.isnan(value)]
    if not kept:
        return NO_VALUE
    numbers = np.array([value for value, _ in kept])
    if np.isinf(numbers).any():
        return Mean(math.inf, math.inf, math.inf, len(kept))
    totals = by_face(np.stack([numbers, np.ones(len(kept))], axis=1), [face for _, face in kept])
    resampled = resample(totals)
    return interval(float(numbers.mean()), resampled[:, 0] / resampled[:, 1], len(kept))


def by_face(values: NDArray[np.float64], faces: Sequence[str]) -> NDArray[np.float64]:
    """Return the sums ``[faces, ...]`` of the rows of ``values`` ``[n, ...]`` that are of one face."""
    names, group = np.unique(np.array(faces, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, group, values)
    return sums


def resample(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums ``[1000, ...]`` over as many faces as there are, drawn with replacement."""
    return np.stack([totals[rows].sum(axis=0) for rows in _drawn(len(totals))])


@lru_cache(maxsize=2)
def _drawn(count: int) -> NDArray[np.int32]:
    """Return ``[1000, count]`` numbers below ``count``, always the same: intervals are reproducible."""
    drawn = words(0, _BOOTSTRAP_STREAM, 0, _RESAMPLES * count).astype(np.uint64) * np.uint64(count) >> 32
    return drawn.astype(np.int32).reshape(_RESAMPLES, count)


def interval(value: float, resampled: NDArray[np.float64], count: int) -> Mean:
    """Return ``value`` with the interval of its bootstrap distribution; NaNs in it do not count."""
    tail = (1 - _CONFIDENCE) / 2
    kept = resampled[~np.isnan(resampled)]
    low, high = np.quantile(kept, [tail, 1 - tail]) if len(kept) else (math.nan, math.nan)
    return Mean(value, float(low), float(high), count)


def best_shift(restored: NDArray[np.uint8], clean: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the rows and columns by which to move ``restored`` for the highest PSNR."""
    # The shift of no movement comes first and wins a tie.
    steps = range(-FURTHEST_SHIFT, FURTHEST_SHIFT + 1)
    nearest_first = sorted(product(steps, steps), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))
    return min(nearest_first, key=lambda shift: squared_error(restored, clean, shift))


def squared_error(restored: NDArray[np.uint8], clean: NDArray[np.uint8], shift: tuple[int, int]) -> int:
    """Return the exact sum of squared differences, ``restored`` moved by ``shift`` (see ``shifted``)."""
    moved, inner = shifted(restored, shift), shifted(clean, (0, 0))
    total = 0
    for top in range(0, len(inner), _BAND):
        rows = slice(top, top + _BAND)
        # Whole numbers below 2^53: in float64 they and their sums are exact, and the product is fast.
        difference = np.subtract(moved[rows], inner[rows], dtype=np.float64).ravel()
        total += int(difference @ difference)
    return total


def shifted(picture: NDArray[np.uint8], shift: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture ``[H, W, ...]`` moved, without the border that shifts run over."""
    far = FURTHEST_SHIFT
    top, left = far - shift[0], far - shift[1]
    return picture[top : top + picture.shape[0] - 2 * far, left : left + picture.shape[1] - 2 * far]


def _class_scores(
    definition: Definition,
    classes: NDArray[np.uint8] | None,
    restored: NDArray[np.uint8],
    clean: NDArray[np.uint8],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return PSNR and SSIM of every class."""
    found = np.full((2, len(CLASS_NAMES)), math.nan)
    for number in range(len(CLASS_NAMES)):
        if classes is not None and (classes == number).any():
            mask = (classes == number)[..., None]
            ours, truth = restored * mask, clean * mask
            found[:, number] = definition.psnr(ours, truth), definition.ssim(ours, truth)
    psnr, ssim = found.tolist()
    return tuple(psnr), tuple(ssim)
