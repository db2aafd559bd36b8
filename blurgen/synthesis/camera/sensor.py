"""A sensor's shot and read noise, and the white balance of a picture: drawn per sample, whole numbers.

The variance of a raw value ``v`` is ``gain * v + read``: photons come at random, which gives the first term,
and reading them out adds the second. What is drawn:

- ``darmstadt``: gain log-uniform from 0.0001 to 0.012 of full scale, ln(read) normal about 2.18 ln(gain) +
  1.20 with deviation 0.26: the fit to the cameras of the Darmstadt Noise Dataset, one of them a phone's
  (Brooks et al., "Unprocessing images for learned raw denoising", CVPR 2019).
- ``sony-a7r3``: gain 8.8915e-5 and read deviation 2.943e-5, each times U(0.5, 1.5): the camera of the
  RealBlur set, as Rim et al. measured it ("Realistic blur synthesis for learning image deblurring", ECCV
  2022).
- ``none``: no noise.

Gains of the white balance, for all: red U(1.9, 2.4), blue U(1.5, 1.9) (both papers).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.randomness.philox import Stream, below, block_words
from blurgen.synthesis.camera.linear_light import FAMILY, FULL

ENTRIES: Final = 256
"""Entries of a table of noise: a draw takes one byte."""

_SENSOR_STREAM = np.uint32(Stream.SENSOR)
_FAMILY = np.int64(FAMILY)
# The light of a sample's standard deviation is in eighths, its variance in 64ths: in sixteenths the product
# with the largest normal deviate would not fit 32 bits.
_VARIANCE = 64
_DARMSTADT = (Decimal("0.0001"), Decimal("0.012"), Decimal("2.18"), Decimal("1.20"), Decimal("0.26"))
_A7R3 = (Decimal("8.8915e-5"), Decimal("2.943e-5"))


class NoiseTables(NamedTuple):
    """What a sensor's noise is drawn from, each int64 [256].

    ``gain`` and ``read`` by the first draw, ``factor`` by the second: the variance of a raw value ``v`` is
    ``gain * v + (read * factor + 2048) // 4096`` in 64ths of a squared unit of light.
    """

    gain: NDArray[np.int64]
    read: NDArray[np.int64]
    factor: NDArray[np.int64]


class Draw(NamedTuple):
    """What is drawn for the picture of one sample; whole numbers."""

    gain: np.int64
    read: np.int64
    """Variance of a raw value ``v``: ``gain * v + read``, in 64ths of a squared unit of light."""
    red: np.int64
    blue: np.int64
    """Gains of the white balance, in 1024ths."""
    curve: np.int64
    """The tone curve: 0 sRGB, 1 to FAMILY one of the family."""


@cache
def noise_tables(sensor: str) -> NoiseTables:
    """Return the tables of a sensor that ``Camera`` may have; a KeyError otherwise.

    Decimal arithmetic of 40 digits: no entry lies closer than 1e-6 to a rounding tie (tests/test_sensor.py).
    """
    with localcontext() as context:
        context.prec = 40
        gain, read, factor = _LAWS[sensor]
        rows = [[_rounded(law(i)) for i in range(ENTRIES)] for law in (gain, read, factor)]
    return NoiseTables(*(np.array(row, np.int64) for row in rows))


def _rounded(value: Decimal) -> int:
    return int(value + Decimal("0.5"))


def _log_gain(i: int) -> Decimal:
    low, high = _DARMSTADT[0].ln(), _DARMSTADT[1].ln()
    return low + (high - low) * i / (ENTRIES - 1)


def _darmstadt_read(i: int) -> Decimal:
    return _VARIANCE * FULL * FULL * (_DARMSTADT[2] * _log_gain(i) + _DARMSTADT[3]).exp()


def _darmstadt_factor(i: int) -> Decimal:
    deviate = Decimal(int(QUANTILES_Q15[256 * i + 128])) / 32768
    return 4096 * (_DARMSTADT[4] * deviate).exp()


def _half_to_three_halves(i: int) -> Decimal:
    return Decimal("0.5") + (i + Decimal("0.5")) / ENTRIES


_Law = Callable[[int], Decimal]
_LAWS: Final[dict[str, tuple[_Law, _Law, _Law]]] = {
    "darmstadt": (lambda i: _VARIANCE * FULL * _log_gain(i).exp(), _darmstadt_read, _darmstadt_factor),
    "sony-a7r3": (
        lambda i: _VARIANCE * FULL * _A7R3[0] * _half_to_three_halves(i),
        lambda i: _VARIANCE * (FULL * _A7R3[1]) ** 2,
        lambda i: 4096 * _half_to_three_halves(i) ** 2,
    ),
    "none": (lambda i: Decimal(0), lambda i: Decimal(0), lambda i: Decimal(0)),
}


@njit(cache=True)
def draw(seed, sample, tables, is_family):
    """Return what is drawn for one sample (stream SENSOR); ``is_family`` says whether a tone curve is."""
    w0, w1, w2, w3 = block_words(seed, _SENSOR_STREAM, sample, np.uint32(0))
    curve = np.int64(0)
    if is_family:
        curve = 1 + below(block_words(seed, _SENSOR_STREAM, sample, np.uint32(1))[0], _FAMILY)
    i, j = np.int64(w0 >> np.uint32(24)), np.int64(w1 >> np.uint32(24))
    read = (tables.read[i] * tables.factor[j] + 2048) >> 12
    # 1.9 to 2.4 and 1.5 to 1.9 in 1024ths
    return Draw(tables.gain[i], read, 1946 + below(w2, 513), 1536 + below(w3, 411), curve)
