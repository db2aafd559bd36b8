"""Each definition of PSNR and SSIM gives its program's numbers."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from blurgen.errors import InputError
from umsn.scoring.definitions import NAMES, OURS, definition, luma
from umsn.scoring.metrics import psnr, ssim
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import score


def images(seed, shape=(24, 19, 3)):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 256, shape)
    return (truth + random.normal(0, 20, shape)).clip(0, 255).astype(np.uint8), truth.astype(np.uint8)


def test_scikit_image_s_is_scikit_image_s():
    image, truth = images(0)
    found = definition("scikit-image")
    expected = structural_similarity(truth, image, channel_axis=2)
    assert found.ssim(image, truth) == pytest.approx(expected, abs=1e-9)
    assert found.psnr(image, truth) == pytest.approx(peak_signal_noise_ratio(truth, image), abs=1e-9)


def test_matlab_s_repeats_the_border():
    image, truth = images(1, (13, 12, 3))
    wider = [np.pad(one, ((5, 5), (5, 5), (0, 0)), mode="edge") for one in (image, truth)]
    found = definition("matlab")
    assert found.ssim(image, truth) == pytest.approx(naive.ssim(*wider), rel=1e-9)
    # As scikit-image does where it keeps the border, and repeats it; a value by hand for each position.
    _, each = structural_similarity(
        *wider, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert found.ssim(image, truth) == pytest.approx(each[5:-5, 5:-5].mean(), rel=1e-6)
    assert found.psnr(image, truth) == psnr(image, truth)


@pytest.mark.parametrize("crop", [0, 4])
def test_basicsr_s_is_of_the_luma_without_the_border(crop):
    image, truth = images(2)
    # The formula as BasicSR's rgb2ycbcr has it, of one pixel at a time.
    planes = []
    for picture in (image, truth):
        plane = np.zeros((*picture.shape[:2], 1))
        for y, x in np.ndindex(*picture.shape[:2]):
            r, g, b = (float(value) / 255 for value in picture[y, x])
            plane[y, x, 0] = 65.481 * r + 128.553 * g + 24.966 * b + 16
        assert np.allclose(luma(picture), plane)
        planes.append(plane[crop : len(plane) - crop, crop : plane.shape[1] - crop])
    found = definition("basicsr-y", crop)
    mean_squared = np.mean((planes[0] - planes[1]) ** 2)
    assert found.psnr(image, truth) == pytest.approx(10 * math.log10(255**2 / mean_squared), rel=1e-12)
    assert found.ssim(image, truth) == pytest.approx(naive.ssim(*planes), rel=1e-9)
    assert f"crop_border = {crop}" in found.lines[0]


def test_luma_is_from_16_to_235():
    extremes = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert luma(extremes)[..., 0].tolist() == [[16, pytest.approx(235)]]


@pytest.mark.parametrize("name", NAMES)
def test_equal_pictures_are_perfect_and_too_small_ones_are_named(name):
    image, _ = images(3)
    found = definition(name)
    assert found.psnr(image, image) == math.inf and found.ssim(image, image) == pytest.approx(1)
    smallest = found.smallest + 6
    pair = Pair("a", "f", image[:smallest, :smallest], image[:smallest, :smallest], None, None)
    assert score("m", pair, pair.blurry, found).psnr == math.inf
    small = Pair("a", "f", image[: smallest - 1], image[: smallest - 1], None, None)
    with pytest.raises(InputError, match=f"a: a side of {smallest - 1} pixels is too small"):
        score("m", small, small.blurry, found)


def test_scores_are_by_the_definition_asked_for():
    image, truth = images(4)
    pair = Pair("a", "f", image, truth, np.zeros(truth.shape[:2], np.uint8), None)
    for name in NAMES:
        found, by = score("m", pair, image, definition(name)), definition(name)
        assert (found.psnr, found.ssim) == (by.psnr(image, truth), by.ssim(image, truth))
        assert (found.class_psnr[0], found.class_ssim[0]) == (found.psnr, found.ssim)
    assert (OURS.psnr, OURS.ssim) == (psnr, ssim)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="'name' must be one of ours, scikit-image, matlab, basicsr-y"):
        definition("best")
    with pytest.raises(ValueError, match="'crop' must be 0 for definition 'ours', not 4"):
        definition("ours", 4)
