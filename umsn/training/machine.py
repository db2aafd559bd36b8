"""What a training runs on: a device, a precision, and the processes that torchrun started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.distributed as dist

from umsn.devices import usable_device

_CUDNN: Final[Any] = torch.backends.cudnn


@dataclass(frozen=True)
class Machine:
    """What a training runs on. Of no influence on the result but for rounding."""

    device: torch.device
    rank: int = 0
    ranks: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """``auto``: the faster of the two, tried out (``umsn.training.precision``); a training that is resumed
    goes on with what it had."""
    compile: bool = False
    """Compile the step where that works (``umsn.training.compiled``)."""
    threads: int = 1
    """Background threads that read patches."""

    def autocast(self) -> torch.autocast:
        """Return a context in which networks run in bfloat16, where the precision is that."""
        if self.precision == "auto":
            raise ValueError("Argument 'precision' must be chosen before networks run.")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


@contextlib.contextmanager
def joined(
    device: str, precision: Literal["auto", "fp32", "bf16"], compile: bool | None, threads: int
) -> Iterator[Machine]:
    """Yield what to train on; with torchrun, this process's part of it.

    Processes have a GPU each while there are enough, and share them where there are not.
    """
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen, backend = usable_device(device), "gloo"
    if chosen.type == "cuda" and ranks > 1:
        cards = torch.cuda.device_count()
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % cards)
        torch.cuda.set_device(chosen)
        # NCCL wants a card for each process.
        backend = "nccl" if int(os.environ.get("LOCAL_WORLD_SIZE", ranks)) <= cards else "gloo"
    if compile is None:
        compile = chosen.type == "cuda"
    if ranks > 1:
        dist.init_process_group(backend)
    try:
        with arithmetic_of_a_gpu(precision):
            yield Machine(chosen, rank, ranks, precision, compile, threads)
    finally:
        if ranks > 1:
            dist.destroy_process_group()


@contextlib.contextmanager
def arithmetic_of_a_gpu(precision: Literal["auto", "fp32", "bf16"]) -> Iterator[None]:
    """Set, for the whole process and as long as the context lasts, how a GPU multiplies float32.

    ``fp32`` means what it says: no TF32. Where networks run in bfloat16, what is left in float32 (the
    perceptual features, for one) may use TF32, which keeps three bits more than bfloat16. cuDNN tries which
    of its algorithms is the fastest, for the sizes of a training do not change.
    """
    tf32 = precision != "fp32"
    before = torch.get_float32_matmul_precision(), _CUDNN.allow_tf32, _CUDNN.benchmark
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    _CUDNN.allow_tf32, _CUDNN.benchmark = tf32, True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        _, _CUDNN.allow_tf32, _CUDNN.benchmark = before
