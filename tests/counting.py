"""A reporter that remembers how far a piece of work said it was."""

from __future__ import annotations

from blurgen.jobs.progress import Bar, Silent


class Counting(Silent):
    def __init__(self) -> None:
        self.total = 0
        self.counts: list[int] = []

    def bar(self, what: str, total: int, unit: str) -> Bar:
        self.total = total
        return self

    def advance(self, count: int = 1, size: int = 0) -> None:
        self.counts.append(count)
