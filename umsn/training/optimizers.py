"""How weights step: Adam as in the paper, and Muon for the compact networks.

Muon (K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") turns the averaged
gradient of a convolution's weights, as a matrix of outputs by inputs, into the nearest matrix with
orthogonal rows, so that all directions are learnt at one speed and not the strongest first. Its steps are
scaled to the size of Adam's (Liu et al. 2025, "Muon is scalable for LLM training"), so that one learning rate
and one decay serve all weights. Biases, and kernels too thin to have directions, go by AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn

from umsn.training.stages import Stage

_MOMENTUM: Final = 0.95
_ADAM_SIZE: Final = 0.2
"""Root mean square of what Adam takes off a weight, in learning rates."""

_THINNEST: Final = 16

_POLYNOMIAL: Final = (3.4445, -4.7750, 2.0315)
"""Of the iteration a x + b x^3 + c x^5 of the singular values, as Muon's authors tuned it."""

_ROUNDS: Final = 5


def make_optimizer(stage: Stage, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
    """Return the optimiser of a stage; without decay of the weights, AdamW is Adam."""
    kind = Muon if stage.optimizer == "muon" else torch.optim.AdamW
    return kind(parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay, fused=True)


class Muon(torch.optim.AdamW):
    """Muon for the kernels of convolutions, AdamW for all else."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step; the gradients of kernels are used up."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and is_kernel(p):
                    self._step_kernel(p, group["lr"], group["weight_decay"])
                    p.grad = None
        return super().step(closure)

    def _step_kernel(self, p: nn.Parameter, rate: float, decay: float) -> None:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            # AdamW wants to see a "step" when a training is resumed.
            state.update(step=torch.zeros(()), momentum=torch.zeros_like(p))
        state["step"] += 1
        momentum = state["momentum"].lerp_(p.grad, 1 - _MOMENTUM)
        direction = orthogonal(p.grad.lerp(momentum, _MOMENTUM).flatten(1))
        size = _ADAM_SIZE * max(direction.shape) ** 0.5
        p.mul_(1 - rate * decay).add_(direction.view_as(p), alpha=-rate * size)


def is_kernel(p: Tensor) -> bool:
    """Whether weights are those of a convolution wide enough for Muon."""
    return p.ndim == 4 and min(p.shape[0], p[0].numel()) >= _THINNEST


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix ``[m, n]`` with its singular values brought to about 1 (0.7 to 1.2).

    Under autocast it is multiplied in bfloat16, which is exact enough. Without, it is not: a processor
    that has no such arithmetic takes sixteen times as long for it as for float32.
    """
    a, b, c = _POLYNOMIAL
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)
