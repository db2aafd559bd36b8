"""Which faces of a source are taken."""

from __future__ import annotations

import hashlib

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurgen.faces import in_split, parse_source
from blurgen.faces.selection import choose

CHOICE = 6  # the stream's number, FORMAT.md section 1


def test_the_border_between_train_and_test_is_a_tenth():
    tenth = 2**64 // 10  # 0.1 * 2^64 lies between this and the next whole number
    for first, test in ((0, True), (tenth, True), (tenth + 1, False), (2**64 - 1, False)):
        digest = f"{first:016x}" + "f" * 48
        assert in_split(digest, "test") is test and in_split(digest, "train") is not test
        assert in_split(digest, "all")


def test_train_and_test_share_nothing_and_miss_nothing():
    digests = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(4000)]
    test = sum(in_split(digest, "test") for digest in digests)
    assert all(in_split(digest, "test") != in_split(digest, "train") for digest in digests)
    assert 340 < test < 460


def test_an_unknown_split_is_an_error():
    with pytest.raises(ValueError, match="Argument 'split'"):
        in_split("0" * 64, "validation")
    with pytest.raises(ValueError, match="Argument 'split'"):
        parse_source("folder:x", min_side=156, split="dev")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**64 - 1))
def test_choice_takes_the_smallest_words_of_the_stream(count, limit, seed):
    drawn = sorted((naive.philox_block(seed, CHOICE, face, 0)[0], face) for face in range(count))
    assert choose(count, limit, seed) == sorted(face for _, face in drawn[:limit])


def test_choice_without_a_limit_is_everything_in_order():
    assert choose(5, None, 3) == choose(5, 5, 3) == choose(5, 9, 3) == [0, 1, 2, 3, 4]


def test_another_seed_chooses_other_faces():
    assert choose(1000, 50, 1) != choose(1000, 50, 2)
    assert len(np.unique(choose(1000, 50, 1))) == 50
