"""The random numbers behind camera paths, for several kernels side by side.

Kernel ``number`` of a bank reads stream TRAJECTORY of sample ``number`` under the bank's seed. Attempt
``a`` at it (0 unless an earlier one was refused, see ``blurgen.kernels.bank``) starts at block ``a *
2**24``; the first blocks from there hold what is drawn once per kernel, blocks from ``FIRST_STEP_BLOCK``
on the steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import uint32

from blurgen.compiling.njit import njit
from blurgen.randomness.philox import Stream, block_words

LANES: Final = 8
"""Kernels walked side by side: each step of a path waits for the one before it, other kernels' do not."""

CHUNK: Final = 32
"""Blocks drawn at a time: their words and deviates stay in the first-level cache."""

FIRST_STEP_BLOCK: Final = 16
MOST_ATTEMPTS: Final = 256
MOST_SAMPLES: Final = 1 << 20

_BLOCKS_PER_ATTEMPT = 1 << 24
_TRAJECTORY = np.uint32(Stream.TRAJECTORY)
_UNIT = 1.0 / 32768.0
_PER_WORD = 1.0 / 4294967296.0


@njit(cache=True, error_model="numpy")
def attempt_words(seed, number, attempt, block):
    """Return the four words of one block of an attempt at a kernel."""
    return block_words(seed, _TRAJECTORY, number, uint32(attempt * _BLOCKS_PER_ATTEMPT + block))


@njit(cache=True, error_model="numpy")
def chunk_words(seed, numbers, attempts, block, words):
    """Fill ``words`` uint32 [4, LANES, CHUNK] from CHUNK consecutive blocks of every lane."""
    for lane in range(LANES):
        w0, w1, w2, w3 = words[0, lane], words[1, lane], words[2, lane], words[3, lane]
        number = numbers[lane]
        first = uint32(attempts[lane] * _BLOCKS_PER_ATTEMPT + block)
        for i in range(CHUNK):  # nothing in this loop but Philox: so the compiler makes vectors of it
            w0[i], w1[i], w2[i], w3[i] = block_words(seed, _TRAJECTORY, number, uint32(first + i))


@njit(cache=True, inline="always", error_model="numpy")
def low_normal(word, quantiles):
    """Return the standard normal deviate of a word's low 16 bits; exact in double precision."""
    return quantiles[np.intp(word & uint32(0xFFFF))] * _UNIT


@njit(cache=True, inline="always", error_model="numpy")
def high_normal(word, quantiles):
    """Return the standard normal deviate of a word's high 16 bits; exact in double precision."""
    return quantiles[np.intp(word >> uint32(16))] * _UNIT


@njit(cache=True, inline="always", error_model="numpy")
def uniform(word):
    """Return word / 2**32, a number in [0, 1); exact in double precision."""
    return word * _PER_WORD


@njit(cache=True, inline="always", error_model="numpy")
def turned_back(angle):
    """Return the cosine and sine of pi + angle, for angles within half a radian, good to 1e-12.

    Taylor polynomials: multiplications and additions only, hence the same on every machine.
    """
    s = angle * angle
    cosine = 1.0 - s / 2.0 * (1.0 - s / 12.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0))))
    sine = angle * (
        1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0))))
    )
    return -cosine, -sine
