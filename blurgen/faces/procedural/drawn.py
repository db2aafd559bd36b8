"""Faces drawn from a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import check_range, check_seed
from blurgen.faces.procedural.person import draw_person
from blurgen.faces.procedural.render import render

MIN_SIZE, MAX_SIZE = 64, 2048


def draw_face(number: int, seed: int = 0, size: int = 256) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw face ``number`` of ``seed``.

    Returns ``(pixels, labels)``: uint8 ``[size, size, 3]`` RGB and uint8 ``[size, size]`` with values of
    ``blurgen.labels.Label``, from the same geometry. The result depends on the three arguments alone;
    ``size`` changes the resolution, not the picture. Raises ArgumentError for a size outside 64 to 2048,
    and for a number or seed that is not an unsigned 64-bit integer.
    """
    check_range("size", size, MIN_SIZE, MAX_SIZE)
    check_range("number", number, 0, 2**64 - 1)
    check_seed(seed)
    pixels = np.empty((size, size, 3), np.uint8)
    labels = np.empty((size, size), np.uint8)
    scratch = np.empty((7, size, size))
    render(draw_person(number, seed), size, scratch, pixels, labels)
    return pixels, labels
