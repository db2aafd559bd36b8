"""torch.compile, where it works: a compiled step is used only if it learns what the plain one learns.

A compiler's mistake can leave part of a network without a gradient, and the training would go on, a little
worse, and say nothing. So one step is taken both ways before the first that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from umsn.runs.processes import any_process

_TOLERANCE: Final = {"fp32": 0.01, "bf16": 0.25}
"""How far apart two gradients of a parameter may lie, as a share of their length; rounding explains less."""

_FLOOR: Final = 1e-3
"""What counts as nothing, as a share of the longest gradient of all."""


def compile_where_it_works(
    module: nn.Module, loss: Callable[[], Tensor], parameters: Sequence[nn.Parameter], precision: str
) -> str | None:
    """Compile ``module`` in place; take it back, and return why, if that fails or changes the gradients.

    ``loss`` is of one batch, always the same, by way of the module; ``parameters`` are what is trained;
    ``precision`` is "fp32" or "bf16". Nothing is learnt. Of processes that train together all compile, or
    none; ``loss`` must not wait for the others, for a compiler may fail in one of them only.
    """
    expected = _gradients(loss, parameters)
    module.compile()
    reason = None
    try:
        found = _gradients(loss, parameters)
    except Exception as error:  # whatever a compiler may raise
        why = str(error).strip().partition("\n")[0]
        reason = f"torch.compile failed ({type(error).__name__}: {why})"
    else:
        wrong = _count_others(found, expected, _TOLERANCE[precision])
        if wrong:
            reason = f"compiled, {wrong} of {len(parameters)} parameters have another gradient"
    if not any_process(reason is not None, parameters[0].device):
        return None
    module._compiled_call_impl = None
    torch.compiler.reset()
    return reason or "it does not work in another process"


def _gradients(loss: Callable[[], Tensor], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(loss(), parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def _count_others(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> int:
    floor = _FLOOR * max(g.norm().item() for g in expected)
    pairs = zip(found, expected, strict=True)
    # "not within" and not "beyond": what is not a number is neither.
    return sum(not (f - e).norm().item() <= tolerance * (e.norm().item() + floor) for f, e in pairs)
