"""The same faces blurred by a small and by a large kernel, and what a method makes of both (Fig. 16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from umsn.evaluation.strips import Tile, sheet
from umsn.scoring.confidence import Confidence, confidence_line
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.metrics import psnr
from umsn.scoring.pairs import Pair

SIZES: Final = (17, 27)
"""Of the paper's two kernels; where a test set has no such, the nearest it has."""

FACES: Final = 4
"""How many faces are watched for, the first of the test set; the paper shows two."""


class TwoKernels:
    """Keeps, of the first few faces, one picture of each kernel size, and makes a figure of two of them.

    Only of one and the same clean picture: a dataset cuts another patch for every kernel.
    """

    def __init__(self, method: str, confidence: Confidence | None) -> None:
        self._method, self._confidence = method, confidence
        self._kept: dict[str, dict[int, tuple[Pair, Picture]]] = {}

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Keep a picture that is the first of its face and kernel size, cut like the others of the face."""
        if pair.kernel_size is None or (pair.face not in self._kept and len(self._kept) == FACES):
            return
        of_face = self._kept.setdefault(pair.face, {})
        if any(not np.array_equal(kept.clean, pair.clean) for kept, _ in of_face.values()):
            return
        of_face.setdefault(pair.kernel_size, (pair, restored[self._method]))

    def findings(self) -> Findings:
        """Return the figure; nothing where no clean picture was seen under kernels of two sizes."""
        rows = [self._row(of_size) for of_size in self._kept.values() if len(of_size) > 1]
        if not rows:
            return Findings()
        headings = ["blurry, small kernel", self._method, "blurry, large kernel", self._method]
        return Findings(figures={"kernels": sheet(rows, headings)})

    def _row(self, of_size: Mapping[int, tuple[Pair, Picture]]) -> list[Tile | None]:
        small = min(sorted(of_size), key=lambda size: abs(size - SIZES[0]))
        large = min(sorted(of_size.keys() - {small}), key=lambda size: abs(size - SIZES[1]))
        row: list[Tile | None] = []
        for size in sorted((small, large)):
            pair, restored = of_size[size]
            values = None if self._confidence is None else self._confidence(pair, restored)
            caption = f"{psnr(restored, pair.clean):.2f} dB"
            row += [
                Tile(pair.blurry, f"{size} x {size}, {psnr(pair.blurry, pair.clean):.2f} dB"),
                Tile(restored, caption if values is None else f"{caption}\n{confidence_line(values)}"),
            ]
        return row
