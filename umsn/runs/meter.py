"""Means of what a training logs, and its speed."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from umsn.patches.batches import Batches


class Meter:
    """Means of the terms of the loss since the last reading, and the speed."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._start()

    def _start(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count, self._since, self._waited = 0, time.perf_counter(), self._batches.waited

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count one iteration; values are of one number each."""
        # Sums stay on the device: reading a number would make the processor wait for the accelerator.
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().float()
        self._count += 1

    @property
    def total_loss(self) -> Tensor:
        """The sum since the last reading."""
        return self._sums["loss"]

    def read(self, batch_size: int, ranks: int) -> dict[str, float]:
        """Return the means over all processes, images per second, and the share of time spent waiting."""
        sums = torch.stack(list(self._sums.values()))
        if ranks > 1:
            dist.all_reduce(sums)
        means = dict(zip(self._sums, (sums / (self._count * ranks)).tolist(), strict=True))
        seconds = time.perf_counter() - self._since
        means["images_per_second"] = self._count * batch_size / seconds
        means["data_wait"] = (self._batches.waited - self._waited) / seconds
        self._start()
        return means
