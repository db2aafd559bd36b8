"""One picture blurred by one kernel, with the arithmetic of datasets: the thing to try first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurgen.errors import Argument, ArgumentError
from blurgen.kernels.raster import UNIT, to_q15
from blurgen.synthesis.engine import Degrader
from blurgen.synthesis.recipe import INDEX_DTYPE


def blur(picture: ArrayLike, kernel: ArrayLike, *, sigma: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    """Return ``picture`` blurred by ``kernel``, with Gaussian noise of ``sigma``.

    ``picture`` is uint8 ``[H, W, 3]``, RGB, or uint8 ``[H, W]``, grey; the result has the same shape. Where
    the picture ends it is mirrored. ``kernel`` is ``[s, s]``, s odd: whole numbers that sum to 32768 (as
    ``KernelBank.kernel`` gives), or weights of any sum, which are scaled to that. ``sigma`` is in units of
    full scale, 0 to 0.2 (the paper trains with 0.03); ``seed`` chooses the noise. The convolution is exact
    and the result is rounded once (FORMAT.md, section 3). Raises ValueError for anything else.

    >>> import numpy as np, blurgen
    >>> point = np.zeros((9, 9, 3), np.uint8); point[4, 4] = 240
    >>> blurgen.blur(point, [[0, 0, 0], [1, 1, 2], [0, 0, 0]])[4, 2:7, 0].tolist()
    [0, 60, 60, 120, 0]
    """
    pixels = np.asarray(picture)
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, 3} or pixels.shape[2:] not in {(), (3,)}:
        found = f"{pixels.dtype} {list(pixels.shape)}"
        raise ArgumentError(Argument("picture"), f" must be uint8 [H, W, 3] or [H, W], not {found}.")
    if not pixels.size:
        raise ArgumentError(Argument("picture"), " must have pixels.")
    weights = _q15(kernel)
    rgb = pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, 2)
    height, width = pixels.shape[:2]
    side, radius = max(height, width), len(weights) // 2
    if height != width:  # patches are square: the picture goes on, mirrored, as far as a square needs
        lines = [
            np.pad(np.arange(n), (0, side + radius - n), "reflect" if n > 1 else "edge")
            for n in (height, width)
        ]
        rgb = rgb[np.ix_(*lines)]
    sizes = np.array([len(weights)], np.uint8)
    degrader = Degrader.of_picture(rgb, weights[None], sizes, patch_size=side, noise_sigma=sigma, seed=seed)
    blurry = degrader.degrade(np.zeros(1, INDEX_DTYPE)).blurry[0, :height, :width]
    return np.ascontiguousarray(blurry if pixels.ndim == 3 else blurry[..., 0])


def _q15(kernel: ArrayLike) -> NDArray[np.uint16]:
    weights = np.asarray(kernel)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.shape[0] % 2 == 0:
        raise ArgumentError(
            Argument("kernel"), f" must be square with an odd size, not {list(weights.shape)}."
        )
    if weights.dtype.kind in "iu" and (weights >= 0).all() and weights.sum(dtype=np.int64) == UNIT:
        return weights.astype(np.uint16)
    try:
        return to_q15(weights.astype(np.float64))
    except ValueError:
        raise ArgumentError(Argument("kernel"), " must be finite, not negative and not all 0.") from None
