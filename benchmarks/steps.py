"""Training steps to be timed: the networks, the steps, and what a device can do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from nafnet import NAFNet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from blurgen.building.build import build_dataset
from blurgen.dataset.reading import Dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from umsn.nets import build_network, network_config
from umsn.patches.batches import Batch, Batches, PatchSource
from umsn.training.learners import DeblurLearner, FirstStageLearner, Learner, SegmentationLearner, Terms
from umsn.training.losses import l1
from umsn.training.machine import Machine

STAGES: Final = ("segmentation", "first-stage", "umsn")

_TRUNK: Final = {"width": 16, "blocks": 3, "last_width": 8, "inner": (16, 32, 32, 32, 16)}
_FORMER_SMALL: Final[dict[str, dict[str, Any]]] = {
    "snet": _TRUNK,
    "first-stage": {"width": 4, "blocks": 1, "out_channels": 4, "last_width": 8, "inner": 4},
    "umsn": {**_TRUNK, "class_width": 4, "class_blocks": 1, "class_channels": 4, "class_inner": 4},
    "confidence": {"width": 4},
}
"""What ``small`` was before ``compact`` took its place: the paper's networks, narrower."""


class PlainLearner(Learner):
    """A network that takes the blurry picture alone, and L1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> tuple[Terms, Terms]:
        return {"l1": l1(self.output(batch), batch.clean)}, {}

    def output(self, batch: Batch) -> Tensor:
        return self.network(batch.blurry).float()

    def judge(self, batch: Batch) -> Any:
        raise NotImplementedError("It is timed, not judged.")


def learner_of(stage: str, size: str) -> Learner:
    """Return a learner of a stage, untrained; ``size`` is one of ours, ``former small`` or ``nafnet``."""
    torch.manual_seed(0)
    if size == "nafnet":
        return PlainLearner(NAFNet(16))

    def network(name: str) -> Any:
        return build_network(
            name, _FORMER_SMALL[name] if size == "former small" else network_config(name, size)
        )

    if stage == "segmentation":
        return SegmentationLearner(network("snet"), "blurry")
    if stage == "first-stage":
        return FirstStageLearner(network("first-stage"), 1, None)
    return DeblurLearner(
        network("umsn"),
        confidence=network("confidence"),
        perceptual=None,
        s_net=network("snet"),
        s_net_clean=network("snet"),
        masks="snet",
    )


class Way:
    """One way to take training steps: as a training does, or plain eager float32 with channels first."""

    def __init__(self, learner: Learner, machine: Machine, *, plain: bool = False) -> None:
        self.learner, self._machine = learner.to(machine.device), machine
        self._layout = torch.contiguous_format if plain else torch.channels_last
        self.learner.to(memory_format=self._layout)  # type: ignore[call-overload]
        if plain and hasattr(learner.network, "grouped"):
            learner.network.grouped = False
        if machine.compile:
            learner.compile()
        trained = [p for p in learner.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=not plain)

    def step(self, batch: Batch) -> Tensor:
        """Learn from a batch; return the loss, detached."""
        clean, blurry = (
            image.contiguous(memory_format=self._layout) for image in (batch.clean, batch.blurry)
        )
        with self._machine.autocast():
            terms, _ = self.learner(replace(batch, clean=clean, blurry=blurry))
        loss = torch.stack([*terms.values()]).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


def wait(device: torch.device) -> None:
    """Let the device finish what it has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(run: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Return the median time of a call, after three that do not count (compilation, caches)."""
    for _ in range(3):
        run()
    wait(device)
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def matrix_peak(device: torch.device, kind: torch.dtype, side: int, seconds: float) -> float:
    """Return the FLOP/s of a large matrix product: the best that a side of ``side`` or its half gives."""
    found = []
    for n in (side, side // 2):
        a = torch.randn(n, n, device=device).to(kind)
        found.append(2 * n**3 / seconds_each(partial(torch.mm, a, a), device, seconds / 2))
    return max(found)


def operations(learner: Learner, batch: Batch) -> int:
    """Return the floating-point operations of one step, S-Nets and losses included."""
    with FlopCounterMode(display=False) as counter:
        terms, _ = learner(batch)
        torch.stack([*terms.values()]).sum().backward()
    learner.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def multiply_adds(learner: Learner, batch: Batch) -> float:
    """Return the multiply-adds of the trained network alone for one picture, forward only."""
    one = replace(batch, clean=batch.clean[:1], blurry=batch.blurry[:1], classes=batch.classes[:1])
    masks = one.masks
    network: Any = learner.network
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if isinstance(learner, FirstStageLearner):
            network(one.blurry, masks[:, :1])
        elif isinstance(learner, DeblurLearner):
            network(one.blurry, masks)
        else:
            network(one.blurry)
    return counter.get_total_flops() / 2


def fed(way: Way, source: PatchSource, machine: Machine, size: int, seconds: float) -> dict[str, float]:
    """Return steps per second with the data path of a training, and the share of time spent waiting."""
    batches = Batches(source, batch_size=size, seed=0, device=machine.device)
    stream: Iterator[Batch] = batches.starting_at(0)
    for _ in range(3):
        way.step(next(stream))
    wait(machine.device)
    start, waited, steps = time.perf_counter(), batches.waited, 0
    while steps < 5 or time.perf_counter() - start < seconds:
        way.step(next(stream))
        steps += 1
    wait(machine.device)
    elapsed = time.perf_counter() - start
    return {"steps_per_second": steps / elapsed, "waiting": (batches.waited - waited) / elapsed}


def make_dataset(folder: Path, *, patch: int, faces: int = 16, per_image: int = 32) -> Dataset:
    """Build a class-isolated dataset of drawn faces."""
    bank = make_bank(count=256)
    source = parse_source(f"procedural:{faces}", min_side=patch + bank.max_size - 1, patch_size=patch)
    return build_dataset([source], bank, folder, per_image=per_image, patch_size=patch, class_isolated=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table; numbers with three digits that count."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_shown(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
