"""The sheets of what a method fails at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_strips import noise, place_of

from umsn.evaluation.failures import SHOWN, Failures
from umsn.scoring.pairs import Pair


def pair(face, size, seed):
    return Pair(f"{face}_{seed}", face, noise(24, 24, seed), noise(24, 24, 1000 + seed), None, size)


def mixed(one, share):
    """Return what lies between blurry (0) and clean (1): the higher the share, the higher the gain."""
    return np.rint(one.blurry * (1 - share) + one.clean * share).astype(np.uint8)


def collect(cases):
    failures = Failures("ours")
    for one, share in cases:
        failures.add(one, {"blurry": one.blurry, "ours": mixed(one, share)})
    return {name: np.asarray(page) for name, page in failures.findings().figures.items()}


def test_the_worst_stand_at_the_top_and_the_best_are_left_out():
    pairs = [pair(f"face{i}", 13, i) for i in range(SHOWN + 1)]
    shares = np.random.default_rng(0).permutation(np.linspace(0.1, 0.8, len(pairs))).tolist()
    page = collect(zip(pairs, shares, strict=True))["failures"]
    in_order = sorted(zip(shares, pairs, strict=True), key=lambda both: both[0])
    tops = [place_of(page, one.blurry)[0] for _, one in in_order[:-1]]
    assert tops == sorted(tops)
    with pytest.raises(ValueError):  # it is nowhere
        place_of(page, in_order[-1][1].blurry)


def test_a_face_is_shown_once_where_it_is_worst():
    better, worse, other = pair("a", 13, 1), pair("a", 13, 2), pair("b", 13, 3)
    page = collect([(better, 0.5), (worse, 0.1), (other, 0.3)])["failures"]
    assert place_of(page, worse.blurry)[0] < place_of(page, other.blurry)[0]
    with pytest.raises(ValueError):  # it is nowhere
        place_of(page, better.blurry)


def test_large_kernels_have_a_sheet_of_their_own():
    small, large = pair("a", 13, 1), pair("b", 27, 2)
    pages = collect([(small, 0.1), (large, 0.5)])
    place_of(pages["failures-large-kernels"], large.blurry)
    with pytest.raises(ValueError):  # it is nowhere
        place_of(pages["failures-large-kernels"], small.blurry)
    assert set(collect([(small, 0.1)])) == {"failures", "failures-dark"}


def test_perfect_pictures_have_no_gain():
    one = Pair("a", "a", noise(24, 24, 1), noise(24, 24, 1), None, None)
    assert set(collect([(one, 1.0)])) == {"failures", "failures-dark"}


def test_the_darkest_stand_at_the_top_of_their_sheet():
    light = pair("a", 13, 1)
    dark = replace(pair("b", 13, 2), clean=noise(24, 24, 3) // 4)
    page = collect([(light, 0.1), (dark, 0.5)])["failures-dark"]
    assert place_of(page, dark.clean)[0] < place_of(page, light.clean)[0]
