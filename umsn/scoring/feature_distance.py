"""VGG-Face distance of restored pictures to the truth (Table IV)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from blurgen.errors import InputError
from umsn.patches.batches import to_image
from umsn.scoring.measures import Findings, Picture
from umsn.scoring.pairs import Pair
from umsn.scoring.scores import mean
from umsn.scoring.tables import Table, csv_text, row
from umsn.vggface import load_vgg_face

SMALLEST: Final = 32
"""Smaller pictures have no pool5 features: there is one for every 32 x 32 pixels."""

DEFINITIONS: Final = (
    "VGG-Face distance: L2 norm of the difference of all pool5 features of the restored and the clean "
    "picture, at the size the pictures have (RGB, 0 to 255, mean colour subtracted), then the mean over "
    "pictures; lower is better. It grows with the size of the pictures, and the paper does not say how it "
    "scales its features: compare values of one test set only.",
)


class FeatureDistance:
    """Measures ``|| pool5(restored) - pool5(clean) ||``; InputError when the weights cannot be used."""

    def __init__(self, weights: Path, device: torch.device) -> None:
        self._features = load_vgg_face(weights, "pool5").eval().to(device)
        self._device = device
        self._found: list[tuple[str, Pair, float]] = []
        # Test sets have many blurry pictures of one clean picture, one after another.
        self._last: tuple[bytes, Tensor] | None = None

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Measure one pair; InputError when it is too small."""
        if min(pair.clean.shape[:2]) < SMALLEST:
            raise InputError(f"{pair.name}: VGG-Face needs pictures of at least {SMALLEST} x {SMALLEST}.")
        key = pair.clean.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self._pool5(pair.clean)
        truth = self._last[1]
        for method, picture in restored.items():
            distance = float(torch.linalg.vector_norm(self._pool5(picture) - truth))
            self._found.append((method, pair, distance))

    @torch.no_grad()
    def _pool5(self, picture: Picture) -> Tensor:
        return self._features(to_image(picture, self._device)).cpu().double()

    def findings(self) -> Findings:
        """Return Table IV."""
        rows = []
        for method in dict.fromkeys(m for m, *_ in self._found):
            mine = [(pair.face, distance) for m, pair, distance in self._found if m == method]
            value = mean([distance for _, distance in mine], [face for face, _ in mine])
            rows.append(row((method,), [value], 2))
        title = "VGG-Face distance (Table IV)"
        table = Table("vgg-face", title, ("method",), ("d_VGG",), rows, intervals=True)
        lines = [(method, pair.name, pair.face, distance) for method, pair, distance in self._found]
        records = csv_text(("method", "name", "face", "distance"), lines)
        return Findings([table], DEFINITIONS, {"vgg-face.csv": records})
