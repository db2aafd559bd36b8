"""What a picture of the camera reads: the linear light around a patch, a plane for each colour.

The sensor's picture, the *mosaic*, has RIM pixels more than the patch on each side, so that the picture can
be developed up to the patch's border; and the blur reads the radius of the largest kernel beyond that.
Outside the photograph everything is mirrored.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.synthesis.convolve import mirrored, read_line

RIM: Final = 2
"""Pixels that developing reads beyond the patch."""

COVERED: Final = 8192
"""What a pixel of the class counts in a window of coverage, 13 bits as light has."""


@njit(cache=True)
def fill_light(pixels, face, top, left, side, table, light):
    """Write the linear light of ``side`` x ``side`` pixels from (``top``, ``left``) of a face on.

    ``table`` int16 [256]; ``light`` int16 [3, side, stride], whose columns from ``side`` on are left alone.
    """
    offset, height, width = face
    line = np.empty(3 * side, np.uint8)
    inside = left >= 0 and left + side <= width
    for y in range(side):
        if inside:
            start = 3 * (offset + mirrored(top + y, height) * width + left)
            _look_up(pixels, start, side, table, light[0, y], light[1, y], light[2, y])
        else:
            read_line(pixels, face, top + y, left, side, 3, line)
            _look_up(line, 0, side, table, light[0, y], light[1, y], light[2, y])


@njit(cache=True)
def _look_up(line, start, side, table, red, green, blue):
    for x in range(side):
        e = np.uint64(start + 3 * x)
        red[x] = table[line[e]]
        green[x] = table[line[e + np.uint64(1)]]
        blue[x] = table[line[e + np.uint64(2)]]


@njit(cache=True)
def fill_labels(labels, face, top, left, kinds):
    """Write the labels of ``kinds.shape`` pixels from (``top``, ``left``) of a face on, mirrored outside."""
    for y in range(kinds.shape[0]):
        read_line(labels, face, top + y, left, kinds.shape[1], 1, kinds[y])


@njit(cache=True)
def fill_layer(light, kinds, low, high, layer, cover):
    """Write the light of the pixels with labels from ``low`` to ``high``, and which those are.

    ``kinds`` uint8 [side, side]; ``layer`` as ``light``; ``cover`` int16 [1, side, stride]: COVERED or 0.
    """
    side = kinds.shape[0]
    for y in range(side):
        for x in range(side):
            member = low <= kinds[y, x] <= high
            cover[0, y, x] = np.int16(COVERED) if member else np.int16(0)
            for c in range(3):
                layer[c, y, x] = light[c, y, x] if member else np.int16(0)
