"""Random words: the published vectors, and independence of how they are asked for."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurgen.randomness.philox import Stream, below, philox4x32, words

# Random123, kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
U64 = st.integers(0, 2**64 - 1)


def _numbers(text):
    return [np.uint32(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_published_known_answers(counter, key, answer):
    found = philox4x32(*_numbers(counter), *_numbers(key))
    assert [f"{int(word):08x}" for word in found] == answer.split()


@settings(deadline=None)  # the first call compiles
@given(seed=U64, sample=U64, first=st.integers(0, 2**31), count=st.integers(1, 9))
def test_words_agree_with_the_naive_version(seed, sample, first, count):
    expected = [w for b in range(3) for w in naive.philox_block(seed, 4, sample, first + b)][:count]
    assert words(seed, Stream.NOISE, sample, count, first).tolist() == expected


@settings(deadline=None)
@given(seed=U64, sample=U64)
def test_a_word_does_not_depend_on_where_reading_began(seed, sample):
    whole = words(seed, Stream.CROP, sample, 16)
    assert (whole[8:] == words(seed, Stream.CROP, sample, 8, first_block=2)).all()


def test_streams_and_samples_differ():
    found = {tuple(words(7, stream, sample, 4)) for stream in Stream for sample in range(50)}
    assert len(found) == len(Stream) * 50


@settings(deadline=None)
@given(word=st.integers(0, 2**32 - 1), n=st.integers(1, 2**32 - 1))
def test_below_is_the_scaled_word(word, n):
    assert below(np.uint32(word), np.int64(n)) == (word * n) >> 32


def test_words_are_uniform():
    found = words(3, Stream.KERNEL, 0, 1 << 16) / 2**32
    assert abs(found.mean() - 0.5) < 0.005
    counts = np.bincount((found * 64).astype(int), minlength=64)
    assert ((counts - 1024) ** 2 / 1024).sum() < 110  # chi-square, 63 degrees: p < 0.0002
