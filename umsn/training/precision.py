"""Which precision is faster here: bfloat16 or float32, tried on a batch of the stage itself.

On a GPU bfloat16 always is. On a processor it depends on the network: wide dense convolutions run at twice
the speed where the processor multiplies bfloat16 in hardware, narrow ones and normalisation lose more by
converting than they win.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn

from umsn.runs.processes import any_process, mean_over_processes

Precision = Literal["fp32", "bf16"]

_TRIES: Final = 3
_WORTH: Final = 0.95
"""Share of the time of float32 below which bfloat16 is chosen: rounding more for nothing is no bargain."""


class Choice(NamedTuple):
    """A precision, and why."""

    precision: Precision
    why: str


def faster_precision(
    loss: Callable[[Precision], Tensor], parameters: Sequence[nn.Parameter], device: torch.device
) -> Choice:
    """Return the precision in which a step takes less time on ``device``; all processes get the same answer.

    ``loss`` is that of one batch, always the same, in a given precision. Nothing is learnt: gradients are
    computed and thrown away, and the random state is as before.
    """
    if device.type == "cuda":
        return Choice("bf16", "on a GPU")
    seconds: dict[Precision, list[float]] = {"fp32": [], "bf16": []}
    gradients: dict[Precision, Sequence[Tensor | None]] = {}
    repeatable = True
    with torch.random.fork_rng(devices=[]):
        # In turns, so that what else the machine does slows both; the first of each only warms up.
        for _ in range(1 + _TRIES):
            for precision, times in seconds.items():
                start = time.perf_counter()
                found = torch.autograd.grad(loss(precision), parameters, allow_unused=True)
                times.append(time.perf_counter() - start)
                repeatable &= _equal(found, gradients.setdefault(precision, found))
    if any_process(not repeatable, device):
        return Choice("fp32", "in bf16 the same batch gives another gradient each time")
    each = torch.tensor([min(times[1:]) for times in seconds.values()])
    fp32, bf16 = mean_over_processes(each).tolist()
    why = f"a step takes {fp32:.3f} s in fp32, {bf16:.3f} s in bf16"
    return Choice("bf16" if bf16 < _WORTH * fp32 else "fp32", why)


def _equal(found: Sequence[Tensor | None], others: Sequence[Tensor | None]) -> bool:
    """Tell whether gradients have the same bits."""
    return all(
        other is None if g is None else other is not None and torch.equal(g, other)
        for g, other in zip(found, others, strict=True)
    )
