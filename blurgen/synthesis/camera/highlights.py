"""More light for what was clipped: streaks appear where a lamp or a reflection is blurred.

A photograph ends at its white, the scene did not. As Rim et al. do ("Realistic blur synthesis for learning
image deblurring", ECCV 2022), what is clipped gets 1.25 to 2.75 times its light. Here the factor is drawn for
each connected area (with diagonal neighbours) instead of each picture, and a pixel is clipped when all of
its channels are: theirs are looked at one by one, which gives bright skin, whose red is clipped alone, red
streaks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.randomness.philox import Stream, below, block_words

BRIGHTEST: Final = 22525
"""The most linear light there is: FULL times 2.75, rounded."""

_STREAM = np.uint32(Stream.HIGHLIGHT)


class Runs(NamedTuple):
    """Room for the runs of clipped pixels of a window, and which area each is part of."""

    row: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    area: NDArray[np.int32]
    """An earlier run of the same area, or the run itself."""
    factor: NDArray[np.int32]


def room_for_runs(side: int) -> Runs:
    """Return room for the runs of a window of ``side`` x ``side`` pixels."""
    return Runs(*(np.zeros(side * (side // 2 + 1), np.int32) for _ in Runs._fields))


@njit(cache=True)
def brighten(light, side, limit, seed, sample, runs):
    """Multiply the light of clipped pixels, area by area.

    ``light`` int16 [3, side, stride]; a pixel is clipped when every channel is at ``limit`` or above. The
    factor of an area is (320 + d) / 256, d below 385 from lane 0 of block ``y * side + x`` of stream
    HIGHLIGHT, where (y, x) is the first of its pixels in reading order.
    """
    count, before = 0, 0
    for y in range(side):
        start = count
        if _is_any_clipped(light, y, side, limit):
            count = _find_runs(light, y, side, limit, count, runs)
            _join(before, start, count, runs)
        before = start
    for n in range(count):
        area = _area(n, runs)
        if area == n:
            place = np.uint32(runs.row[n] * side + runs.first[n])
            word = block_words(seed, _STREAM, sample, place)[0]
            runs.factor[n] = np.int32(320 + below(word, 385))
        _multiply(light, runs.row[n], runs.first[n], runs.last[n], runs.factor[area])


@njit(cache=True)
def _is_any_clipped(light, y, side, limit):
    most = np.int16(0)
    for x in range(side):
        most = max(most, min(light[0, y, x], light[1, y, x], light[2, y, x]))
    return most >= limit


@njit(cache=True)
def _find_runs(light, y, side, limit, count, runs):
    inside = False
    for x in range(side):
        clipped = min(light[0, y, x], light[1, y, x], light[2, y, x]) >= limit
        if clipped and not inside:
            runs.row[count], runs.first[count], runs.area[count] = y, x, count
        if clipped:
            runs.last[count] = x
        elif inside:
            count += 1
        inside = clipped
    return count + 1 if inside else count


@njit(cache=True)
def _join(before, start, end, runs):
    """Join the runs ``start`` to ``end`` of a row with those of the row above, from ``before`` on."""
    above = before
    for n in range(start, end):
        while above < start and runs.last[above] + 1 < runs.first[n]:
            above += 1
        touching = above
        while touching < start and runs.first[touching] <= runs.last[n] + 1:
            one, other = _area(touching, runs), _area(n, runs)
            runs.area[max(one, other)] = min(one, other)
            touching += 1


@njit(cache=True)
def _area(n, runs):
    """Return the first run of the area that run ``n`` is part of."""
    first = n
    while runs.area[first] != first:
        first = runs.area[first]
    runs.area[n] = first
    return first


@njit(cache=True)
def _multiply(light, y, first, last, factor):
    for c in range(3):
        for x in range(first, last + 1):
            light[c, y, x] = np.int16((np.int32(light[c, y, x]) * factor + 128) >> 8)
