"""gaussian-process: each coordinate an independent Gaussian process with a Matern 5/2 covariance.

The motion of Schuler, Hirsch, Harmeling and Schoelkopf ("Learning to deblur", TPAMI 2016) and of the
generators that follow it. Two samples ``r`` length scales apart have correlation
``(1 + sqrt(5) r + 5 r**2 / 3) exp(-sqrt(5) r)``; the length scale is 0.3 of an exposure. Every sample weighs
the same, so a kernel is bright where the motion is slow.

The process is sampled exactly and in linear time through its state-space form (Hartikainen and Sarkka,
"Kalman filtering and smoothing solutions to temporal Gaussian process regression models", 2010). With time in
units of ``length scale / sqrt(5)`` and ``d`` the step between samples, value and first two derivatives obey
``s <- A s + C g`` with ``g`` three standard normal deviates, ``A = exp(F d)`` where
``F = [[0, 1, 0], [0, 0, 1], [-1, -3, -3]]``, and ``C`` the Cholesky factor of the covariance that white noise
of density 16/3 gathers during ``d``. The first state is drawn from the stationary distribution.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.kernels.paths.deviates import (
    CHUNK,
    FIRST_STEP_BLOCK,
    LANES,
    chunk_words,
    high_normal,
    low_normal,
)

PARAMETERS: Final[tuple[str, ...]] = ()

_LENGTH_SCALE = 0.3
_ROOT_5 = 2.23606797749979
_DENSITY = 16.0 / 3.0
_HALVINGS = 10
_PANELS = 16
# Five-point Gauss-Legendre rule on [-1, 1] (Abramowitz and Stegun, table 25.4).
_NODES = (-0.906179845938664, -0.538469310105683, 0.0, 0.538469310105683, 0.906179845938664)
_WEIGHTS = (0.236926885056189, 0.478628670499366, 0.568888888888889, 0.478628670499366, 0.236926885056189)


@njit(cache=True, error_model="numpy")
def _decay(t):
    """Return exp(-t) for t in [0, 10]: a Taylor polynomial of t / 2**10, squared ten times."""
    small = t / 1024.0
    value = 1.0
    for k in range(8, 0, -1):
        value = 1.0 - small / k * value
    for _ in range(_HALVINGS):
        value = value * value
    return value


@njit(cache=True, error_model="numpy")
def _transition(d):
    """Return A = exp(F d): F + 1 is nilpotent, so the series ends after the square."""
    e, s = _decay(d), d * d / 2.0
    return np.array(
        (
            (e * (1.0 + d + s), e * (d + 2.0 * s), e * s),
            (e * -s, e * (1.0 + d - 2.0 * s), e * (d - s)),
            (e * (s - d), e * (2.0 * s - 3.0 * d), e * (1.0 - 2.0 * d + s)),
        )
    )


@njit(cache=True, error_model="numpy")
def _noise_factor(d):
    """Return C with C C' = 16/3 times the integral of b b' over [0, d], b the last column of A.

    By quadrature and not as P - A P A', which would lose all digits for small steps.
    """
    q = np.zeros((3, 3))
    half = d / _PANELS / 2.0
    for panel in range(_PANELS):
        for k in range(5):
            t = half * (2.0 * panel + 1.0 + _NODES[k])
            b = _transition(t)[:, 2]
            for i in range(3):
                for j in range(3):
                    q[i, j] += _DENSITY * half * _WEIGHTS[k] * b[i] * b[j]
    c = np.zeros((3, 3))
    c[0, 0] = np.sqrt(q[0, 0])
    c[1, 0] = q[1, 0] / c[0, 0]
    c[2, 0] = q[2, 0] / c[0, 0]
    c[1, 1] = np.sqrt(q[1, 1] - c[1, 0] * c[1, 0])
    c[2, 1] = (q[2, 1] - c[2, 0] * c[1, 0]) / c[1, 1]
    c[2, 2] = np.sqrt(q[2, 2] - c[2, 0] * c[2, 0] - c[2, 1] * c[2, 1])
    return c


@njit(cache=True, inline="always", error_model="numpy")
def _deviates(words, i, quantiles, deviates):
    """Fill ``deviates`` float64 [6, LANES] from block ``i`` of a chunk: three for x, three for y."""
    for lane in range(LANES):
        w0, w1, w2 = words[0, lane, i], words[1, lane, i], words[2, lane, i]
        deviates[0, lane], deviates[1, lane] = low_normal(w0, quantiles), high_normal(w0, quantiles)
        deviates[2, lane], deviates[3, lane] = low_normal(w1, quantiles), high_normal(w1, quantiles)
        deviates[4, lane], deviates[5, lane] = low_normal(w2, quantiles), high_normal(w2, quantiles)


@njit(cache=True, inline="always", error_model="numpy")
def _step(state, deviates, a, c):
    """One step of all lanes and both coordinates; the order of operations is part of the format."""
    for first in (0, 3):
        for lane in range(LANES):
            f0, f1, f2 = state[first, lane], state[first + 1, lane], state[first + 2, lane]
            g0, g1, g2 = deviates[first, lane], deviates[first + 1, lane], deviates[first + 2, lane]
            state[first, lane] = a[0, 0] * f0 + a[0, 1] * f1 + a[0, 2] * f2 + c[0, 0] * g0
            state[first + 1, lane] = (a[1, 0] * f0 + a[1, 1] * f1 + a[1, 2] * f2) + (
                c[1, 0] * g0 + c[1, 1] * g1
            )
            state[first + 2, lane] = (a[2, 0] * f0 + a[2, 1] * f1 + a[2, 2] * f2) + (
                c[2, 0] * g0 + c[2, 1] * g1 + c[2, 2] * g2
            )


@njit(cache=True, nogil=True, error_model="numpy")
def walk(seed, numbers, attempts, samples, quantiles, parameters, x, y, weight):
    """Walk LANES kernels; the arrays are those of ``blurgen.kernels.paths.walk``."""
    state = np.empty((6, LANES))
    deviates = np.empty((6, LANES))
    d = _ROOT_5 / _LENGTH_SCALE / (samples - 1)
    a, c = _transition(d), _noise_factor(d)
    words = np.empty((4, LANES, CHUNK), np.uint32)
    chunk_words(seed, numbers, attempts, 0, words)
    _deviates(words, 0, quantiles, deviates)
    for first in (0, 3):
        for lane in range(LANES):
            state[first, lane] = deviates[first, lane]
            state[first + 1, lane] = np.sqrt(1.0 / 3.0) * deviates[first + 1, lane]
            state[first + 2, lane] = (
                np.sqrt(8.0 / 9.0) * deviates[first + 2, lane] - deviates[first, lane] / 3.0
            )
    weight[:] = 1.0
    x[0], y[0] = state[0], state[3]
    for t in range(1, x.shape[0]):
        i = (t - 1) % CHUNK
        if i == 0:
            chunk_words(seed, numbers, attempts, FIRST_STEP_BLOCK + t - 1, words)
        _deviates(words, i, quantiles, deviates)
        _step(state, deviates, a, c)
        x[t], y[t] = state[0], state[3]
