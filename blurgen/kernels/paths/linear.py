"""linear: a straight line at constant speed in a random direction; every sample weighs the same."""

from __future__ import annotations

from typing import Final

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.kernels.paths.deviates import LANES, attempt_words, high_normal, low_normal

PARAMETERS: Final[tuple[str, ...]] = ()


@njit(cache=True, nogil=True, error_model="numpy")
def walk(seed, numbers, attempts, samples, quantiles, parameters, x, y, weight):
    """Walk LANES kernels; the arrays are those of ``blurgen.kernels.paths.walk``."""
    h = 1.0 / (samples - 1)
    for lane in range(LANES):
        word = attempt_words(seed, numbers[lane], attempts[lane], 0)[0]
        ux, uy = low_normal(word, quantiles), high_normal(word, quantiles)
        inverse = 1.0 / np.sqrt(ux * ux + uy * uy)
        for t in range(x.shape[0]):
            x[t, lane] = h * t * (ux * inverse)
            y[t, lane] = h * t * (uy * inverse)
            weight[t, lane] = 1.0
