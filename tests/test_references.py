"""Deconvolution with the true kernel undoes blur, so that its row in a table means something."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve

from umsn.evaluation import deconvolution as references
from umsn.scoring.metrics import psnr, ssim
from umsn.scoring.pairs import Pair

METHODS = [references.wiener, references.richardson_lucy]


def blurred(seed, noise):
    """A smooth picture, convolved with a crooked kernel whose ends lie far from the middle."""
    rng = np.random.default_rng(seed)
    wide = gaussian_filter(rng.normal(0, 1, (100, 90, 3)), (2, 2, 0))
    wide = np.clip(128 + 220 * wide, 0, 255)
    kernel = np.zeros((13, 13))
    kernel[np.arange(13), np.clip(np.arange(13) // 2 + 3, 0, 12)] = np.linspace(1, 2, 13)
    kernel /= kernel.sum()
    blurry = np.stack([convolve(wide[..., c], kernel, mode="valid") for c in range(3)], axis=-1)
    blurry = np.clip(np.round(blurry + rng.normal(0, noise, blurry.shape)), 0, 255).astype(np.uint8)
    clean = np.round(wide[6:-6, 6:-6]).astype(np.uint8)
    return Pair("a", "a", blurry, clean, None, 13, kernel)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0, 7.65])
def test_it_comes_closer_to_the_truth(method, noise):
    pair = blurred(0, noise)
    found = method(pair)
    assert found.shape == pair.clean.shape and found.dtype == np.uint8
    assert psnr(found, pair.clean) > psnr(pair.blurry, pair.clean) + 1
    assert ssim(found, pair.clean) > ssim(pair.blurry, pair.clean)


@pytest.mark.parametrize("method", METHODS)
def test_the_kernel_is_not_taken_for_its_mirror_image(method):
    pair = blurred(1, 0)
    mirrored = Pair("a", "a", pair.blurry, pair.clean, None, 13, pair.kernel[::-1, ::-1])
    assert psnr(method(pair), pair.clean) > psnr(method(mirrored), pair.clean) + 1


@pytest.mark.parametrize("method", METHODS)
def test_a_kernel_of_one_pixel_changes_next_to_nothing(method):
    pair = blurred(2, 0)
    point = np.zeros((13, 13))
    point[6, 6] = 1
    found = method(Pair("a", "a", pair.clean, pair.clean, None, 13, point))
    assert psnr(found, pair.clean) > 30


@pytest.mark.parametrize("method", METHODS)
def test_without_a_kernel_it_says_so(method):
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="'pair' must have a kernel"):
        method(Pair("a", "a", picture, picture, None, None))
