"""Means of what a training logs, and its speed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor

from umsn.patches.batches import Batches

_COUNT: Final = "count"


class Meter:
    """Means of the terms of the loss since the last reading, and the speed.

    ``window`` is what a training that stopped had counted since its last reading (``Meter.window``).
    """

    def __init__(self, batches: Batches, window: Mapping[str, Tensor] | None = None) -> None:
        self._batches = batches
        self._start()
        for name, value in (window or {}).items():
            if name == _COUNT:
                self._count = int(value)
            else:
                self._sums[name] = value

    def _start(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = self._timed = 0
        self._since, self._waited = time.perf_counter(), self._batches.waited

    def window(self) -> dict[str, Tensor]:
        """Return what was counted since the last reading, in this process; empty where that is nothing."""
        return {**self._sums, _COUNT: torch.tensor(self._count)} if self._count else {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count one iteration; values are of one number each."""
        # Sums stay on the device: reading a number would make the processor wait for the accelerator.
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().float()
        self._count += 1
        self._timed += 1

    @property
    def total_loss(self) -> Tensor:
        """The sum since the last reading."""
        return self._sums["loss"]

    def read(self, batch_size: int, ranks: int) -> dict[str, float]:
        """Return the means over all processes, images per second, and the share of time spent waiting.

        The last two are of the iterations since the training was started or resumed.
        """
        sums = torch.stack(list(self._sums.values()))
        if ranks > 1:
            dist.all_reduce(sums)
        means = dict(zip(self._sums, (sums / (self._count * ranks)).tolist(), strict=True))
        seconds = time.perf_counter() - self._since
        means["images_per_second"] = self._timed * batch_size / seconds
        means["data_wait"] = (self._batches.waited - self._waited) / seconds
        self._start()
        return means
