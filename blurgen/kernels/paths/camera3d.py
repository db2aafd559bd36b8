"""camera3d: a hand-held camera as a particle in three dimensions, seen from a finite distance.

The random motion is that of Boracchi and Foi ("Modeling the performance of image restoration from motion
blur", IEEE TIP 2012) taken to three dimensions, with a perturbation that has a memory, because a hand does
not change its turning from one 2000th of an exposure to the next. The unit of length and of time is a whole
exposure: the path is 1 long.

State. Position ``p`` (starts at 0), direction ``u`` (a unit vector) and perturbation ``f`` (starts at 0),
of three dimensions each. ``u`` starts uniformly distributed on the sphere and every law below is
isotropic, so that looking along the z axis is looking from a random direction.

Update, ``n - 1`` times, with ``h = 1 / (n - 1)``, ``k = 1 - h / memory`` and ``g`` three standard normal
deviates:

    f <- k f + sqrt(1 - k**2) g                              Gaussian perturbation of unit variance
    u <- u + unrest h / sqrt(2 memory) f - pull h p          turns the path; inertia towards the start
    u <- u / |u|                                             unit speed
    p <- p + h u

and, at the few steps where the hand jerks, first ``u <- u + 2 (cos(pi + b) u + sin(pi + b) e)``, ``e`` a
random unit vector across ``u`` and ``b`` uniform within half a radian: an impulse of twice the velocity,
nearly backwards.

Projection. A pinhole camera at ``distance`` before the start of the path sees the point ``p`` at ``(p_x,
p_y) / z``, ``z = distance + p_z``, and gives it the weight ``1 / z**2``: what is near spreads wider and
weighs more. Where the path runs along the line of sight, unit speed in space is slow in the picture: these
foreshortened pieces are the bright spots of a kernel, where the hand seems to linger.

Parameters of a kernel, independent of each other, ``U`` uniform on [0, 1):

- ``unrest``, 0.5 + 7 U: how far, in radians per axis, the direction would wander over an exposure if nothing
  held it. Small: nearly straight; middling: a curve or a hook; large: loops and many bright spots.
- ``pull``, 8 U: how strongly it is drawn back to where it started; bends lines into hooks and loops.
- ``jerks``, 0 to 3 (three tries of 0.15), each at a uniformly distributed step: sharp corners.
- ``distance``, 1.2 + 2.8 U, in path lengths (a path never reaches the camera): near makes the two ends of a
  kernel weigh differently, far makes the weight even.

``memory`` is 0.06 of an exposure for all: short enough for corners, long enough that a curve is smooth at the
scale of a pixel.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import uint32

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

PARAMETERS: Final = ("unrest", "pull", "distance", "jerks")

_UNREST = (0.5, 7.0)
_PULL = 8.0
_DISTANCE = (1.2, 2.8)
_MEMORY = 0.06
_TRIES = 3
_JERK = uint32(int(0.15 * 2**32))
_PLANE = 2 * CHUNK * LANES
_NEVER = np.int64(1) << 62


@njit(cache=True, error_model="numpy")
def _begin(seed, number, attempt, samples, quantiles, lane, state, parameters, when, across, angle):
    """Draw what is drawn once per kernel. Blocks 0 and 1: direction, parameters; 2 to 7: jerks."""
    w0, w1, w2, w3 = attempt_words(seed, number, attempt, 0)
    ux, uy, uz = low_normal(w0, quantiles), high_normal(w0, quantiles), low_normal(w1, quantiles)
    inverse = 1.0 / np.sqrt(ux * ux + uy * uy + uz * uz)
    state[0:3, lane] = 0.0
    state[6:9, lane] = 0.0
    state[3, lane], state[4, lane], state[5, lane] = ux * inverse, uy * inverse, uz * inverse
    parameters[0, lane] = _UNREST[0] + _UNREST[1] * uniform(w2)
    parameters[1, lane] = _PULL * uniform(w3)
    w0, w1, w2, w3 = attempt_words(seed, number, attempt, 1)
    parameters[2, lane] = _DISTANCE[0] + _DISTANCE[1] * uniform(w0)
    parameters[3, lane] = 0.0
    for i in range(_TRIES):
        w0, w1, w2, w3 = attempt_words(seed, number, attempt, 2 + 2 * i)
        when[i, lane] = _NEVER
        if w0 < _JERK:
            when[i, lane] = 1 + np.int64(uniform(w1) * (samples - 1))
            parameters[3, lane] += 1.0
        angle[i, lane] = uniform(w2) - 0.5
        w0, w1, w2, w3 = attempt_words(seed, number, attempt, 3 + 2 * i)
        across[i, 0, lane] = low_normal(w0, quantiles)
        across[i, 1, lane] = high_normal(w0, quantiles)
        across[i, 2, lane] = low_normal(w1, quantiles)


@njit(cache=True, error_model="numpy")
def _jerk(state, lane, across, angle):
    """Add an impulse of twice the velocity, turned by pi + angle in the plane of ``u`` and ``across``."""
    ux, uy, uz = state[3, lane], state[4, lane], state[5, lane]
    along = across[0] * ux + across[1] * uy + across[2] * uz
    ex, ey, ez = across[0] - along * ux, across[1] - along * uy, across[2] - along * uz
    norm = np.sqrt(ex * ex + ey * ey + ez * ez)
    if norm > 0.0:
        cosine, sine = turned_back(angle)
        sine = sine / norm
        state[3, lane] = ux + 2.0 * (cosine * ux + sine * ex)
        state[4, lane] = uy + 2.0 * (cosine * uy + sine * ey)
        state[5, lane] = uz + 2.0 * (cosine * uz + sine * ez)


@njit(cache=True, error_model="numpy")
def _deviates(words, quantiles, deviates):
    """Fill ``deviates`` float64 [2 * CHUNK, 3, LANES]: each block serves two steps."""
    for i in range(CHUNK):
        for lane in range(LANES):
            w0, w1, w2, w3 = words[0, lane, i], words[1, lane, i], words[2, lane, i], words[3, lane, i]
            deviates[2 * i, 0, lane] = low_normal(w0, quantiles)
            deviates[2 * i, 1, lane] = high_normal(w0, quantiles)
            deviates[2 * i, 2, lane] = low_normal(w1, quantiles)
            deviates[2 * i + 1, 0, lane] = low_normal(w2, quantiles)
            deviates[2 * i + 1, 1, lane] = high_normal(w2, quantiles)
            deviates[2 * i + 1, 2, lane] = low_normal(w3, quantiles)


@njit(cache=True, error_model="numpy")
def _steps(state, deviates, positions, keep, fresh, h, count, lanes):
    """Take ``count`` steps; the order of operations is part of the format.

    ``state`` [11, LANES] (p, u, f, turn, pull), ``deviates`` [.., 3, LANES] and ``positions`` [.., LANES],
    in planes of _PLANE for x, y and z, are flat, with offsets known when compiling and a number of lanes
    that is not: so the compiler sees that no lane touches another, and makes vectors of them.
    """
    for t in range(count):
        d, o = 3 * LANES * t, LANES * t
        for lane in range(lanes):
            px, py, pz = state[lane], state[LANES + lane], state[2 * LANES + lane]
            fx = keep * state[6 * LANES + lane] + fresh * deviates[d + lane]
            fy = keep * state[7 * LANES + lane] + fresh * deviates[d + LANES + lane]
            fz = keep * state[8 * LANES + lane] + fresh * deviates[d + 2 * LANES + lane]
            turn, pull = state[9 * LANES + lane], state[10 * LANES + lane]
            ux = state[3 * LANES + lane] + (turn * fx - pull * px)
            uy = state[4 * LANES + lane] + (turn * fy - pull * py)
            uz = state[5 * LANES + lane] + (turn * fz - pull * pz)
            inverse = 1.0 / np.sqrt(ux * ux + uy * uy + uz * uz)
            ux, uy, uz = ux * inverse, uy * inverse, uz * inverse
            px, py, pz = px + h * ux, py + h * uy, pz + h * uz
            state[lane], state[LANES + lane], state[2 * LANES + lane] = px, py, pz
            state[3 * LANES + lane], state[4 * LANES + lane], state[5 * LANES + lane] = ux, uy, uz
            state[6 * LANES + lane], state[7 * LANES + lane], state[8 * LANES + lane] = fx, fy, fz
            positions[o + lane], positions[o + lane + _PLANE], positions[o + lane + 2 * _PLANE] = px, py, pz


@njit(cache=True, error_model="numpy")
def _project(positions, distance, x, y, weight):
    """Project flat ``positions``, in planes of _PLANE, to flat x, y and weight; one simple loop at a time."""
    for i in range(len(x)):
        weight[i] = 1.0 / (distance[i] + positions[i + 2 * _PLANE])
    for i in range(len(x)):
        x[i] = positions[i] * weight[i]
    for i in range(len(x)):
        y[i] = positions[i + _PLANE] * weight[i]
    for i in range(len(x)):
        weight[i] = weight[i] * weight[i]


@njit(cache=True, error_model="numpy")
def _jerk_those(t, when, across, angle, state):
    """Jerk the lanes whose time has come at step ``t``; return the next step at which one has."""
    following = _NEVER
    for i in range(_TRIES):
        for lane in range(LANES):
            if when[i, lane] == t:
                _jerk(state, lane, across[i, :, lane], angle[i, lane])
                when[i, lane] = _NEVER
            following = min(following, when[i, lane])
    return following


@njit(cache=True, nogil=True, error_model="numpy")
def walk(seed, numbers, attempts, samples, quantiles, parameters, x, y, weight):
    """Walk LANES kernels; the arrays are those of ``blurgen.kernels.paths.walk``."""
    flat_state = np.empty(11 * LANES)
    state = flat_state.reshape(11, LANES)
    when = np.empty((_TRIES, LANES), np.int64)
    across = np.empty((_TRIES, 3, LANES))
    angle = np.empty((_TRIES, LANES))
    words = np.empty((4, LANES, CHUNK), np.uint32)
    deviates = np.empty((2 * CHUNK, 3, LANES))
    flat_deviates = deviates.reshape(-1)
    positions = np.zeros(3 * _PLANE)
    distance = np.empty(_PLANE)
    flat_x, flat_y, flat_weight = x.reshape(-1), y.reshape(-1), weight.reshape(-1)
    h = 1.0 / (samples - 1)
    keep = 1.0 - h / _MEMORY
    fresh = np.sqrt(1.0 - keep * keep)
    for lane in range(LANES):
        _begin(
            seed,
            numbers[lane],
            attempts[lane],
            samples,
            quantiles,
            lane,
            state,
            parameters,
            when,
            across,
            angle,
        )
        state[9, lane] = parameters[0, lane] * (h / np.sqrt(2.0 * _MEMORY))
        state[10, lane] = parameters[1, lane] * h
    for i in range(_PLANE):
        distance[i] = parameters[2, i % LANES]
    next_jerk = _jerk_those(0, when, across, angle, state)
    _project(positions, distance, flat_x[:LANES], flat_y[:LANES], flat_weight[:LANES])
    for first in range(1, len(x), 2 * CHUNK):
        chunk_words(seed, numbers, attempts, FIRST_STEP_BLOCK + (first - 1) // 2, words)
        _deviates(words, quantiles, deviates)
        end = min(first + 2 * CHUNK, len(x))
        t = first
        while t < end:
            if t == next_jerk:
                next_jerk = _jerk_those(t, when, across, angle, state)
            stop = min(end, next_jerk)
            done = t - first
            deviates_left, positions_left = flat_deviates[3 * LANES * done :], positions[LANES * done :]
            _steps(flat_state, deviates_left, positions_left, keep, fresh, h, stop - t, len(numbers))
            t = stop
        a, b = LANES * first, LANES * end
        _project(positions, distance, flat_x[a:b], flat_y[a:b], flat_weight[a:b])
