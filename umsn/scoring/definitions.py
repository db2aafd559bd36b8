"""Whose PSNR and SSIM: ours, or those of the programs that other papers take theirs from.

Programs differ in the window, the border, the variance and the colours, often by more than methods do. Each
is here as it is when called without other options, on 8-bit RGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from umsn.scoring.metrics import GAUSSIAN, PEAK, SSIM_CONSTANTS, check_pictures, psnr, ssim
from umsn.scoring.similarity import mean_similarity

Metric = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
"""Two pictures, uint8 ``[H, W, 3]`` RGB of one size, in; how alike they are out."""

_UNIFORM: Final = np.full(7, 1 / 7)
_LUMA: Final = np.array([65.481, 128.553, 24.966])  # of R, G, B in 0..1 (ITU-R BT.601), from 16 to 235


@dataclass(frozen=True)
class Definition:
    """One way to measure, and what it does in words."""

    psnr: Metric
    ssim: Metric
    lines: tuple[str, str]
    """What PSNR and SSIM mean, for the reader of tables."""
    smallest: int
    """Side of the smallest picture that can be measured."""


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the Y channel of BT.601, ``[H, W, 1]`` from 16 to 235, not rounded."""
    return (picture.astype(np.float64) @ _LUMA / PEAK + 16)[..., None]


def definition(name: str, crop: int = 0) -> Definition:
    """Return one of ``NAMES``; ``crop`` pixels at each border are left out of ``basicsr-y``'s.

    Raises ValueError for another name, or a crop of a definition that has none.
    """
    if name not in NAMES:
        raise ValueError(f"Argument 'name' must be one of {', '.join(NAMES)}, not '{name}'.")
    if crop < 0 or (crop and name != "basicsr-y"):
        raise ValueError(f"Argument 'crop' must be 0 for definition '{name}', not {crop}.")
    return _basicsr_y(crop) if name == "basicsr-y" else _FIXED[name]


def _ssim_of_scikit_image(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    check_pictures(image, truth, len(_UNIFORM))
    return _similarity(image, truth, _UNIFORM, correction=49 / 48)


def _ssim_of_matlab(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    check_pictures(image, truth, 1)
    radius = len(GAUSSIAN) // 2
    around = ((radius, radius), (radius, radius), (0, 0))
    wider, wider_truth = (np.pad(one, around, mode="edge") for one in (image, truth))
    return _similarity(wider, wider_truth, GAUSSIAN)


def _psnr_of_basicsr_y(image: NDArray[np.uint8], truth: NDArray[np.uint8], crop: int) -> float:
    check_pictures(image, truth, 2 * crop + 1)
    error = _inner(luma(image), crop) - _inner(luma(truth), crop)
    mean_squared = float(np.mean(error * error))
    return math.inf if mean_squared == 0 else 10 * math.log10(PEAK * PEAK / mean_squared)


def _ssim_of_basicsr_y(image: NDArray[np.uint8], truth: NDArray[np.uint8], crop: int) -> float:
    check_pictures(image, truth, 2 * crop + len(GAUSSIAN))
    return _similarity(_inner(luma(image), crop), _inner(luma(truth), crop), GAUSSIAN)


def _inner(picture: NDArray[Any], crop: int) -> NDArray[Any]:
    return picture[crop : picture.shape[0] - crop, crop : picture.shape[1] - crop]


def _similarity(
    image: NDArray[Any], truth: NDArray[Any], weights: NDArray[np.float64], correction: float = 1.0
) -> float:
    # As floats, whatever came: one compiled function for all of these.
    pictures = (np.ascontiguousarray(one, np.float64) for one in (image, truth))
    first, second = pictures
    return float(mean_similarity(first, second, weights, *SSIM_CONSTANTS, correction))


def _basicsr_y(crop: int) -> Definition:
    return Definition(
        partial(_psnr_of_basicsr_y, crop=crop),
        partial(_ssim_of_basicsr_y, crop=crop),
        (
            f"PSNR as BasicSR's with test_y_channel and crop_border = {crop}: of the Y channel (BT.601, 16 "
            "to 235, not rounded), peak 255; then the mean over pictures.",
            f"SSIM as BasicSR's with test_y_channel and crop_border = {crop}: Gaussian window of sigma 1.5 "
            "(11 x 11), positions where the whole window lies inside, of the Y channel; then the mean over "
            "pictures.",
        ),
        2 * crop + len(GAUSSIAN),
    )


_PSNR_LINE: Final = (
    "PSNR: 10 log10(255^2 / MSE) in dB, of 8-bit RGB pictures, MSE over all pixels and channels of one "
    "picture; then the mean over pictures."
)
_FIXED: Final[Mapping[str, Definition]] = MappingProxyType(
    {
        "ours": Definition(
            psnr,
            ssim,
            (
                _PSNR_LINE,
                "SSIM: Wang et al. 2004, Gaussian window of sigma 1.5 (11 x 11), K1 = 0.01, K2 = 0.03, range "
                "255, population statistics, over the positions where the whole window lies inside, mean "
                "over RGB; then the mean over pictures.",
            ),
            len(GAUSSIAN),
        ),
        "scikit-image": Definition(
            psnr,
            _ssim_of_scikit_image,
            (
                _PSNR_LINE,
                "SSIM as scikit-image's structural_similarity without options: uniform window of 7 x 7, "
                "sample statistics, over the positions where the whole window lies inside, mean over RGB; "
                "then the mean over pictures.",
            ),
            len(_UNIFORM),
        ),
        "matlab": Definition(
            psnr,
            _ssim_of_matlab,
            (
                _PSNR_LINE,
                "SSIM as MATLAB's ssim of each channel: Gaussian window of sigma 1.5 (11 x 11), population "
                "statistics, over all positions, the border's pixels repeated beyond it, mean over RGB; then "
                "the mean over pictures. (Given a colour picture as it is, MATLAB takes it for a volume.)",
            ),
            1,
        ),
    }
)
NAMES: Final = (*_FIXED, "basicsr-y")
OURS: Final = _FIXED["ours"]
