"""Normal deviates by table: exact, so that noise and camera paths are the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from blurgen.errors import check_range
from blurgen.limits import MOST_NOISE

_ENTRIES = 65536


def _quantiles_q15() -> NDArray[np.int32]:
    # Rounding is safe on any platform: no entry lies closer than 1.7e-6 to a tie (tests/test_normal.py).
    middle = (np.arange(_ENTRIES) + 0.5) / _ENTRIES
    table = np.floor(32768.0 * ndtri(middle) + 0.5).astype(np.int32)
    table.setflags(write=False)
    return table


QUANTILES_Q15 = _quantiles_q15()
"""int32 [65536]: 32768 times the standard normal quantile at (u + 1/2) / 65536 (FORMAT.md, section 1)."""


def noise_table(sigma: float) -> NDArray[np.int32]:
    """Return additive noise for every 16-bit half word, int32 [65536], in 1/32768 of a grey level.

    ``sigma`` is the standard deviation in units of full scale (255 grey levels), 0 to 0.2. Raises
    ArgumentError outside.
    """
    check_range("sigma", sigma, 0, MOST_NOISE)
    scale = int(np.floor(sigma * 255 * 65536 + 0.5))
    # In 64 bits by name: what int32 times a scalar is differs between numpy 1 and 2.
    return ((QUANTILES_Q15.astype(np.int64) * scale + 32768) >> 16).astype(np.int32)
