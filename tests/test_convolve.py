"""The compiled loop over taps is its definition in Python: few taps or many, with look-ups or without."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from blurgen.synthesis.convolve import SEGMENT, Taps, add_kernel


@njit
def compiled(window, start, taps, kernel, sums, table, places, first, found):
    add_kernel(window, start, taps, kernel, sums, table, places, first, found)


@pytest.mark.parametrize("with_look_ups", [True, False])
@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("tap_pairs", [1, 31, 32, 33, 90])
def test_compiled_loop_is_the_definition(tap_pairs, segments, with_look_ups):
    rng = np.random.default_rng(tap_pairs)
    length, start, first = segments * SEGMENT, 7, 3
    taps = Taps(
        np.array([0, 5, 5 + tap_pairs]),  # the second kernel is the one
        rng.integers(0, 2000, 5 + tap_pairs, np.int32),
        rng.integers(0, 300, 5 + tap_pairs, np.int32) | rng.integers(0, 300, 5 + tap_pairs, np.int32) << 16,
        np.array([1, 14]),
    )
    window = rng.integers(0, 1 << 16, start + 2000 + length, np.uint16)
    sums = rng.integers(-(1 << 20), 1 << 20, length, np.int32)
    table = rng.integers(-(1 << 20), 1 << 20, 1 << 16, np.int32)
    places = rng.integers(0, 1 << 16, first + length, np.uint16)
    found = np.zeros(length if with_look_ups else 0, np.int32)
    wanted_sums, wanted_found = sums.copy(), found.copy()
    add_kernel(window, start, taps, 1, wanted_sums, table, places, first, wanted_found)
    compiled(window, start, taps, 1, sums, table, places, first, found)
    np.testing.assert_array_equal(sums, wanted_sums)
    np.testing.assert_array_equal(found, wanted_found)
