"""The table of normal quantiles: exactly the one of FORMAT.md, and normal."""

from __future__ import annotations

import hashlib

import mpmath
import naive
import numpy as np
import pytest
from scipy.special import ndtri

from blurgen.randomness.normal_table import QUANTILES_Q15, noise_table


def test_the_table_has_the_digest_the_format_gives():
    digest = hashlib.sha256(QUANTILES_Q15.astype("<i4").tobytes()).hexdigest()
    assert digest == "54928ce75378a7511b57a50320774038fcfa7d7699cacff6c105d731950ebd0b"


def test_the_table_agrees_with_another_quantile_function():
    assert QUANTILES_Q15.tolist() == naive.normal_quantiles()


def test_the_table_agrees_with_exact_arithmetic():
    with mpmath.workdps(40):
        for u in (0, 1, 2, 77, 1000, 16383, 32767, 32768, 50000, 65534, 65535):
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(2 * u + 1) / 131072 - 1)
            assert QUANTILES_Q15[u] == int(mpmath.floor(exact * 32768 + mpmath.mpf("0.5")))


def test_no_entry_is_so_near_a_tie_that_a_quantile_function_could_round_it_otherwise():
    scaled = 32768.0 * ndtri((np.arange(65536) + 0.5) / 65536)
    assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1.6e-6


def test_the_table_is_odd_ascending_and_of_unit_variance():
    assert not (QUANTILES_Q15 + QUANTILES_Q15[::-1]).any()
    assert (np.diff(QUANTILES_Q15) >= 0).all()
    assert abs((QUANTILES_Q15 / 32768.0).std() - 1) < 1e-3


def test_the_table_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        QUANTILES_Q15[0] = 0


@pytest.mark.parametrize("sigma", [0, 0.01, 0.03, 0.2])
def test_noise_has_the_standard_deviation_asked_for(sigma):
    noise = noise_table(sigma) / 32768.0
    assert noise.std() == pytest.approx(sigma * 255, rel=1e-3)
    s = int(np.floor(sigma * 255 * 65536 + 0.5))
    assert noise_table(sigma).tolist() == [(z * s + 32768) >> 16 for z in QUANTILES_Q15.tolist()]


@pytest.mark.parametrize("sigma", [-0.001, 0.21, float("nan")])
def test_noise_out_of_range_is_refused(sigma):
    with pytest.raises(ValueError, match=r"Argument 'sigma' must be from 0 to 0\.2, not"):
        noise_table(sigma)
