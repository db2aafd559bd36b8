"""A raw mosaic becomes a picture: the missing colours, then the tone curve.

``malvar``: Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color
images" (ICASSP 2004), in sixteenths, rounded. ``bilinear``: the mean of the nearest pixels that have the
colour. Both as whole numbers, cut off at 0 and FULL.
"""

from __future__ import annotations

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.synthesis.camera.linear_light import FULL

_FULL = np.int32(FULL)
_BLACK = np.int32(0)


@njit(cache=True)
def develop(raw, is_malvar, tone, out):
    """Write a picture ``out`` uint8 [P, 3 P] from a white-balanced raw mosaic int16 [P + 4, 2, H].

    ``tone`` uint8 [FULL + 1] is the tone curve.
    """
    patch = out.shape[0]
    half = patch // 2
    # Of each half row: its own colour where it is missing or not, green, and the opposite colour.
    lines = np.empty((2, 3, half), np.int16)
    for y in range(patch):
        if is_malvar:
            _malvar_line(raw, y + 2, half, lines)
        else:
            _bilinear_line(raw, y + 2, half, lines)
        red, blue = (0, 2) if y & 1 == 0 else (2, 0)
        _tone(
            lines[0, red],
            lines[0, 1],
            lines[0, blue],
            lines[1, red],
            lines[1, 1],
            lines[1, blue],
            tone,
            out[y],
        )


@njit(cache=True)
def _tone(red0, green0, blue0, red1, green1, blue1, tone, out):
    for x in range(red0.size):
        e = np.uint64(6 * x)
        out[e] = tone[np.uint16(red0[x])]
        out[e + np.uint64(1)] = tone[np.uint16(green0[x])]
        out[e + np.uint64(2)] = tone[np.uint16(blue0[x])]
        out[e + np.uint64(3)] = tone[np.uint16(red1[x])]
        out[e + np.uint64(4)] = tone[np.uint16(green1[x])]
        out[e + np.uint64(5)] = tone[np.uint16(blue1[x])]


@njit(cache=True, inline="always")
def _cut(level):
    return np.int16(min(max(level, _BLACK), _FULL))


@njit(cache=True)
def _malvar_line(raw, y, half, lines):
    colour = y & 1  # which half of the row has red or blue
    green = 1 - colour
    _malvar_colour(raw, y, colour, half, lines[colour, 0], lines[colour, 1], lines[colour, 2])
    _malvar_green(raw, y, green, half, lines[green, 0], lines[green, 1], lines[green, 2])


@njit(cache=True)
def _malvar_colour(raw, y, s, half, own, green, opposite):
    """Fill a half row of red or blue pixels."""
    here, above, below = raw[y, s], raw[y - 1, s], raw[y + 1, s]
    twice_above, twice_below = raw[y - 2, s], raw[y + 2, s]
    beside, upper, lower = raw[y, 1 - s], raw[y - 1, 1 - s], raw[y + 1, 1 - s]
    for x in range(half):
        j = np.uint64(x + 1)
        left, right = np.uint64(x + s), np.uint64(x + s + 1)  # in the other half
        centre = np.int32(here[j])
        across = np.int32(beside[left]) + np.int32(beside[right])
        down = np.int32(above[j]) + np.int32(below[j])
        diagonal = (
            np.int32(upper[left]) + np.int32(upper[right]) + np.int32(lower[left]) + np.int32(lower[right])
        )
        far = (
            np.int32(here[np.uint64(x)])
            + np.int32(here[np.uint64(x + 2)])
            + np.int32(twice_above[j])
            + np.int32(twice_below[j])
        )
        own[x] = here[j]
        green[x] = _cut(np.int32(np.int32(8 * centre + 4 * (across + down) - 2 * far + 8) >> np.int32(4)))
        opposite[x] = _cut(np.int32(np.int32(12 * centre + 4 * diagonal - 3 * far + 8) >> np.int32(4)))


@njit(cache=True)
def _malvar_green(raw, y, s, half, own, green, opposite):
    """Fill a half row of green pixels, beside which is the row's own colour, and above it the opposite."""
    here, above, below = raw[y, s], raw[y - 1, s], raw[y + 1, s]
    twice_above, twice_below = raw[y - 2, s], raw[y + 2, s]
    beside, upper, lower = raw[y, 1 - s], raw[y - 1, 1 - s], raw[y + 1, 1 - s]
    for x in range(half):
        j = np.uint64(x + 1)
        left, right = np.uint64(x + s), np.uint64(x + s + 1)
        centre = np.int32(here[j])
        across = np.int32(beside[left]) + np.int32(beside[right])
        down = np.int32(above[j]) + np.int32(below[j])
        diagonal = (
            np.int32(upper[left]) + np.int32(upper[right]) + np.int32(lower[left]) + np.int32(lower[right])
        )
        far_across = np.int32(here[np.uint64(x)]) + np.int32(here[np.uint64(x + 2)])
        far_down = np.int32(twice_above[j]) + np.int32(twice_below[j])
        common = 10 * centre - 2 * diagonal + 8
        green[x] = here[j]
        own[x] = _cut(np.int32(np.int32(common + 8 * across - 2 * far_across + far_down) >> np.int32(4)))
        opposite[x] = _cut(np.int32(np.int32(common + 8 * down - 2 * far_down + far_across) >> np.int32(4)))


@njit(cache=True)
def _bilinear_line(raw, y, half, lines):
    colour = y & 1
    for s in range(2):
        here, above, below = raw[y, s], raw[y - 1, s], raw[y + 1, s]
        beside, upper, lower = raw[y, 1 - s], raw[y - 1, 1 - s], raw[y + 1, 1 - s]
        for x in range(half):
            j, left, right = x + 1, x + s, x + s + 1
            across = np.int32(beside[left]) + np.int32(beside[right])
            down = np.int32(above[j]) + np.int32(below[j])
            if s == colour:
                diagonal = np.int32(upper[left]) + np.int32(upper[right])
                diagonal += np.int32(lower[left]) + np.int32(lower[right])
                lines[s, 0, x] = here[j]
                lines[s, 1, x] = np.int16((across + down + 2) >> 2)
                lines[s, 2, x] = np.int16((diagonal + 2) >> 2)
            else:
                lines[s, 0, x] = np.int16((across + 1) >> 1)
                lines[s, 1, x] = here[j]
                lines[s, 2, x] = np.int16((down + 1) >> 1)
