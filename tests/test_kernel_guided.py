"""The kernel-guided network estimates a kernel as the bank has it, in a picture of any size, and uses it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_wiener import blurred, face, shake
from torch import Tensor

from umsn.nets.kernel_estimator import KernelEstimator, KernelEstimatorConfig, as_kernel, at_lags
from umsn.nets.kernel_guided import KernelGuided, KernelGuidedConfig

SMALL_ESTIMATOR = KernelEstimatorConfig(
    widths=(8, 8), blocks=(1, 1), lag_widths=(16, 16), lag_blocks=(1, 1), maps=4
)
SMALL = KernelGuidedConfig(
    widths=(8, 8),
    blocks=(1, 1),
    estimator_widths=(8, 8),
    estimator_blocks=(1, 1),
    lag_widths=(16, 16),
    lag_blocks=(1, 1),
    maps=4,
)


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def a_batch(count: int, side: int = 128) -> tuple[Tensor, Tensor]:
    """Return blurry pictures ``[count, 3, side, side]`` and the kernels they were blurred with."""
    kernels = torch.cat([shake(seed) for seed in range(count)])
    sharp = face(side, side, margin=14)
    pictures = [blurred(sharp.roll(n, 0), kernels[n : n + 1], side, side) for n in range(count)]
    return torch.stack(pictures), kernels


def test_at_lags_is_the_inverse_transform_where_it_is_wanted() -> None:
    image = np.random.default_rng(0).random((48, 80))
    found = at_lags(torch.from_numpy(np.fft.rfft2(image)).to(torch.complex64))
    expected = np.roll(image, (16, 16), (0, 1))[:32, :32]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("tap", [(5, -3), (-9, 14)])
def test_a_quotient_of_true_features_is_the_kernel_where_the_bank_has_it(tap: tuple[int, int]) -> None:
    kernel = torch.zeros(1, 29, 29)
    kernel[0, 14 + tap[0], 14 + tap[1]] = 1
    sharp = face(128, 128, margin=14)[0] + torch.rand(156, 156)
    blurry = blurred(sharp.expand(3, -1, -1), kernel, 128, 128)[0]
    cross = torch.fft.rfft2(sharp[14:-14, 14:-14]).conj() * torch.fft.rfft2(blurry)
    # Lag 0 is at [16, 16] of the grid, and at [14, 14] of a kernel, which is cut out of it from [2, 2].
    lags = at_lags(cross / cross.abs())[2:31, 2:31]
    assert divmod(int(lags.argmax()), 29) == (14 + tap[0], 14 + tap[1])


def test_the_estimator_learns_the_kernels_of_a_batch() -> None:
    blurry, kernels = a_batch(2, side=64)
    net = KernelEstimator(SMALL_ESTIMATOR)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(60):
        logits = net(blurry)
        loss = -(kernels * F.log_softmax(logits.flatten(1), 1).view_as(logits)).sum((1, 2)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = as_kernel(net(blurry)).detach()
    assert (F.cosine_similarity(found.flatten(1), kernels.flatten(1)) > 0.9).all()


def test_a_kernel_is_positive_and_of_sum_one_and_the_same_every_time() -> None:
    net, blurry = KernelGuided(SMALL), torch.rand(2, 3, 160, 200)
    kernel = net.kernel(blurry)
    assert kernel.shape == (2, 29, 29)
    assert (kernel >= 0).all()
    torch.testing.assert_close(kernel.sum((1, 2)), torch.ones(2))
    assert torch.equal(net.kernel(blurry), kernel)


def test_a_picture_of_one_window_has_the_kernel_of_the_estimator() -> None:
    net, (blurry, _) = KernelGuided(SMALL), a_batch(1)
    torch.testing.assert_close(net.kernel(blurry), as_kernel(net.estimator(blurry)))


def test_windows_of_a_larger_picture_are_taken_together() -> None:
    net, (blurry, _) = KernelGuided(SMALL), a_batch(1, side=192)
    windows = [blurry[..., y : y + 128, x : x + 128] for y in (0, 64) for x in (0, 64)]
    each = [net.estimator.spectra(window) for window in windows]
    together = type(each[0])(*(torch.stack(values).mean(0) for values in zip(*each, strict=True)))
    torch.testing.assert_close(net.kernel(blurry), as_kernel(net.estimator.logits(together)))


@pytest.mark.parametrize("size", [(2, 3), (33, 130), (128, 128), (150, 201)])
def test_a_picture_of_any_size_comes_out_as_large(size: tuple[int, int]) -> None:
    blurry = torch.rand(1, 3, *size)
    found = KernelGuided(SMALL)(blurry)
    assert found.shape == blurry.shape and found.isfinite().all()


def test_everything_in_it_is_trained_by_what_comes_out() -> None:
    net, (blurry, _) = KernelGuided(SMALL), a_batch(1)
    net(blurry).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_given_kernel_is_used() -> None:
    net, (blurry, kernels) = KernelGuided(SMALL), a_batch(1)
    truth = face(128, 128, margin=14)[:, 14:-14, 14:-14]
    inside = (slice(None), slice(None), slice(32, -32), slice(32, -32))
    before, after = ((x - truth)[inside].square().mean() for x in (blurry, net(blurry, kernels)))
    assert after < 0.7 * before


@pytest.mark.parametrize(
    "wrong", [{"maps": 6}, {"weights": ()}, {"weights": (0.0,)}, {"widths": (8,)}, {"lag_blocks": (1,)}]
)
def test_numbers_it_cannot_be_made_of_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Argument"):
        KernelGuidedConfig(**wrong)  # type: ignore[arg-type]
