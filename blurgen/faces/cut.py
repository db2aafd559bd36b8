"""How a source brings a face out of a larger photograph: cut out as it is, or turned onto the template."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.align import align_face
from blurgen.faces.crop import FacePoints, crop_face
from blurgen.faces.source import SourceOptions


def cut_face(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    points: FacePoints,
    options: SourceOptions,
    name: str,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture and label map of the face at ``points``; InputError with ``name`` if they are no face's."""
    if not options.align:
        return crop_face(pixels, labels, points, options.min_side)
    try:
        return align_face(pixels, labels, points, options.min_side)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
