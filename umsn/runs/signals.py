"""Leaving in order when the system asks for it."""

from __future__ import annotations

import signal
import threading
from typing import Any, Final

import torch

from umsn.runs.processes import any_process


class Signals:
    """SIGINT and SIGTERM ask the loop to save and leave; the second time they act at once."""

    _HEARD: Final = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> Signals:
        self._asked = False
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in self._HEARD}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        self._asked = True
        signal.signal(number, self._before[number])

    def arrived(self, device: torch.device) -> bool:
        """Tell whether any process of the training was asked to leave."""
        return any_process(self._asked, device)
