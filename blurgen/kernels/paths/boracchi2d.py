"""boracchi2d: the random motion of Boracchi and Foi, in the plane.

"Modeling the performance of image restoration from motion blur", IEEE TIP 2012, with the constants of its
published code. Position ``p`` starts at 0, velocity ``v`` has length ``s = 64 / (n - 1)`` and a random
direction. At each of ``n - 1`` steps, with ``g`` two standard normal deviates,

    v <- v + impulse + anxiety (gauss g - centripetal p) s,    then scaled to length s,    p <- p + v

where, with probability ``shake * anxiety``, ``impulse`` is twice the velocity turned by ``pi + b``, ``b``
uniform within half a radian. Every sample weighs the same. Per kernel, ``U`` uniform on [0, 1): anxiety
0.1 U, gauss 10 U, centripetal 0.7 U, shake 0.2 U.

What they do to a kernel: anxiety times gauss is the turn in one step, so most whole exposures curl into
knots; a shorter ``exposure`` (the original shows 1/16 to 1) sees one gentle piece. Without anxiety the path
is a straight line.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from blurgen.compiling.njit import njit
from blurgen.kernels.paths.deviates import (
    CHUNK,
    FIRST_STEP_BLOCK,
    LANES,
    attempt_words,
    chunk_words,
    high_normal,
    low_normal,
    turned_back,
    uniform,
)

PARAMETERS: Final = ("anxiety", "gauss", "centripetal", "shake")

_ANXIETY, _GAUSS, _CENTRIPETAL, _SHAKE = 0.1, 10.0, 0.7, 0.2
_LENGTH = 64.0


@njit(cache=True, error_model="numpy")
def _begin(seed, number, attempt, quantiles, lane, state, parameters, s):
    """Draw what is drawn once per kernel. Block 0: direction; block 1: parameters."""
    w0, w1, w2, w3 = attempt_words(seed, number, attempt, 0)
    ux, uy = low_normal(w0, quantiles), high_normal(w0, quantiles)
    scale = s / np.sqrt(ux * ux + uy * uy)
    state[0, lane], state[1, lane] = 0.0, 0.0
    state[2, lane], state[3, lane] = ux * scale, uy * scale
    w0, w1, w2, w3 = attempt_words(seed, number, attempt, 1)
    parameters[0, lane] = _ANXIETY * uniform(w0)
    parameters[1, lane] = _GAUSS * uniform(w1)
    parameters[2, lane] = _CENTRIPETAL * uniform(w2)
    parameters[3, lane] = _SHAKE * uniform(w3)


@njit(cache=True, error_model="numpy")
def _deviates(words, quantiles, deviates, chances):
    """Fill deviates [2 * CHUNK, 2, LANES] and chances [2 * CHUNK, LANES]: each block serves two steps."""
    for i in range(CHUNK):
        for lane in range(LANES):
            w0, w1, w2, w3 = words[0, lane, i], words[1, lane, i], words[2, lane, i], words[3, lane, i]
            deviates[2 * i, 0, lane] = low_normal(w0, quantiles)
            deviates[2 * i, 1, lane] = high_normal(w0, quantiles)
            chances[2 * i, lane] = uniform(w1)
            deviates[2 * i + 1, 0, lane] = low_normal(w2, quantiles)
            deviates[2 * i + 1, 1, lane] = high_normal(w2, quantiles)
            chances[2 * i + 1, lane] = uniform(w3)


@njit(cache=True, inline="always", error_model="numpy")
def _step(state, impulse, deviates, noise, pull, s):
    """One step of all lanes; the order of operations is part of the format."""
    for lane in range(LANES):
        px, py = state[0, lane], state[1, lane]
        vx = (state[2, lane] + impulse[0, lane]) + (noise[lane] * deviates[0, lane] - pull[lane] * px)
        vy = (state[3, lane] + impulse[1, lane]) + (noise[lane] * deviates[1, lane] - pull[lane] * py)
        scale = s / np.sqrt(vx * vx + vy * vy)
        vx, vy = vx * scale, vy * scale
        state[2, lane], state[3, lane] = vx, vy
        state[0, lane], state[1, lane] = px + vx, py + vy


@njit(cache=True, nogil=True, error_model="numpy")
def walk(seed, numbers, attempts, samples, quantiles, parameters, x, y, weight):
    """Walk LANES kernels; the arrays are those of ``blurgen.kernels.paths.walk``."""
    state = np.empty((4, LANES))
    impulse = np.zeros((2, LANES))
    words = np.empty((4, LANES, CHUNK), np.uint32)
    deviates = np.empty((2 * CHUNK, 2, LANES))
    chances = np.empty((2 * CHUNK, LANES))
    s = _LENGTH / (samples - 1)
    for lane in range(LANES):
        _begin(seed, numbers[lane], attempts[lane], quantiles, lane, state, parameters, s)
    noise = parameters[0] * parameters[1] * s
    pull = parameters[0] * parameters[2] * s
    shake = parameters[3] * parameters[0]
    weight[:] = 1.0
    x[0], y[0] = 0.0, 0.0
    for t in range(1, x.shape[0]):
        position = (t - 1) % (2 * CHUNK)
        if position == 0:
            chunk_words(seed, numbers, attempts, FIRST_STEP_BLOCK + (t - 1) // 2, words)
            _deviates(words, quantiles, deviates, chances)
        for lane in range(LANES):
            impulse[0, lane], impulse[1, lane] = 0.0, 0.0
            if chances[position, lane] < shake[lane]:
                # Given that it is below the threshold, the chance itself is uniform: it sets the turn.
                cosine, sine = turned_back(chances[position, lane] / shake[lane] - 0.5)
                vx, vy = state[2, lane], state[3, lane]
                impulse[0, lane] = 2.0 * (cosine * vx - sine * vy)
                impulse[1, lane] = 2.0 * (sine * vx + cosine * vy)
        _step(state, impulse, deviates[position], noise, pull, s)
        for lane in range(LANES):
            x[t, lane], y[t, lane] = state[0, lane], state[1, lane]
