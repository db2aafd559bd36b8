"""The paper's measurements of restored pictures, each number with its definition (section IV-B).

PSNR and SSIM are those of ``umsn.metrics``, of 8-bit pictures, averaged over pictures. Blind deblurring is
defined only up to a shift, and test sets differ in how they centre their kernels, so both are given a second
time at the best shift of up to three pixels. A class is scored as Table I does: both pictures are black
outside the class, and the mean is over the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL
from umsn.metrics import psnr, ssim
from umsn.pairs import Pair

FURTHEST_SHIFT: Final = 3
"""Pixels, in each direction."""

_RESAMPLES: Final = 1000
_CONFIDENCE: Final = 0.95


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
    """Rows and columns by which the result is moved for the two that follow."""
    psnr_shifted: float
    ssim_shifted: float
    class_psnr: tuple[float, ...]
    """By class; NaN where the picture has no pixel of it, or no labels."""
    class_ssim: tuple[float, ...]


@dataclass(frozen=True)
class Mean:
    """A mean over pictures, with a bootstrap confidence interval (95 %, percentiles) over faces."""

    value: float
    low: float
    high: float
    count: int


def score(method: str, pair: Pair, restored: NDArray[np.uint8]) -> Score:
    """Measure one restored picture. Raises ValueError when it is not uint8 of the shape of the clean one."""
    shift, psnr_shifted, ssim_shifted = _best_shift(restored, pair.clean)
    by_class = [_class_score(number, pair, restored) for number in range(len(CLASS_NAMES))]
    return Score(
        method,
        pair.name,
        pair.face,
        pair.kernel_size,
        psnr(restored, pair.clean),
        ssim(restored, pair.clean),
        shift,
        psnr_shifted,
        ssim_shifted,
        tuple(one[0] for one in by_class),
        tuple(one[1] for one in by_class),
    )


def mean(values: Sequence[float], faces: Sequence[str]) -> Mean:
    """Return the mean of the values that are not NaN.

    The interval resamples faces, not pictures: several pictures of one face are not independent. An
    infinite value (a perfect picture) makes the mean infinite.
    """
    kept = [(value, face) for value, face in zip(values, faces, strict=True) if not math.isnan(value)]
    if not kept:
        return Mean(math.nan, math.nan, math.nan, 0)
    numbers = np.array([value for value, _ in kept])
    if np.isinf(numbers).any():
        return Mean(math.inf, math.inf, math.inf, len(kept))
    _, group = np.unique([face for _, face in kept], return_inverse=True)
    sums, counts = np.bincount(group, numbers), np.bincount(group)
    drawn = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))
    resampled = sums[drawn].sum(1) / counts[drawn].sum(1)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Mean(float(numbers.mean()), float(low), float(high), len(kept))


def _best_shift(
    restored: NDArray[np.uint8], clean: NDArray[np.uint8]
) -> tuple[tuple[int, int], float, float]:
    """Return the shift of highest PSNR, and PSNR and SSIM there, without the border that shifts run over."""
    far = FURTHEST_SHIFT
    height, width = clean.shape[:2]
    inner = clean[far : height - far, far : width - far]

    def moved(shift: tuple[int, int]) -> NDArray[np.uint8]:
        top, left = far - shift[0], far - shift[1]
        return restored[top : top + inner.shape[0], left : left + inner.shape[1]]

    # The shift of no movement comes first and wins a tie.
    steps = range(-far, far + 1)
    shifts = sorted(product(steps, steps), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))
    best = max(shifts, key=lambda shift: psnr(moved(shift), inner))
    return best, psnr(moved(best), inner), ssim(moved(best), inner)


def _class_score(number: int, pair: Pair, restored: NDArray[np.uint8]) -> tuple[float, float]:
    if pair.labels is None:
        return math.nan, math.nan
    mask = CLASS_OF_LABEL[pair.labels] == number
    if not mask.any():
        return math.nan, math.nan
    ours, truth = restored * mask[..., None], pair.clean * mask[..., None]
    return psnr(ours, truth), ssim(ours, truth)
