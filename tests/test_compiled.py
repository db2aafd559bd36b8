"""A compiled network is used only where it learns the same as the plain one."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch._dynamo.backends.debugging import aot_eager

from umsn.training.compiled import compile_where_it_works


def no_gradient(graph, example):
    """Compile to code with the right values, through which no gradient comes."""
    return lambda *inputs: tuple(
        value.detach() + 0 * sum(x.sum() for x in inputs if x.requires_grad) for value in graph(*inputs)
    )


def broken(graph, example):
    raise RuntimeError("no compiler here\nand many more lines")


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 3)

    def forward(self, image):
        return self.last(torch.relu(self.first(image)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    yield Tiny()
    torch.compiler.reset()


def test_what_fails_in_another_process_is_taken_back_in_all(network, monkeypatch):
    monkeypatch.setattr("umsn.training.compiled.any_process", lambda failed, device: True)
    assert attempt(network, aot_eager) == "it does not work in another process"
    assert not is_compiled(network)


def attempt(network, backend):
    network.compile = partial(nn.Module.compile, network, backend=backend)
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return compile_where_it_works(
        network, lambda: network(image).abs().mean(), [*network.parameters()], "fp32"
    )


def is_compiled(network):
    return network._compiled_call_impl is not None


def test_what_works_stays_compiled(network):
    graphs = []

    def counted(graph, example):
        graphs.append(graph)
        return aot_eager(graph, example)

    assert attempt(network, counted) is None
    assert is_compiled(network) and len(graphs) == 1
    assert all(parameter.grad is None for parameter in network.parameters())


def test_lost_gradients_are_noticed_and_the_network_stays_plain(network):
    assert attempt(network, no_gradient) == "compiled, 4 of 4 parameters have another gradient"
    assert not is_compiled(network)
    loss = network(torch.rand(1, 3, 8, 8)).sum()
    loss.backward()
    assert network.first.weight.grad.abs().sum() > 0


def test_a_compiler_that_fails_is_done_without(network):
    why = attempt(network, broken)
    assert why.startswith("torch.compile failed (") and "\n" not in why
    assert not is_compiled(network)
