"""The same face under a small and a large kernel, side by side."""

from __future__ import annotations

import numpy as np
from test_strips import noise, place_of

from umsn.evaluation.two_kernels import FACES, TwoKernels
from umsn.scoring.pairs import Pair


def pair(face, size, seed, clean=1000):
    return Pair(f"{face}_{seed}", face, noise(40, 40, seed), noise(40, 40, clean), None, size)


def test_the_sizes_nearest_to_the_papers_are_shown():
    pairs = [pair("a", size, size) for size in (29, 13, 25, 15, 19)]
    collected = TwoKernels("ours", None)
    for one in (*pairs, pair("a", 25, 99)):
        collected.add(one, {"ours": 255 - one.blurry})
    page = np.asarray(collected.findings().figures["kernels"])
    small, large = (next(p.blurry for p in pairs if p.kernel_size == size) for size in (15, 25))
    lefts = [place_of(page, picture)[1] for picture in (small, 255 - small, large, 255 - large)]
    assert lefts == sorted(lefts)


def test_values_of_confidence_stand_below_the_results():
    def confidence(pair, restored):
        return (0.5, 0.25, np.nan, 1.0)

    pages = []
    for ask in (None, confidence):
        collected = TwoKernels("ours", ask)
        for size in (17, 27):
            collected.add(pair("a", size, size), {"ours": noise(40, 40, 7)})
        pages.append(collected.findings().figures["kernels"])
    assert pages[1].height > pages[0].height


def test_only_one_and_the_same_clean_picture_is_compared():
    first, other, same = pair("a", 17, 1), pair("a", 27, 2, clean=2000), pair("a", 25, 3)
    collected = TwoKernels("ours", None)
    for one in (first, other):
        collected.add(one, {"ours": 255 - one.blurry})
    assert collected.findings().figures == {}
    collected.add(same, {"ours": 255 - same.blurry})
    page = np.asarray(collected.findings().figures["kernels"])
    assert place_of(page, first.blurry)[1] < place_of(page, same.blurry)[1]


def test_without_two_sizes_of_a_face_there_is_no_figure():
    collected = TwoKernels("ours", None)
    for number in range(FACES + 2):
        for size in (17, None) if number < FACES else (17, 27):
            one = pair(f"face{number}", size, number)
            collected.add(one, {"ours": one.blurry})
    assert collected.findings().figures == {}
