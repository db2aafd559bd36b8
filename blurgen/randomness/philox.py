"""Counter-based random numbers: Philox4x32-10.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
A random word is a pure function of (seed, stream, sample, block, lane), so any part of a
dataset can be made anywhere, in any order (FORMAT.md, section 1).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import uint32, uint64
from numpy.typing import NDArray

from blurgen.compiling.njit import njit

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_KEY_INCREMENT_0 = np.uint64(0x9E3779B9)
_KEY_INCREMENT_1 = np.uint64(0xBB67AE85)
_ROUNDS = 10


class Stream(IntEnum):
    """One independent sequence per purpose; the numbers are part of the format."""

    TRAJECTORY = 1
    KERNEL = 2
    CROP = 3
    NOISE = 4
    FACE = 5
    CHOICE = 6
    HIGHLIGHT = 7
    SENSOR = 8
    SHAKE = 9


@njit(cache=True, inline="always")
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return the four uint32 words of counter (c0, c1, c2, c3) under key (k0, k1), all uint32."""
    for _ in range(_ROUNDS):
        p0 = uint64(c0) * _MULTIPLIER_0
        p1 = uint64(c2) * _MULTIPLIER_1
        c0, c1, c2, c3 = (
            uint32(uint32(p1 >> uint64(32)) ^ c1 ^ k0),
            uint32(p1),
            uint32(uint32(p0 >> uint64(32)) ^ c3 ^ k1),
            uint32(p0),
        )
        k0 = uint32(uint64(k0) + _KEY_INCREMENT_0)
        k1 = uint32(uint64(k1) + _KEY_INCREMENT_1)
    return c0, c1, c2, c3


@njit(cache=True, inline="always")
def block_words(seed, stream, sample, block):
    """Return the four uint32 words of one block.

    ``seed`` and ``sample`` are uint64, ``stream`` and ``block`` uint32.
    """
    return philox4x32(
        uint32(block),
        uint32(uint64(sample)),
        uint32(uint64(sample) >> uint64(32)),
        uint32(stream),
        uint32(uint64(seed)),
        uint32(uint64(seed) >> uint64(32)),
    )


@njit(cache=True, inline="always")
def below(word, n):
    """Return a whole number in [0, n) drawn from one 32-bit word, as int64."""
    return np.int64((uint64(word) * uint64(n)) >> uint64(32))


@njit(cache=True)
def _fill(seed, stream, sample, first_block, out):
    for i in range(0, out.size, 4):
        words = block_words(seed, stream, sample, uint32(first_block + i // 4))
        for lane in range(min(4, out.size - i)):
            out[i + lane] = words[lane]


def words(seed: int, stream: Stream, sample: int, count: int, first_block: int = 0) -> NDArray[np.uint32]:
    """Return ``count`` consecutive words of one stream, uint32 ``[count]``, from ``first_block`` on."""
    out = np.empty(count, np.uint32)
    _fill(np.uint64(seed), np.uint32(stream), np.uint64(sample), np.int64(first_block), out)
    return out
