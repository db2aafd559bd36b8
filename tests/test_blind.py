"""The classical blind method that the networks are compared with finds a kernel where theory says it can."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import blurgen

SPEC = importlib.util.spec_from_file_location(
    "blind", Path(__file__).resolve().parent.parent / "benchmarks/blind.py"
)
blind = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(blind)


@pytest.fixture(scope="module")
def blocks():
    """Return a picture of flat rectangles, 128 x 128, as L0 priors suppose pictures to be."""
    random = np.random.default_rng(0)
    picture = np.full((128, 128, 3), 128, np.uint8)
    for _ in range(60):
        top, left = random.integers(0, 110, 2)
        height, width = random.integers(8, 40, 2)
        picture[top : top + height, left : left + width] = random.integers(0, 256)
    return picture


def likeness(found, kernel):
    """Return the cosine of two kernels at the shift where it is highest."""
    wide = np.pad(kernel, (len(found) - len(kernel)) // 2)
    shifted = np.fft.ifft2(np.fft.fft2(found).conj() * np.fft.fft2(wide)).real
    return shifted.max() / np.linalg.norm(found) / np.linalg.norm(wide)


def test_it_finds_the_kernel_of_a_picture_with_few_gradients(blocks):
    kernel = blurgen.make_kernels(count=1, min_size=15, max_size=15, seed=3).kernel(0) / 32768
    blurry = np.stack([ndimage.convolve(blocks[..., c] / 1.0, kernel) for c in range(3)], axis=-1)
    found = blind.estimated_kernel(np.round(blurry).astype(np.uint8), smooth=0)
    assert found.shape == (31, 31)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    assert likeness(found, kernel) > 0.8
