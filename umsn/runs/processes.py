"""The processes that torchrun starts and that train together."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from blurgen.errors import InputError


def is_leader() -> bool:
    """Tell whether this process is the one that speaks for all; also where there is only one."""
    return os.environ.get("RANK", "0") == "0"


def require_shared(folder: Path, device: torch.device) -> None:
    """Raise InputError, in all processes, unless all of them see the same ``folder``.

    One without the files of the leader would begin a training that the others go on with.
    """
    token: list[str] = [secrets.token_hex(8)]
    dist.broadcast_object_list(token, device=device)
    mark = folder / f".{token[0]}"
    if dist.get_rank() == 0:
        mark.touch()
    dist.barrier()
    unseen = any_process(not mark.exists(), device)
    if dist.get_rank() == 0:
        mark.unlink()
    if unseen:
        raise InputError(f"{folder} is not the same folder for all processes; choose one on a shared disk.")


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
