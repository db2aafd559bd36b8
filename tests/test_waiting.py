"""A step of a training never waits for the device: it asks for no number, and for nothing of unknown size."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from umsn.nets import build_network, network_config
from umsn.patches.batches import Batch
from umsn.training.kernel_learners import KernelEstimatorLearner, KernelGuidedLearner
from umsn.training.learners import DeblurLearner, FirstStageLearner, SegmentationLearner
from umsn.training.machine import Machine
from umsn.training.optimizers import make_optimizer
from umsn.training.stages import COMPACT

_WAITING = {
    "_local_scalar_dense": "a number of a tensor is read",
    "nonzero": "how many there are is asked",
    "masked_select": "how many there are is asked",
    "_unique2": "how many there are is asked",
}


class NoWaiting(TorchDispatchMode):
    """Raises where an operation would make the processor wait for an accelerator."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::").partition(".")[0]
        by_mask = name in ("index", "index_put", "index_put_") and any(
            place is not None and place.dtype == torch.bool for place in args[1]
        )
        if name in _WAITING or by_mask:
            raise AssertionError(f"{name}: {_WAITING.get(name, 'how many there are is asked')}.")
        return function(*args, **(kwargs or {}))


def build(name, **changes):
    return build_network(name, network_config(name, "quick") | changes)


def umsn():
    return DeblurLearner(
        build("umsn"),
        confidence=build("confidence"),
        perceptual=None,
        s_net=build("snet"),
        s_net_clean=build("snet"),
        masks="snet",
        class_weights=(1.2, 1.2, 3.6, 1.2),
        extra_terms=("gradient", "half_scale", "half_scale_gradient"),
    )


LEARNERS = {
    "segmentation": lambda: SegmentationLearner(build("snet"), "clean"),
    "first-stage": lambda: FirstStageLearner(build("first-stage"), 1, None),
    "umsn": umsn,
    "kernel-estimator": lambda: KernelEstimatorLearner(build("kernel-estimator")),
    "kernel-guided": lambda: KernelGuidedLearner(build("kernel-guided")),
}


def made(name, device):
    """What a step needs: a learner, its optimiser and a batch, on ``device``."""
    learner = LEARNERS[name]().to(device, memory_format=torch.channels_last)
    images = torch.rand(2, 2, 3, 64, 64, device=device)
    kernels = torch.rand(2, 29 * 29, device=device).softmax(1).view(2, 29, 29)
    batch = Batch(*images, torch.randint(0, 4, (2, 64, 64), device=device), kernels)
    stage = next(s for s in (*COMPACT.stages, *COMPACT.kernel_stages) if s.kind == name)
    return learner, make_optimizer(stage, [p for p in learner.parameters() if p.requires_grad]), batch


def step(learner, optimizer, batch):
    machine = Machine(batch.clean.device, precision="bf16")
    with machine.autocast():
        terms, _ = learner(batch)
    torch.stack([*terms.values()]).sum().backward()
    with machine.autocast():
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_step_asks_the_device_for_nothing(name):
    parts = made(name, torch.device("cpu"))
    for _ in range(2):
        with NoWaiting():
            step(*parts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", LEARNERS)
def test_a_step_on_a_gpu_waits_for_nothing(name):
    parts = made(name, torch.device("cuda"))
    step(*parts)  # the first makes plans and takes memory
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(*parts)
    finally:
        torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("ask", [bool, float, lambda t: t.item(), lambda t: t[t > 0], torch.nonzero])
def test_what_would_wait_is_noticed(ask):
    with NoWaiting(), pytest.raises(AssertionError):
        ask(torch.ones(1))
