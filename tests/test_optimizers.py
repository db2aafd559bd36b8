"""Muon for the kernels of convolutions, AdamW for the rest, in one optimiser."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from umsn.training.optimizers import Muon, is_kernel, make_optimizer, orthogonal
from umsn.training.stages import COMPACT, PAPER


@pytest.mark.parametrize("shape", [(16, 200), (200, 16), (32, 32)])
def test_singular_values_are_brought_to_about_one(shape):
    torch.manual_seed(0)
    # From 1 down to 1e-2: what a gradient is like.
    u, v = (torch.linalg.qr(torch.randn(n, min(shape)))[0] for n in shape)
    matrix = 0.3 * u @ torch.diag(torch.logspace(0, -2, min(shape))) @ v.T
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert found.dtype == torch.float32 and found.shape == matrix.shape
    assert values.min() > 0.5
    assert values.max() < 1.3
    # The directions stay: that of the exact answer, U V^T.
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v.T).flatten(), dim=0) > 0.95


def test_without_autocast_nothing_is_rounded_to_bfloat16():
    """On a processor without such arithmetic, a product in bfloat16 takes many times as long."""
    torch.manual_seed(0)
    matrix = torch.randn(32, 64)
    exact = orthogonal(matrix.double())
    torch.testing.assert_close(orthogonal(matrix).double(), exact, rtol=0, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = orthogonal(matrix)
    assert rounded.dtype == torch.float32
    assert 1e-4 < (rounded - exact).abs().max() < 0.1


def test_a_kernel_steps_by_the_size_of_adam_s_steps_and_the_rest_as_adamw():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Conv2d(32, 3, 3))
    twin = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Conv2d(32, 3, 3))
    twin.load_state_dict(net.state_dict())
    assert [name for name, p in net.named_parameters() if is_kernel(p)] == ["0.weight"]
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    x = torch.randn(2, 16, 9, 9)
    for each, kind in ((net, Muon), (twin, torch.optim.AdamW)):
        optimizer = kind(each.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
        each(x).square().mean().backward()
        optimizer.step()
    steps = {name: p.detach() - before[name] for name, p in net.named_parameters()}
    size = steps["0.weight"].square().mean().sqrt() / 1e-3
    assert 0.1 < size < 0.3
    for name, p in twin.named_parameters():
        if name != "0.weight":
            assert torch.equal(net.get_parameter(name), p)


def test_weights_decay_in_kernels_too():
    kernel = nn.Parameter(torch.ones(16, 16, 1, 1))
    optimizer = Muon([kernel], lr=0.1, weight_decay=0.5, fused=True)
    kernel.grad = torch.zeros_like(kernel)
    optimizer.step()
    torch.testing.assert_close(kernel.detach(), torch.full_like(kernel, 0.95))


def test_a_state_comes_back_from_a_dictionary():
    """What resuming needs: the momentum of kernels and Adam's moments, under one optimiser."""
    torch.manual_seed(0)
    x = torch.randn(2, 16, 9, 9)

    def steps(net, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()

    net = nn.Conv2d(16, 16, 3)
    optimizer = Muon(net.parameters(), lr=1e-3, fused=True)
    steps(net, optimizer, 2)
    other = nn.Conv2d(16, 16, 3)
    other.load_state_dict(net.state_dict())
    resumed = Muon(other.parameters(), lr=1e-3, fused=True)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(net, optimizer, 2)
    steps(other, resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_a_stage_says_which():
    weights = [nn.Parameter(torch.ones(2))]
    assert type(make_optimizer(PAPER.stages[0], weights)) is torch.optim.AdamW
    optimizer = make_optimizer(COMPACT.stages[0], weights)
    assert type(optimizer) is Muon
    assert optimizer.param_groups[0]["weight_decay"] == COMPACT.stages[0].weight_decay > 0
