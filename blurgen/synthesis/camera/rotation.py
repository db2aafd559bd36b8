"""The mean of a scene over the poses of a shaking camera: blur that differs from place to place.

Where a pixel's light comes from is a point between four pixels. Its coordinates are cut to 256ths of a pixel,
the four are mixed by whole numbers, and the mean over all poses is rounded once.
"""

from __future__ import annotations

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.synthesis.camera.shake import warped
from blurgen.synthesis.camera.window import RIM


@njit(cache=True, error_model="numpy")
def rotated_mosaic(light, shape, homographies, mosaic):
    """Write the mosaic of a scene that the camera sees in several poses.

    ``light`` int16 is [3, side, stride], or [1, side, stride] where all colours are the same; a homography
    [3, 3] takes a pixel of the patch to where it is in the sharp picture. What lies outside the window is
    that of its border.
    """
    poses = len(homographies)
    half = shape.rows // 2
    sums = np.empty((2, half), np.int64)
    columns, rows = np.empty(half, np.int32), np.empty(half, np.int32)
    unit = np.int64(poses) << 16
    for y in range(shape.rows):
        sums[:] = unit // 2
        for s in range(2):
            plane = light[(y & 1) + s if light.shape[0] == 3 else 0]
            for k in range(poses):
                _places(homographies[k], y, s, shape, columns, rows)
                _add(plane, columns, rows, sums[s])
            for x in range(half):
                mosaic[y, s, x] = np.int16(sums[s, x] // unit)


@njit(cache=True, error_model="numpy")
def _places(homography, y, s, shape, columns, rows):
    """Write where in the window the pixels of half a row come from, in 256ths of a pixel."""
    margin = np.float64(shape.radius + RIM)
    last = np.float64(256 * (shape.side - 1))
    for x in range(columns.size):
        u, v = warped(homography, np.float64(2 * x + s - RIM), np.float64(y - RIM))
        u = min(max(np.floor((u + margin) * 256.0 + 0.5), 0.0), last)
        v = min(max(np.floor((v + margin) * 256.0 + 0.5), 0.0), last)
        columns[x], rows[x] = np.int32(u), np.int32(v)


@njit(cache=True)
def _add(plane, columns, rows, sums):
    last = np.int32(plane.shape[0] - 2)
    for x in range(sums.size):
        left, top = min(columns[x] >> np.int32(8), last), min(rows[x] >> np.int32(8), last)
        right, down = columns[x] - np.int32(256) * left, rows[x] - np.int32(256) * top
        i, j = np.uint64(top), np.uint64(left)
        upper = plane[i, j] * (256 - right) + plane[i, j + np.uint64(1)] * right
        lower = plane[i + np.uint64(1), j] * (256 - right) + plane[i + np.uint64(1), j + np.uint64(1)] * right
        sums[x] += upper * (256 - down) + lower * down
