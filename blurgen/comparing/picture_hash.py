"""A hash of what a picture looks like, and finding pairs of pictures that look the same.

A perceptual hash in the manner of Zauner ("Implementation and benchmarking of perceptual image hash
functions", 2010): the signs of the low frequencies of a discrete cosine transform of the picture, made grey
and 32 x 32 pixels. Saving a picture again, scaling it or changing its brightness flips few of the 256 signs;
cropping it by more than about one percent flips many. Only signs are kept, without a median, because then
the hash of the mirrored picture is known as well: every odd horizontal frequency changes sign.

All arithmetic is in whole numbers. The hash of a picture depends on Pillow's scaling alone, and a bit or two
of it may change with a version of Pillow, which no comparison notices.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.compiling.njit import njit
from blurgen.errors import check_range

WORDS: Final = 4
"""A hash has 256 bits in four words of 64."""

SAME_PICTURE: Final = 28
"""Two pictures are told as near duplicates when at most so many of their 256 bits differ.

Measured: different photographs of aligned faces were never closer than 54 in 150,000 pairs, drawn faces never
closer than 44 in 700,000; the same face saved at JPEG quality 30, halved, darkened by 30 %, with gamma 1.5
or with noise of sigma 0.03 was never farther than 26.
"""

MOST_PAIRS: Final = 8
"""``near_pairs`` names no more pairs of one picture: a thousand equal ones are not a million facts."""

_SIDE: Final = 32
_LOW: Final = 16


def _cosines() -> NDArray[np.int64]:
    frequency, place = np.mgrid[:_LOW, :_SIDE]
    return np.rint(np.cos(np.pi * (2 * place + 1) * frequency / (2 * _SIDE)) * 2**14).astype(np.int64)


_COSINES: Final = _cosines()


def _pack(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return np.packbits(bits.reshape(-1), bitorder="little").view("<u8").astype(np.uint64)


_ODD_COLUMNS: Final = _pack(np.broadcast_to(np.arange(_LOW) % 2 == 1, (_LOW, _LOW)))


def picture_hash(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hash of a picture, uint8 ``[H, W, 3]``, as uint64 ``[4]``."""
    small = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    waves = _COSINES @ np.asarray(small, np.int64) @ _COSINES.T
    waves[0, 0] = 0  # the brightness, which is positive in every picture
    return _pack(waves > 0)


def to_text(hashed: NDArray[np.uint64]) -> str:
    """Return a hash as 64 hexadecimal digits."""
    return "".join(f"{int(word):016x}" for word in hashed)


def from_text(text: str) -> NDArray[np.uint64]:
    """Return the hash that ``to_text`` wrote. Raises ValueError for anything but 64 hexadecimal digits."""
    if len(text) != 16 * WORDS or set(text) - set("0123456789abcdef"):
        raise ValueError(f"Argument 'text' must be {16 * WORDS} hexadecimal digits, not {text!r:.80}.")
    return np.array([int(text[16 * i : 16 * i + 16], 16) for i in range(WORDS)], np.uint64)


def near_pairs(
    first: NDArray[np.uint64], second: NDArray[np.uint64], threshold: int = SAME_PICTURE
) -> NDArray[np.int64]:
    """Return the pairs of hashes that differ in at most ``threshold`` bits, as they are or mirrored.

    ``first`` uint64 ``[n, 4]``, ``second`` uint64 ``[m, 4]``. The result is int64 ``[pairs, 4]``: row of
    ``first``, row of ``second``, distance in bits, 1 where the second picture is the mirrored first (0 where
    not); in ascending order of rows, of each row of ``first`` at most the first MOST_PAIRS.
    """
    check_range("threshold", threshold, 0, 64 * WORDS - 1)
    ours, theirs = (np.ascontiguousarray(part, np.uint64).reshape(-1, WORDS) for part in (first, second))
    found = np.empty((1024, 4), np.int64)
    while True:
        count = _compare(ours, theirs, _ODD_COLUMNS, np.uint64(threshold), MOST_PAIRS, found)
        if count <= len(found):
            return found[:count]
        found = np.empty((count, 4), np.int64)


@njit(cache=True, inline="always")
def _ones(word):
    """Return how many bits of a uint64 are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@njit(cache=True, nogil=True)
def _compare(ours, theirs, odd, threshold, most, found):
    """Write pairs, ``most`` of each of ours, to ``found`` as far as it goes; return how many there are."""
    count = 0
    for i in range(len(ours)):
        before = count
        for j in range(len(theirs)):
            if count - before == most:
                break
            differing = ours[i, 0] ^ theirs[j, 0]
            plain, mirrored = _ones(differing), _ones(differing ^ odd[0])
            # Few pictures agree in as much as the first quarter.
            if plain > threshold and mirrored > threshold:
                continue
            for word in range(1, 4):
                differing = ours[i, word] ^ theirs[j, word]
                plain += _ones(differing)
                mirrored += _ones(differing ^ odd[word])
            if min(plain, mirrored) <= threshold:
                if count < len(found):
                    found[count, 0] = i
                    found[count, 1] = j
                    found[count, 2] = min(plain, mirrored)
                    found[count, 3] = mirrored < plain
                count += 1
    return count
