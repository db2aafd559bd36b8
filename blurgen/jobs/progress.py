"""Telling the user how long work goes on: a bar on a terminal, plain lines otherwise, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class Bar(Protocol):
    """Progress of one piece of work; a context manager."""

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Add ``count`` units, for which ``size`` bytes were written."""

    def __enter__(self) -> Bar: ...

    def __exit__(self, *error: object) -> None: ...


class Reporter(Protocol):
    """Where a long command says what it is doing."""

    def say(self, line: str) -> None:
        """Tell the user one thing."""

    def bar(self, what: str, total: int, unit: str) -> Bar:
        """Start a piece of work of ``total`` units."""


class Silent:
    """A reporter and a bar that say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""

    def bar(self, what: str, total: int, unit: str) -> Bar:
        """Return a bar that shows nothing."""
        return self

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Show nothing."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Console:
    """Reports to a stream: a tqdm bar where it is a terminal, a line every ten seconds where it is not."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def say(self, line: str) -> None:
        """Print one line."""
        print(line, file=self._stream, flush=True)

    def bar(self, what: str, total: int, unit: str) -> Bar:
        """Start a bar with rate, bytes and time left."""
        if self._stream.isatty():
            return _TerminalBar(what, total, unit, self._stream)
        return _LineBar(what, total, unit, self)


class _TerminalBar:
    def __init__(self, what: str, total: int, unit: str, stream: TextIO) -> None:
        self._bytes = 0
        self._tqdm = tqdm(
            total=total, desc=what, unit=f" {unit}", file=stream, smoothing=0.05, dynamic_ncols=True
        )

    def advance(self, count: int = 1, size: int = 0) -> None:
        if size:
            self._bytes += size
            self._tqdm.set_postfix_str(size_text(self._bytes), refresh=False)
        self._tqdm.update(count)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._tqdm.close()


class _LineBar:
    def __init__(self, what: str, total: int, unit: str, console: Console) -> None:
        self._what, self._total, self._unit, self._console = what, total, unit, console
        self._done = self._bytes = 0
        self._started = self._last_line = time.monotonic()

    def advance(self, count: int = 1, size: int = 0) -> None:
        self._done += count
        self._bytes += size
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._last_line = now
            left = (now - self._started) * (self._total - self._done) / self._done
            self._line(f", {time_text(left)} left")

    def _line(self, ending: str) -> None:
        seconds = max(time.monotonic() - self._started, 1e-9)
        size = f", {size_text(self._bytes)}" if self._bytes else ""
        rate = self._done / seconds
        speed = f", {rate:,.0f} {self._unit}/s" if rate >= 10 else f", {rate:.2g} {self._unit}/s"
        self._console.say(
            f"{self._what}: {self._done:,} of {self._total:,} {self._unit}{size}{speed}{ending}"
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._line("")
        elif self._done:  # else the error says it all
            self._line(", stopped")


def counted(number: int, noun: str) -> str:
    """Return a number of things for people: 1 shard, 1,200 shards; ``noun`` is of one.

    >>> counted(1, "kernel"), counted(0, "kernel"), counted(1200, "kernel")
    ('1 kernel', '0 kernels', '1,200 kernels')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: float) -> str:
    """Return a number of bytes for people, in decimal units: 195.1 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    """Return a duration for people: 42 s, 3 min 20 s, 5 h 07 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
