"""What blocks do otherwise on a GPU, done here: the same numbers, and no change of memory layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from umsn.nets.blocks import InstanceNorm, SharedSeparableConv, shifted_sum

LAST = torch.channels_last


def maps(kind: torch.dtype) -> torch.Tensor:
    x = torch.randn(3, 5, 8, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1
    return x.to(kind).contiguous(memory_format=LAST).requires_grad_()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_normalisation_spelt_out_is_group_norm(kind):
    norm = InstanceNorm(5)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 5))
        norm.bias.copy_(torch.linspace(-1, 1, 5))
    x, y = maps(kind), maps(torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        found = norm.by_moments(x)
    expected = F.group_norm(y, 5, norm.weight, norm.bias, norm.eps)
    assert found.dtype == kind
    assert found.is_contiguous(memory_format=LAST)
    close = {"rtol": 1e-4, "atol": 1e-5} if kind == torch.float32 else {"rtol": 0.02, "atol": 0.03}
    torch.testing.assert_close(found.float(), expected, **close)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    inner = torch.autograd.grad((found.float() * slope).sum(), (x, norm.weight, norm.bias))
    outer = torch.autograd.grad((expected * slope).sum(), (y, norm.weight, norm.bias))
    for f, e in zip(inner, outer, strict=True):
        torch.testing.assert_close(f.float(), e, rtol=close["rtol"], atol=10 * close["atol"])


def test_nine_products_are_the_depthwise_convolution():
    """In doubles: sums in another order then differ far less than a wrong product would."""
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(5, 1, 3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    x, y = maps(torch.float64), maps(torch.float64)
    found, expected = shifted_sum(x, weight), F.conv2d(y, weight, padding=1, groups=5)
    assert found.is_contiguous(memory_format=LAST)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    inner, outer = (
        torch.autograd.grad(maps.square().sum(), (place, weight))
        for maps, place in ((found, x), (expected, y))
    )
    for f, e in zip(inner, outer, strict=True):
        torch.testing.assert_close(f, e, rtol=1e-11, atol=1e-11)


def test_one_that_was_not_trained_changes_nothing():
    x = maps(torch.bfloat16)
    smooth = SharedSeparableConv()
    assert torch.equal(shifted_sum(x, smooth.weight.expand(5, 1, 3, 3)), x)
