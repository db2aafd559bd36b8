"""Light on a sensor becomes a raw picture: white balance undone, noise that depends on the level, clipping.

All of it works on mosaics (``blurgen.synthesis.camera.mosaic``). White balance follows at once: it needs no
neighbours, so it may as well be done here as when the picture is developed.
"""

from __future__ import annotations

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.synthesis.camera.linear_light import FULL
from blurgen.synthesis.engine import draw_words

_FULL = np.int32(FULL)
_BLACK = np.int32(0)
_GREEN = 1024
_ROUNDING = np.int32(1 << 17)


@njit(cache=True)
def draw_grain(seed, sample, quantiles, rows, grain):
    """Write the standard normal deviates of a sample's noise in Q15, ``grain`` int32 [rows, 2, half].

    Pixel ``e = y * rows + x`` of the mosaic takes half ``e mod 2`` (0: the low one) of word ``e // 2`` of
    stream NOISE.
    """
    pairs = rows * rows // 2
    words = np.empty((pairs + 63) // 64 * 64, np.uint32)
    draw_words(seed, sample, 0, words)
    for y in range(rows):
        first = y * (rows // 2)
        for x in range(rows // 2):
            word = words[np.uint64(first + x)]
            grain[y, 0, x] = quantiles[word & np.uint32(0xFFFF)]
            grain[y, 1, x] = quantiles[word >> np.uint32(16)]


@njit(cache=True)
def expose(mosaic, shape, drawn, grain, is_noisy, raw):
    """Write the raw picture of a mosaic of light, white-balanced, 0 to FULL; both int16 [Q, 2, H]."""
    for y in range(shape.rows):
        gains = (drawn.red, _GREEN) if y & 1 == 0 else (_GREEN, drawn.blue)
        _expose_half(mosaic[y, 0], gains[0], shape.rows // 2, drawn, grain[y, 0], is_noisy, raw[y, 0])
        _expose_half(mosaic[y, 1], gains[1], shape.rows // 2, drawn, grain[y, 1], is_noisy, raw[y, 1])


@njit(cache=True)
def _expose_half(light, gain, count, drawn, grain, is_noisy, raw):
    inverse, gain = np.int32(((1 << 26) + gain // 2) // gain), np.int32(gain)
    slope, rest = np.float64(drawn.gain), np.float64(drawn.read)
    for x in range(count):
        level = np.int32(np.int32(np.int32(light[x]) * inverse + np.int32(32768)) >> np.int32(16))
        if is_noisy:
            # Whole numbers below 2^53: the root is that of the integer, and cut off it is exact.
            deviation = np.int32(np.sqrt(slope * np.float64(level) + rest))
            level = np.int32(level + np.int32(np.int32(grain[x] * deviation + _ROUNDING) >> np.int32(18)))
        level = min(max(level, _BLACK), _FULL)
        raw[x] = np.int16(min(np.int32(np.int32(level * gain + np.int32(512)) >> np.int32(10)), _FULL))
