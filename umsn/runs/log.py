"""Where the numbers of a training go: the terminal, ``metrics.jsonl``, and TensorBoard where there is one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from blurgen.files.atomic import write_file
from umsn.runs.metrics_log import LOG, read_lines


class Log:
    """The log of one stage, from iteration ``done`` to ``total``; a context manager.

    One JSON object a line in ``RUN/metrics.jsonl``, with ``stage`` and ``iteration``. Lines of this stage
    beyond ``done``, left by a training that was killed after its last save, are dropped: the resumed
    training writes them again. A training from iteration 0 on keeps no line of this stage. ``leader`` is
    False in all but one of the processes of a training: they log nothing. ``quiet`` leaves out what is for
    the eye.
    """

    def __init__(
        self, run: Path, stage: str, done: int, total: int, *, leader: bool = True, quiet: bool = False
    ) -> None:
        self.stage, self._total, self._done = stage, total, done
        self._file: TextIO | None = None
        self._board: Any = None
        if leader:
            _forget(run / LOG, stage, done)
            self._file = (run / LOG).open("a", encoding="utf-8")
            self._board = _board(run / "tensorboard" / stage, done)
        self._quiet = quiet or not leader
        # disable=None: a bar on a terminal, plain lines elsewhere.
        self._bar = tqdm(
            total=total, initial=done, desc=stage, unit="it", disable=True if self._quiet else None
        )

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def event(self, **values: Any) -> None:
        """Record what is no measurement: how the stage started, what it was made from."""
        self._write({"stage": self.stage, **values})

    def say(self, text: str) -> None:
        """Show a line."""
        if not self._quiet:
            self._bar.write(text, file=sys.stderr)

    def advance(self, done: int) -> None:
        """Move the bar."""
        self._bar.update(done - self._done)
        self._done = done

    def scalars(self, iteration: int, values: Mapping[str, float], *, prefix: str = "") -> None:
        """Record and show measurements of one iteration."""
        named = {f"{prefix}{name}": float(value) for name, value in values.items()}
        self._write({"stage": self.stage, "iteration": iteration, **named})
        if self._board is not None:
            for name, value in named.items():
                self._board.add_scalar(name, value, iteration)
        text = "  ".join(f"{name} {value:.4g}" for name, value in named.items())
        if not prefix and not self._bar.disable:
            self._bar.set_postfix_str(text, refresh=False)
        else:
            self.say(f"{self.stage} {iteration}/{self._total}  {text}")

    def pictures(self, iteration: int, name: str, rows: NDArray[np.uint8]) -> None:
        """Show uint8 pictures ``[N, H, W, 3]`` in TensorBoard."""
        if self._board is not None:
            self._board.add_images(name, rows, iteration, dataformats="NHWC")

    def _write(self, values: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(_line(values))  # what is not finite as null
            self._file.flush()


def _forget(path: Path, stage: str, done: int) -> None:
    """Drop lines of ``stage`` later than iteration ``done``, all of them when that is 0; and broken lines."""
    if not path.exists():
        return
    kept = [
        _line(values)
        for values in read_lines(path)
        if values.get("stage") != stage or (done > 0 and _reached(values) <= done)
    ]
    write_file(path, "".join(kept))


def _line(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(values).decode() + "\n"


def _reached(values: Mapping[str, Any]) -> float:
    """Return the iteration a line is of; an event is of the one the stage stood at, 0 if it does not say."""
    iteration = values.get("iteration", values.get("at", 0))
    return iteration if isinstance(iteration, int | float) else math.inf


def _board(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (takes a second to import)
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=done + 1)
