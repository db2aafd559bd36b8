"""What a training needs to go on as if it had never stopped: ``STAGE.state.safetensors``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from blurgen.errors import InputError
from umsn import checkpoint
from umsn.training import schedules
from umsn.training.learners import Learner


class Standing(NamedTuple):
    """Where a training stands."""

    done: int = 0
    """Iterations."""
    best: float = -math.inf
    """The best validation score; -inf: none."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the steps."""
    window: Mapping[str, Tensor] = {}
    """What ``Meter.window`` gives."""


def save_state(
    path: Path,
    learner: Learner,
    optimizer: torch.optim.Adam,
    average: list[Tensor],
    about: Mapping[str, Any],
    at: Standing,
) -> None:
    """Write weights, optimiser, ``average``, random state and where the training stands, with ``about`` it.

    InputError when there is no room.
    """
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    for name, p in learner.named_parameters():
        if p.requires_grad:
            tensors[f"weight.{name}"] = p
            tensors |= {f"adam.{name}.{key}": value for key, value in optimizer.state[p].items()}
    tensors |= {f"average.{i}": value for i, value in enumerate(average)}
    tensors |= checkpoint.with_prefix("window", at.window)
    # What is not finite is null in JSON.
    standing = {"iteration": at.done, "best": at.best, "precision": at.precision}
    checkpoint.save(path, "training", tensors, {**about, **standing})


def restore_state(
    path: Path,
    learner: Learner,
    optimizer: torch.optim.Adam,
    average: list[Tensor],
    about: Mapping[str, Any],
) -> Standing:
    """Bring everything back to where ``save_state`` left it; return where the training stands.

    InputError when the file is damaged or of a training other than the one it is ``about``.
    """
    tensors, saved = checkpoint.load(path, "training")
    _refuse_another_training(path, saved, about)
    names = [name for name, p in learner.named_parameters() if p.requires_grad]
    state = {}
    try:
        with torch.no_grad():
            for i, (name, p) in enumerate(zip(names, optimizer.param_groups[0]["params"], strict=True)):
                p.copy_(tensors[f"weight.{name}"])
                # In the memory layout of the weight: the fused optimiser goes through both side by side.
                state[i] = {
                    key: torch.empty_like(p).copy_(value) if value.ndim else value
                    for key, value in checkpoint.under_prefix(f"adam.{name}", tensors).items()
                }
            for i, value in enumerate(average):
                value.copy_(tensors[f"average.{i}"])
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random"])
        if saved["precision"] not in ("fp32", "bf16"):
            raise ValueError(f"no precision: {saved['precision']}")
        best = -math.inf if saved["best"] is None else float(saved["best"])
        window = checkpoint.under_prefix("window", tensors)
        return Standing(int(saved["iteration"]), best, saved["precision"], window)
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path} does not fit its own description; train this stage again.") from error


def _refuse_another_training(path: Path, saved: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """A training may go on for longer than planned; in nothing else may it differ."""

    def flat(value: Any, name: str = "") -> dict[str, Any]:
        if not isinstance(value, Mapping):
            return {name: value}
        return {
            k: v for key, inner in value.items() for k, v in flat(inner, f"{name}.{key}".lstrip(".")).items()
        }

    then, now = flat({key: saved.get(key) for key in about}), flat(about)
    may_differ = {"stage.iterations"} if schedules.may_go_on(about["stage"]["schedule"]) else set()
    for name in sorted((then.keys() | now.keys()) - may_differ):
        if then.get(name) != now.get(name):
            raise InputError(
                f"{path} was trained with {name} = {then.get(name)!r}, not {now.get(name)!r}; "
                "resume with the same settings or choose another folder."
            )
