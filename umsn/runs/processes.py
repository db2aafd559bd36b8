"""The processes that torchrun starts and that train together."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor


def is_leader() -> bool:
    """Tell whether this process is the one that speaks for all; also where there is only one."""
    return os.environ.get("RANK", "0") == "0"


def any_process(value: bool, device: torch.device) -> bool:
    """Tell whether ``value`` is true in any process; all of them must ask, and get the same answer."""
    if not dist.is_initialized():
        return value
    found = torch.tensor(float(value), device=device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return bool(found)


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, without gradient; itself where there is only one.

    All of them must call it: each waits for the others.
    """
    if not dist.is_initialized():
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / dist.get_world_size()
