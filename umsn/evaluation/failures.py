"""Where a method fails: the least gain, the largest kernels, and the darkest pictures (Fig. 18).

The paper picks occluded faces (Fig. 17) by eye; here the numbers pick, and whoever looks sees why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from umsn.evaluation.strips import Tile, sheet
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.metrics import psnr
from umsn.scoring.pairs import Pair

SHOWN: Final = 8
"""Faces on a sheet."""


@dataclass(frozen=True)
class _Case:
    pair: Pair
    restored: Picture
    before: float
    """PSNR of the blurry picture, dB."""
    gain: float
    """By how much the restored one has more."""

    @property
    def light(self) -> float:
        """Mean of the clean picture, 0 to 255."""
        return float(self.pair.clean.mean())


class Failures:
    """Keeps the pictures with the least gain of PSNR, of all and by kernel size, and the darkest."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._gained, self._dark = _Least("gain"), _Least("light")
        self._of_size: dict[int, _Least] = {}

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Take one pair, if it is among those to show so far."""
        before, after = psnr(pair.blurry, pair.clean), psnr(restored[self._method], pair.clean)
        gain = 0.0 if before == after else after - before  # both may be infinite
        case = _Case(pair, restored[self._method], before, gain)
        self._gained.add(case)
        self._dark.add(case)
        if pair.kernel_size is not None:
            self._of_size.setdefault(pair.kernel_size, _Least("gain")).add(case)

    def findings(self) -> Findings:
        """Return the sheets; that of the largest kernels only where there were kernels of two sizes."""
        shown = {"failures": self._gained, "failures-dark": self._dark}
        if len(self._of_size) > 1:
            shown["failures-large-kernels"] = self._of_size[max(self._of_size)]
        headings = ["blurry", self._method, "clean"]
        return Findings(
            figures={name: sheet([_row(c) for c in kept.cases()], headings) for name, kept in shown.items()}
        )


class _Least:
    """The cases with the least of a number, at most one of each face: test sets show a face many times."""

    def __init__(self, field: str) -> None:
        self._number = attrgetter(field)
        self._of_face: dict[str, _Case] = {}

    def add(self, case: _Case) -> None:
        known = self._of_face.get(case.pair.face)
        if known is None or self._number(case) < self._number(known):
            self._of_face[case.pair.face] = case
        if len(self._of_face) > SHOWN:
            del self._of_face[self.cases()[-1].pair.face]

    def cases(self) -> list[_Case]:
        """Return them, the least first."""
        return sorted(self._of_face.values(), key=self._number)


def _row(case: _Case) -> list[Tile | None]:
    size = case.pair.kernel_size
    kernel = "" if size is None else f"{size} x {size}, "
    return [
        Tile(case.pair.blurry, f"{kernel}{case.before:.2f} dB"),
        Tile(case.restored, f"gain {case.gain:+.2f} dB"),
        Tile(case.pair.clean, case.pair.face[:20]),
    ]
