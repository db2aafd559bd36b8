"""Where the numbers of a training go: the terminal, ``metrics.jsonl``, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from blurgen.hdf5 import write_aside


class Log:
    """The log of one stage, from iteration ``done`` to ``total``.

    One JSON object a line in ``RUN/metrics.jsonl``, with ``stage`` and ``iteration``. Lines of this stage
    beyond ``done``, left by a training that was killed after its last save, are dropped: the resumed
    training writes them again.
    """

    def __init__(self, run: Path, stage: str, done: int, total: int, *, quiet: bool = False) -> None:
        self._stage, self._total, self._quiet = stage, total, quiet
        self._path = run / "metrics.jsonl"
        _forget(self._path, stage, done)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = _board(run / "tensorboard" / stage, done)
        # disable=None: a bar on a terminal, plain lines elsewhere.
        self._bar = tqdm(total=total, initial=done, desc=stage, unit="it", disable=True if quiet else None)

    def say(self, line: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._bar.write(line)

    def event(self, **values: Any) -> None:
        """Record what is no measurement: how the stage started, what it was made from."""
        self._line({"stage": self._stage, **values})

    def scalars(self, iteration: int, values: Mapping[str, float], *, prefix: str = "") -> None:
        """Record measurements of one iteration."""
        named = {f"{prefix}{name}": float(value) for name, value in values.items()}
        self._line({"stage": self._stage, "iteration": iteration, **named})
        if self._board is not None:
            for name, value in named.items():
                self._board.add_scalar(name, value, iteration)
        self._bar.update(iteration - self._bar.n)
        text = "  ".join(f"{name} {value:.4g}" for name, value in named.items())
        if self._bar.disable:
            self.say(f"{self._stage} {iteration}/{self._total}  {text}")
        elif not prefix:
            self._bar.set_postfix_str(text, refresh=False)
        else:
            self.say(f"{self._stage} {iteration}/{self._total}  {text}")

    def pictures(self, iteration: int, name: str, rows: NDArray[np.uint8]) -> None:
        """Show uint8 pictures ``[N, H, W, 3]`` in TensorBoard."""
        if self._board is not None:
            self._board.add_images(name, rows, iteration, dataformats="NHWC")

    def close(self) -> None:
        """Write out what is pending."""
        self._bar.close()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _line(self, values: dict[str, Any]) -> None:
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
        self._file.write(json.dumps(finite) + "\n")
        self._file.flush()


def _forget(path: Path, stage: str, done: int) -> None:
    """Drop the lines of ``stage`` later than iteration ``done``, and what is no whole line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text("utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if values.get("stage") != stage or values.get("iteration", 0) <= done:
            kept.append(line + "\n")
    with write_aside(path) as aside:
        aside.write_text("".join(kept), "utf-8")


def _board(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=done + 1)
