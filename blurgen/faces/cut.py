"""How a source brings a face out of a larger photograph: cut out as it is, or turned onto the template."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.align import align, align_face, warp_labels
from blurgen.faces.crop import TEMPLATE_HEIGHT, TEMPLATE_WIDTH, FacePoints, crop_face
from blurgen.faces.detect import detector
from blurgen.faces.source import SourceOptions


def cut_face(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    points: FacePoints,
    options: SourceOptions,
    name: str,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture and label map of the face at ``points``; InputError naming the picture if it fails."""
    if not options.align:
        return crop_face(pixels, labels, points, options.min_side)
    try:
        return align_face(pixels, labels, points, options.min_side)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def cut_largest_face(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8] | None, options: SourceOptions, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return picture and label map of a photograph's largest face on the template, however it is found.

    By its labels where they show eyes and mouth, else by the detector; a label map stays None. Raises
    InputError naming the picture when there is no face, or no detector.
    """
    points = None if labels is None else FacePoints.from_labels(labels)
    if labels is not None and points is not None:
        return cut_face(pixels, labels, points, options, name)
    found = detector()(pixels)
    if not found:
        raise InputError(f"{name}: no face was found to align.")
    height, width = max(TEMPLATE_HEIGHT, options.min_side), max(TEMPLATE_WIDTH, options.min_side)
    try:
        face = align(pixels, found[0].points, height, width)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if labels is None:
        return face.pixels, None
    return face.pixels, warp_labels(labels, face.to_template, height, width)
