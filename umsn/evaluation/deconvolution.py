"""Deconvolution with the true kernel, from scikit-image: what can be had without training.

Not blind: these methods are told what a blind method has to guess. They say how hard a test set is.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from umsn.scoring.measures import Picture
from umsn.scoring.pairs import Pair

BALANCE: Final = 0.5
"""Weight of the Laplacian prior of the Wiener filter; about the best for noise of sigma 0.03."""

ITERATIONS: Final = 5
"""Of Richardson and Lucy's method; about the best for noise of sigma 0.03, which more of them amplify."""

DEFINITIONS: Final = (
    f"Wiener: skimage.restoration.wiener with the true kernel, Laplacian prior, balance {BALANCE}, each "
    "channel by itself; the border is continued by a linear ramp to the mean, as wide as the kernel.",
    f"Richardson-Lucy: skimage.restoration.richardson_lucy with the true kernel, {ITERATIONS} iterations, "
    "each channel by itself; the border is continued by mirroring, as wide as the kernel.",
)


def require_scikit_image() -> None:
    """Raise InputError with the remedy unless scikit-image is there."""
    if importlib.util.find_spec("skimage") is None:
        raise InputError('Deconvolution needs scikit-image; to install it: pip install "blurgen[eval]"')


def wiener(pair: Pair) -> Picture:
    """Deconvolve with the Wiener filter (``DEFINITIONS``). Raises ValueError for a pair without a kernel."""
    from skimage import restoration  # noqa: PLC0415  (an extra)

    kernel = _kernel(pair)
    mean = float(pair.blurry.mean()) / 255
    wider = _wider(pair.blurry, len(kernel), mode="linear_ramp", end_values=mean)
    found = [restoration.wiener(wider[..., c], kernel, BALANCE, clip=False) for c in range(3)]
    return _narrower(found, len(kernel))


def richardson_lucy(pair: Pair) -> Picture:
    """Deconvolve with Richardson and Lucy's method; see ``wiener``."""
    from skimage import restoration  # noqa: PLC0415  (an extra)

    kernel = _kernel(pair)
    wider = _wider(pair.blurry, len(kernel), mode="reflect")
    found = [
        restoration.richardson_lucy(wider[..., c], kernel, num_iter=ITERATIONS, clip=False) for c in range(3)
    ]
    return _narrower(found, len(kernel))


def _kernel(pair: Pair) -> NDArray[np.float64]:
    if pair.kernel is None:
        raise ValueError("Argument 'pair' must have a kernel.")
    return pair.kernel


def _wider(picture: Picture, margin: int, **options: Any) -> NDArray[np.float64]:
    return np.pad(picture / 255, ((margin, margin), (margin, margin), (0, 0)), **options)


def _narrower(channels: list[NDArray[np.float64]], margin: int) -> Picture:
    picture = np.stack(channels, axis=-1)[margin:-margin, margin:-margin]
    return np.round(picture.clip(0, 1) * 255).astype(np.uint8)
