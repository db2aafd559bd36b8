"""PSNR, SSIM and F-score, with every choice pinned, so that scores compare across papers.

All take what a file would hold: uint8 RGB and uint8 class maps.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

PEAK: Final = 255.0

_SSIM_SIGMA: Final = 1.5
_SSIM_RADIUS: Final = 5  # 3.5 sigma, rounded: an 11 x 11 window
_SSIM_C1: Final = (0.01 * PEAK) ** 2
_SSIM_C2: Final = (0.03 * PEAK) ** 2


def psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in dB of one image, peak 255.

    Both uint8 and of one shape; the squared error is averaged over all pixels and channels.
    Infinite for equal images. The score of a set is the mean over its images.
    """
    _check(image, truth)
    error = image.astype(np.float64) - truth.astype(np.float64)
    mean_squared = float(np.mean(error * error))
    return math.inf if mean_squared == 0 else 10 * math.log10(PEAK * PEAK / mean_squared)


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the structural similarity of one image (Wang, Bovik, Sheikh, Simoncelli 2004).

    uint8 ``[H, W]`` or ``[H, W, C]``, at least 11 x 11. Gaussian window of sigma 1.5 and 11 x 11 pixels,
    population statistics, K1 = 0.01, K2 = 0.03, range 255; averaged over the positions where the whole
    window lies inside, then over the channels.
    """
    _check(image, truth)
    if min(image.shape[:2]) < 2 * _SSIM_RADIUS + 1:
        raise ValueError(
            f"Argument 'image' must be at least 11 x 11, not {image.shape[0]} x {image.shape[1]}."
        )
    x, y = image.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    variance_x = _window(x * x) - mean_x * mean_x
    variance_y = _window(y * y) - mean_y * mean_y
    covariance = _window(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)) / (
        (mean_x * mean_x + mean_y * mean_y + _SSIM_C1) * (variance_x + variance_y + _SSIM_C2)
    )
    return float(similarity.mean())


def f_score(classes: NDArray[np.uint8], truth: NDArray[np.uint8], number: int) -> float:
    """Return the F-score of one class, 2 TP / (2 TP + FP + FN), over all pixels given.

    ``classes`` and ``truth`` are class maps of one shape (any number of images); pixels whose true class
    is 255 (unknown) do not count. NaN where the class is in neither: such a class is left out of means.
    """
    if classes.shape != truth.shape:
        raise ValueError(f"Argument 'truth' must have shape {classes.shape}, not {truth.shape}.")
    known = truth != 255
    found, true = (classes == number) & known, (truth == number) & known
    either = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / either if either else math.nan


def _window(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Gaussian-weighted means over all windows inside ``x`` ``[H, W, ...]``."""
    offsets = np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    inside = slice(_SSIM_RADIUS, -_SSIM_RADIUS)
    return correlate1d(correlate1d(x, weights, axis=0), weights, axis=1)[inside, inside]


def _check(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    for name, value in (("image", image), ("truth", truth)):
        if value.dtype != np.uint8:
            raise ValueError(f"Argument '{name}' must be uint8, not {value.dtype}.")
    if image.shape != truth.shape:
        raise ValueError(f"Argument 'truth' must have shape {image.shape}, not {truth.shape}.")
