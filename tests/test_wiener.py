"""The Wiener filter puts a blurred picture back, where it was, whatever its size."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch
from torch import Tensor

from umsn.nets.fourier import FAST
from umsn.nets.wiener import wiener


def shake(seed: int = 0, side: int = 29) -> Tensor:
    """Return a kernel ``[1, side, side]`` of some steps to the right and down, of sum 1."""
    steps = np.random.default_rng(seed).integers(-1, 2, (20, 2)).cumsum(0)
    steps = (steps - steps.mean(0).round() + side // 2).astype(int).clip(0, side - 1)
    kernel = torch.zeros(1, side, side)
    for y, x in steps:
        kernel[0, y, x] += 1 / len(steps)
    return kernel


def face(height: int, width: int, margin: int = 0) -> Tensor:
    """Return something with edges, ``[3, height + 2 margin, width + 2 margin]`` in [0, 1]."""
    y, x = np.mgrid[: height + 2 * margin, : width + 2 * margin] - margin
    planes = [((y // 9 + x // 7 + c) % 3) / 3 + 0.2 * np.sin(x / (5 + c)) for c in range(3)]
    return torch.tensor(np.stack(planes), dtype=torch.float32).mul(0.7).add(0.15).clamp(0, 1)


def blurred(sharp: Tensor, kernel: Tensor, height: int, width: int) -> Tensor:
    """Blur by FORMAT.md section 3: blurry[y, x] is the sum of k[R + v, R + u] X[y - v, x - u]."""
    radius = kernel.shape[-1] // 2
    total = torch.zeros(3, height, width)
    for v in range(-radius, radius + 1):
        for u in range(-radius, radius + 1):
            top, left = radius - v, radius - u
            weight = kernel[0, radius + v, radius + u]
            total += weight * sharp[:, top : top + height, left : left + width]
    return total


def test_wiener_is_its_definition_written_out() -> None:
    generator = np.random.default_rng(1)
    picture, kernel = generator.random((21, 34)), shake(side=13)
    found = wiener(torch.tensor(picture)[None, None], kernel, (0.05, 0.4))[0].numpy()
    for each, weight in zip(found, (0.05, 0.4), strict=True):
        np.testing.assert_allclose(each, naive.wiener(picture, kernel[0].numpy(), weight), atol=2e-4)


def test_the_true_kernel_without_noise_gives_the_picture_back() -> None:
    sharp, kernel = face(192, 208, margin=14), shake()
    truth = sharp[:, 14:-14, 14:-14]
    blurry = blurred(sharp, kernel, 192, 208)
    found = wiener(blurry[None], kernel, (1e-5,))[0]
    inside = (slice(None), slice(64, -64), slice(64, -64))
    before, after = ((x - truth)[inside].square().mean().sqrt().item() for x in (blurry, found))
    assert after < 0.1 * before


@pytest.mark.parametrize("tap", [(3, -2), (0, 0), (-14, 9)])
def test_a_kernel_of_one_tap_moves_the_picture_back(tap: tuple[int, int]) -> None:
    sharp, kernel = face(96, 96, margin=14), torch.zeros(1, 29, 29)
    kernel[0, 14 + tap[0], 14 + tap[1]] = 1
    found = wiener(blurred(sharp, kernel, 96, 96)[None], kernel, (1e-6,))[0]
    np.testing.assert_allclose(found[:, 32:64, 32:64], sharp[:, 46:78, 46:78], atol=1e-3)


def test_a_centred_tap_changes_no_frequency() -> None:
    kernel = torch.zeros(1, 29, 29)
    kernel[0, 14, 14] = 1
    assert torch.equal(FAST.transfer(kernel, 48, 64), torch.ones(1, 48, 33, dtype=torch.complex64))


@pytest.mark.parametrize("size", [(1, 40), (33, 47), (130, 65)])
def test_any_size_comes_out_as_it_went_in(size: tuple[int, int]) -> None:
    found = wiener(torch.rand(2, 3, *size), shake().expand(2, -1, -1), (0.1, 0.5))
    assert found.shape == (2, 6, *size) and found.isfinite().all()


def test_its_gradients_are_those_of_small_differences() -> None:
    torch.manual_seed(0)
    blurry, kernel = torch.rand(1, 1, 40, 40), shake().requires_grad_()
    aim = torch.rand(1, 1, 40, 40)
    ((wiener(blurry, kernel, (0.3,)) - aim).square().sum()).backward()
    step = 1e-2
    for place in ((14, 14), (10, 17)):
        ends = []
        for sign in (1, -1):
            moved = kernel.detach().clone()
            moved[0][place] += sign * step
            ends.append((wiener(blurry, moved, (0.3,)) - aim).square().sum().item())
        assert kernel.grad is not None
        assert kernel.grad[0][place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * step), rel=0.02, abs=0.02
        )
