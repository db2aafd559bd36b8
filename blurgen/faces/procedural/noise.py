"""Coherent noise from integer hashes: every value is a pure function of (place, salt).

Only IEEE-exact operations are used, so the same place gives the same value on any machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import uint32

from blurgen.compiling.njit import njit

_OCTAVE_TURN_X = 0.8  # rotation by 3-4-5 triangle: octaves do not line up
_OCTAVE_TURN_Y = 0.6


@njit(cache=True, error_model="numpy")
def hashed(ix, iy, salt):
    """Return a float in [0, 1) for whole numbers ix, iy (int64) and a salt (int64 below 2^32)."""
    h = uint32(uint32(ix) * uint32(0x8DA6B343)) ^ uint32(uint32(iy) * uint32(0xD8163841)) ^ uint32(salt)
    h = uint32((h ^ (h >> uint32(15))) * uint32(0x2C1B3C6D))
    h = uint32((h ^ (h >> uint32(12))) * uint32(0x297A2D39))
    h = uint32(h ^ (h >> uint32(15)))
    return np.float64(h) * (1.0 / 4294967296.0)


@njit(cache=True, error_model="numpy")
def value_noise(x, y, salt):
    """Return smooth value noise in [-1, 1] with features one unit wide."""
    fx = math.floor(x)
    fy = math.floor(y)
    ix = np.int64(fx)
    iy = np.int64(fy)
    tx = x - fx
    ty = y - fy
    tx = tx * tx * (3.0 - 2.0 * tx)
    ty = ty * ty * (3.0 - 2.0 * ty)
    top = hashed(ix, iy, salt)
    top += (hashed(ix + 1, iy, salt) - top) * tx
    low = hashed(ix, iy + 1, salt)
    low += (hashed(ix + 1, iy + 1, salt) - low) * tx
    return 2.0 * (top + (low - top) * ty) - 1.0


@njit(cache=True, error_model="numpy")
def fractal_noise(x, y, octaves, salt):
    """Return 1/f noise, about [-1, 1]: ``octaves`` layers, each half as large and half as strong."""
    total = 0.0
    strength = 0.55
    for octave in range(octaves):
        total += strength * value_noise(x, y, salt + 101 * octave)
        x, y = (
            2.0 * (_OCTAVE_TURN_X * x - _OCTAVE_TURN_Y * y) + 17.3,
            2.0 * (_OCTAVE_TURN_Y * x + _OCTAVE_TURN_X * y) + 5.7,
        )
        strength *= 0.5
    return total


@njit(cache=True, error_model="numpy")
def clamp01(v):
    """Return v limited to [0, 1]."""
    return min(max(v, 0.0), 1.0)


@njit(cache=True, error_model="numpy")
def ramp(low, high, v):
    """Return the smooth step from 0 at ``low`` to 1 at ``high`` (which may be the smaller)."""
    t = clamp01((v - low) / (high - low))
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, error_model="numpy")
def bump(q):
    """Return a soft hill: 1 at q = 0, 0 from q = 1 on; q is a squared relative distance."""
    t = max(0.0, 1.0 - q)
    return t * t


@njit(cache=True, error_model="numpy")
def cover(distance, pixel):
    """Return how much of a pixel lies inside an edge at signed ``distance`` (negative inside)."""
    return clamp01(0.5 - distance / pixel)


@njit(cache=True, error_model="numpy")
def mix(a, b, t):
    """Return a blended towards b by t."""
    return a + (b - a) * t
