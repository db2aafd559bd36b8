"""Scores must come out as in the literature: checked against scikit-image and by hand."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from umsn.scoring.metrics import f_score, psnr, ssim


def images(seed, shape=(40, 33, 3)):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 256, shape)
    image = np.clip(truth + random.normal(0, 20, shape), 0, 255)
    return image.astype(np.uint8), truth.astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_psnr_is_that_of_scikit_image(seed):
    image, truth = images(seed)
    assert psnr(image, truth) == pytest.approx(
        peak_signal_noise_ratio(truth, image, data_range=255), abs=1e-6
    )


@pytest.mark.parametrize("shape", [(40, 33, 3), (11, 11, 3), (64, 20)])
def test_ssim_is_that_of_scikit_image(shape):
    image, truth = images(3, shape)
    reference = structural_similarity(
        truth,
        image,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(image, truth) == pytest.approx(reference, abs=1e-4)


def test_ssim_is_its_definition_window_by_window():
    image, truth = images(4, (14, 13, 3))
    assert ssim(image, truth) == pytest.approx(naive.ssim(image, truth), rel=1e-12)
    # Also of parts of larger pictures, and of what cannot be written.
    wide = np.zeros((20, 30, 3), np.uint8)
    wide[3:17, 9:22] = image
    truth.flags.writeable = False
    assert ssim(wide[3:17, 9:22], truth) == ssim(image, truth)


def test_one_grey_level_off_is_48_dB():
    truth = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(truth + np.uint8(1), truth) == pytest.approx(20 * math.log10(255), abs=1e-9)


def test_equal_images_are_perfect():
    image, _ = images(0)
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == pytest.approx(1)


def test_f_score_by_hand():
    truth = np.array([0, 0, 1, 1, 255, 255], np.uint8)
    found = np.array([0, 1, 1, 1, 0, 1], np.uint8)
    assert f_score(found, truth, 0) == pytest.approx(2 / 3)
    assert f_score(found, truth, 1) == pytest.approx(4 / 5)


def test_an_absent_class_has_no_score():
    assert math.isnan(f_score(np.zeros(4, np.uint8), np.zeros(4, np.uint8), 3))


def test_wrong_arguments_are_named():
    image, truth = images(0)
    with pytest.raises(ValueError, match="'image' must be uint8, not float64"):
        psnr(image / 255, truth)
    with pytest.raises(ValueError, match="'truth' must have shape"):
        ssim(image, truth[1:])
    with pytest.raises(ValueError, match="at least 11 x 11"):
        ssim(image[:9], truth[:9])
