"""PSNR, SSIM and F-score, with every choice pinned, so that scores compare across papers.

All take what a file would hold: uint8 RGB and uint8 class maps.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from umsn.scoring.similarity import mean_similarity

PEAK: Final = 255.0

_SSIM_SIGMA: Final = 1.5
_SSIM_RADIUS: Final = 5  # 3.5 sigma, rounded: an 11 x 11 window
_WINDOW: Final = np.exp(-0.5 * (np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1) / _SSIM_SIGMA) ** 2)
GAUSSIAN: Final = _WINDOW / _WINDOW.sum()
"""The window of SSIM along one axis."""

SSIM_CONSTANTS: Final = ((0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2)
"""C1 and C2 of SSIM, with K1 = 0.01 and K2 = 0.03."""


def psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in dB of one image, peak 255.

    Both uint8 and of one shape; the squared error is averaged over all pixels and channels.
    Infinite for equal images. The score of a set is the mean over its images.
    """
    check_pictures(image, truth, 1)
    error = image.astype(np.float64) - truth.astype(np.float64)
    mean_squared = float(np.mean(error * error))
    return math.inf if mean_squared == 0 else 10 * math.log10(PEAK * PEAK / mean_squared)


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the structural similarity of one image (Wang, Bovik, Sheikh, Simoncelli 2004).

    uint8 ``[H, W]`` or ``[H, W, C]``, at least 11 x 11. Gaussian window of sigma 1.5 and 11 x 11 pixels,
    population statistics, K1 = 0.01, K2 = 0.03, range 255; averaged over the positions where the whole
    window lies inside, then over the channels.
    """
    check_pictures(image, truth, len(GAUSSIAN))
    return float(mean_similarity(_planes(image), _planes(truth), GAUSSIAN, *SSIM_CONSTANTS, 1.0))


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


def _planes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as compiled code takes it, ``[H, W, C]``; read-only it would be compiled anew."""
    plain = np.require(picture, requirements=["C", "W"])
    return plain.reshape(plain.shape[0], plain.shape[1], -1)


def check_pictures(image: NDArray[np.uint8], truth: NDArray[np.uint8], smallest: int) -> None:
    """Raise ValueError unless both are uint8, of one shape, and at least ``smallest`` pixels each way."""
    for name, value in (("image", image), ("truth", truth)):
        if value.dtype != np.uint8:
            raise ValueError(f"Argument '{name}' must be uint8, not {value.dtype}.")
    if image.shape != truth.shape:
        raise ValueError(f"Argument 'truth' must have shape {image.shape}, not {truth.shape}.")
    if min(image.shape[:2]) < smallest:
        size = f"{image.shape[0]} x {image.shape[1]}"
        raise ValueError(f"Argument 'image' must be at least {smallest} x {smallest}, not {size}.")
