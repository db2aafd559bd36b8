"""Display values to linear light and back: tables of whole numbers, the same on every machine.

Linear light is counted from 0 to FULL, 13 bits. With the brightest highlights, 2.75 times FULL, it still fits
a signed number of 16 bits, which processors multiply two at a time.

Curve 0 is sRGB (IEC 61966-2-1). Curves 1 to FAMILY have its form with another exponent g, from 1.8 to 2.6 in
equal steps: linear up to a / (g - 1) with a = 0.055, above that ((d + a) / (1 + a))^g, and no kink between.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FULL: Final = 8191
"""Linear light of a picture's white."""

FAMILY: Final = 16
"""How many tone curves ``tone="family"`` draws from."""

_OFFSET = Decimal("0.055")
_LOWEST, _HIGHEST = Decimal("1.8"), Decimal("2.6")


@cache
def light_table(curve: int) -> NDArray[np.int16]:
    """Return the linear light of every display value under a curve (0 to FAMILY), int16 [256], ascending."""
    with localcontext() as context:
        context.prec = 40  # no entry lies closer than 1e-5 to a rounding tie (tests/test_linear_light.py)
        table = np.array([int(FULL * _linear(Decimal(d) / 255, curve) + Decimal("0.5")) for d in range(256)])
    table = table.astype(np.int16)
    table.setflags(write=False)
    return table


@cache
def tone_table(curve: int) -> NDArray[np.uint8]:
    """Return the display value of every linear light, uint8 [FULL + 1]: the one whose light is nearest.

    Of two that are equally near it is the brighter. So a display value comes back from linear light.
    """
    light = light_table(curve).astype(np.int64)
    twice = 2 * np.arange(FULL + 1)
    table = np.searchsorted(light[:-1] + light[1:], twice, side="right").astype(np.uint8)
    table.setflags(write=False)
    return table


def _linear(display: Decimal, curve: int) -> Decimal:
    """Return the linear light of a display value, both 0 to 1."""
    if curve == 0:
        if display <= Decimal("0.04045"):
            return display / Decimal("12.92")
        return ((display + _OFFSET) / (1 + _OFFSET)) ** Decimal("2.4")
    exponent = _LOWEST + (_HIGHEST - _LOWEST) * (curve - 1) / (FAMILY - 1)
    knee = _OFFSET / (exponent - 1)
    if display <= knee:
        slope = exponent / (1 + _OFFSET) * ((knee + _OFFSET) / (1 + _OFFSET)) ** (exponent - 1)
        return display * slope
    return ((display + _OFFSET) / (1 + _OFFSET)) ** exponent
