"""From a path to a kernel: place it in its size, splat it, make whole numbers of it.

All models share these steps and so the guarantees of FORMAT.md: weights in Q15 that sum to exactly 32768,
inside their size, touching its border.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.errors import Argument, ArgumentError
from blurgen.kernels.paths.deviates import LANES

UNIT = 32768
"""Sum of the weights of every kernel (Q15)."""

_BINS = 64


@njit(cache=True, error_model="numpy")
def place(x, y, weight, radii, by_mass, offset_x, offset_y, scale):
    """Find where each path goes: ``(x - offset_x) * scale`` are pixels from the kernel's centre.

    ``x``, ``y``, ``weight`` are [samples, LANES]; ``radii`` [LANES] half sizes in pixels. The centre of mass
    (``by_mass``) or of the bounding box comes to 0, and the largest coordinate to the radius exactly.
    """
    found = np.zeros(7 * LANES)
    found[3 * LANES : 5 * LANES], found[5 * LANES :] = np.inf, -np.inf
    _gather(x.reshape(-1), y.reshape(-1), weight.reshape(-1), found, len(scale))
    total, sum_x, sum_y, low_x, low_y, high_x, high_y = found.reshape(7, LANES)
    for lane in range(LANES):
        if by_mass:
            cx, cy = sum_x[lane] / total[lane], sum_y[lane] / total[lane]
        else:
            cx, cy = (low_x[lane] + high_x[lane]) / 2.0, (low_y[lane] + high_y[lane]) / 2.0
        reach_x = max(high_x[lane] - cx, cx - low_x[lane])
        reach_y = max(high_y[lane] - cy, cy - low_y[lane])
        offset_x[lane], offset_y[lane] = cx, cy
        scale[lane] = radii[lane] / max(reach_x, reach_y)


@njit(cache=True, error_model="numpy")
def _gather(x, y, weight, found, lanes):
    """Sum weight, weight x, weight y, and find the lowest and highest x and y, of every lane.

    All flat, with a number of lanes not known when compiling, which lets the compiler make vectors of them.
    """
    for t in range(len(x) // LANES):
        for lane in range(lanes):
            a, b, w = x[LANES * t + lane], y[LANES * t + lane], weight[LANES * t + lane]
            found[lane] += w
            found[LANES + lane] += w * a
            found[2 * LANES + lane] += w * b
            found[3 * LANES + lane] = min(found[3 * LANES + lane], a)
            found[4 * LANES + lane] = min(found[4 * LANES + lane], b)
            found[5 * LANES + lane] = max(found[5 * LANES + lane], a)
            found[6 * LANES + lane] = max(found[6 * LANES + lane], b)


@njit(cache=True, error_model="numpy")
def _splat(x, y, weight, radii, offset_x, offset_y, scale, grid):
    """Add every sample to the four pixels around it, bilinearly, which keeps the centre of mass.

    ``grid`` float64 [LANES, M + 1, M + 1], zeroed here, has the kernel in its upper left corner; the row and
    the column after it only ever receive zeros.
    """
    grid[:] = 0.0
    for t in range(x.shape[0]):
        for lane in range(LANES):
            r = radii[lane]
            a = min(max((x[t, lane] - offset_x[lane]) * scale[lane] + r, 0.0), r + r)
            b = min(max((y[t, lane] - offset_y[lane]) * scale[lane] + r, 0.0), r + r)
            column, row = np.uint64(np.int64(a)), np.uint64(np.int64(b))
            right, down = a - np.float64(column), b - np.float64(row)
            w = weight[t, lane]
            upper, lower = w * (1.0 - down), w * down
            grid[lane, row, column] += upper * (1.0 - right)
            grid[lane, row, column + np.uint64(1)] += upper * right
            grid[lane, row + np.uint64(1), column] += lower * (1.0 - right)
            grid[lane, row + np.uint64(1), column + np.uint64(1)] += lower * right


@njit(cache=True, error_model="numpy")
def quantise_into(weights, out):
    """Scale ``weights`` (float64 [h, w], not negative, not all 0) to whole numbers ``out`` of sum 32768.

    Every weight is rounded down; what is missing goes, one each, to the largest fractional parts, the
    earlier in row-major order among equal ones.
    """
    height, width = weights.shape
    total = 0.0
    for i in range(height):
        for j in range(width):
            total += weights[i, j]
    fractions = np.empty(height * width)
    positions = np.empty(height * width, np.int64)
    taps = 0
    missing = np.int64(UNIT)
    for i in range(height):
        for j in range(width):
            out[i, j] = 0
            if weights[i, j] > 0.0:
                value = weights[i, j] / total * 32768.0
                whole = np.int64(value)
                out[i, j] = whole
                missing -= whole
                fractions[taps] = value - whole
                positions[taps] = i * width + j
                taps += 1
    # Whole bins of large fractions at once, then one by one in the bin where they run out.
    counts = np.zeros(_BINS + 1, np.int64)
    for k in range(taps):
        counts[np.int64(fractions[k] * _BINS)] += 1
    last = _BINS
    while counts[last] < missing:
        missing -= counts[last]
        last -= 1
    for k in range(taps):
        if np.int64(fractions[k] * _BINS) > last:
            out[positions[k] // width, positions[k] % width] += 1
            fractions[k] = -1.0
    for _ in range(missing):
        best = 0
        for k in range(1, taps):
            if fractions[k] > fractions[best]:
                best = k
        out[positions[best] // width, positions[best] % width] += 1
        fractions[best] = -1.0


@njit(cache=True)
def touches_border(kernel):
    """Whether any weight of ``kernel`` [size, size] lies in its first or last row or column."""
    last = kernel.shape[0] - 1
    reached = False
    for i in range(last + 1):
        reached |= (kernel[0, i] | kernel[last, i] | kernel[i, 0] | kernel[i, last]) != 0
    return reached


@njit(cache=True, nogil=True, error_model="numpy")
def raster(x, y, weight, sizes, by_mass, grid, kernels, fits):
    """Make the kernels of LANES paths.

    ``sizes`` int64 [LANES], odd; ``grid`` float64 [LANES, M + 1, M + 1] is scratch; ``kernels`` uint16
    [LANES, M, M] receives the weights, centred in M; ``fits`` bool [LANES] is false where a path has no
    extent or its kernel misses the border.
    """
    largest = kernels.shape[1]
    radii = (sizes - 1) / 2.0
    offset_x, offset_y, scale = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    place(x, y, weight, radii, by_mass, offset_x, offset_y, scale)
    for lane in range(LANES):
        fits[lane] = np.isfinite(scale[lane])
        if not fits[lane]:
            scale[lane] = 0.0
    _splat(x, y, weight, radii, offset_x, offset_y, scale, grid)
    kernels[:] = 0
    for lane in range(LANES):
        size = sizes[lane]
        margin = (largest - size) // 2
        kernel = kernels[lane, margin : margin + size, margin : margin + size]
        quantise_into(grid[lane, :size, :size], kernel)
        fits[lane] = fits[lane] and touches_border(kernel)


def to_q15(weights: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return ``weights`` [h, w] scaled to whole numbers that sum to 32768, uint16 [h, w].

    Raises ValueError when a weight is negative or not finite, or when all are 0.
    """
    weights = np.ascontiguousarray(weights, np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError(Argument("weights"), " must be finite, not negative and not all 0.")
    out = np.empty(weights.shape, np.uint16)
    quantise_into(weights / weights.max(), out)
    return out
