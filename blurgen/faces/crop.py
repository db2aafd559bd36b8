"""Cut a face out of a larger photograph at the scale and place of the paper's aligned faces.

The template is CelebA's `img_align_celeba` (Liu et al., ICCV 2015), on which the paper trains: pictures
178 wide and 218 high, eye centres at (69.5, 111.2) and (107.6, 111.1), mouth at height 152. The face is
moved and scaled onto it, but neither turned nor mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.faces.sides import middle
from blurgen.labels import Label

TEMPLATE_WIDTH = 178
TEMPLATE_HEIGHT = 218
EYE_DISTANCE = 38.0
"""Between the centres of the eyes in the template, pixels."""
EYES_TO_MOUTH = 41.0
"""From the middle between the eyes to the middle of the mouth in the template, pixels."""
CENTRE_ABOVE_FACE = 22.6
"""The centre of the template lies this far above the middle between eyes and mouth, pixels."""


EYE_BELOW_EYEBROW = 0.27
"""Of the way from the eyebrows to the mouth."""


@dataclass(frozen=True)
class FacePoints:
    """Where a face is in a photograph; points are (x, y) in pixels, float64 ``[2]``."""

    right_eye: NDArray[np.float64]
    left_eye: NDArray[np.float64]
    mouth: NDArray[np.float64]
    """Middle between the corners of the mouth."""
    middle_x: float
    """Middle between the left and right edge of the face."""
    five: NDArray[np.float64] | None = None
    """``[5, 2]``: eyes, tip of the nose and corners of the mouth, left before right as the viewer sees them,
    where the dataset tells them."""

    @classmethod
    def from_labels(cls, labels: NDArray[np.uint8]) -> FacePoints | None:
        """Return the points as a label map shows them; None without a mouth, or without eye and eyebrow.

        An eye that does not show (closed, behind dark glasses) is put below its eyebrow, and if that does
        not show either where the other eye is: then the distance to the mouth sets the scale.
        """
        mouth = middle(labels, Label.UPPER_LIP, Label.INNER_MOUTH, Label.LOWER_LIP)
        if mouth is None:
            return None
        brows = middle(labels, Label.LEFT_EYEBROW, Label.RIGHT_EYEBROW)
        below = np.zeros(2) if brows is None else EYE_BELOW_EYEBROW * (mouth - brows)
        right = _eye(labels, Label.RIGHT_EYE, Label.RIGHT_EYEBROW, below)
        left = _eye(labels, Label.LEFT_EYE, Label.LEFT_EYEBROW, below)
        right = left if right is None else right
        left = right if left is None else left
        if right is None or left is None:
            return None
        columns = np.nonzero(((labels >= Label.SKIN) & (labels <= Label.LOWER_LIP)).any(axis=0))[0]
        return cls(right, left, mouth, float(columns[0] + columns[-1] + 1) / 2)


@dataclass(frozen=True)
class Window:
    """A part of a photograph, in whole pixels, and the size it is scaled to."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int


def face_window(points: FacePoints, height: int, width: int, min_side: int) -> Window:
    """Return the window of a ``height`` x ``width`` photograph that shows the face as the template does.

    The window ends where the photograph ends. Both sides of the result have at least ``min_side``
    pixels: the window grows as far as the photograph goes, and if that is not enough it is enlarged.
    """
    eyes = (points.right_eye + points.left_eye) / 2
    down = points.mouth - eyes
    # In profile the eyes come together, seen from above or below the mouth nears them; never both.
    eye_scale = np.linalg.norm(points.left_eye - points.right_eye) / EYE_DISTANCE
    scale = max(float(eye_scale), float(np.linalg.norm(down)) / EYES_TO_MOUTH, 1e-3)
    length = max(float(np.linalg.norm(down)), 1e-6)
    centre = (eyes + points.mouth) / 2 - down / length * CENTRE_ABOVE_FACE * scale
    # A head in profile reaches far behind its eyes and mouth: half way to the middle of the face.
    centre_x = (centre[0] + points.middle_x) / 2
    left, right = _span(centre_x, TEMPLATE_WIDTH * scale, min_side * scale, width)
    top, bottom = _span(float(centre[1]), TEMPLATE_HEIGHT * scale, min_side * scale, height)
    factor = max(1 / scale, min_side / (right - left), min_side / (bottom - top))
    return Window(
        left,
        top,
        right,
        bottom,
        max(min_side, round((right - left) * factor)),
        max(min_side, round((bottom - top) * factor)),
    )


def crop_face(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], points: FacePoints, min_side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture and label map of the face at ``points``, cut out and scaled as the template."""
    height, width = labels.shape
    window = face_window(points, height, width, min_side)
    return crop_pixels(pixels, window), crop_labels(labels, window)


def crop_pixels(pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Return the window of a picture, uint8 ``[height, width, 3]``, scaled with a Lanczos filter."""
    part = Image.fromarray(pixels[window.top : window.bottom, window.left : window.right])
    return np.asarray(part.resize((window.width, window.height), Image.Resampling.LANCZOS)).copy()


def crop_labels(labels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Return the window of a label map, uint8 ``[height, width]``, scaled by majority.

    A pixel takes the label of most of the pixels whose centres lie in it, the smaller of equals, so no
    label appears that was not there. Where the map is enlarged it takes the nearest pixel's.
    """
    part = labels[window.top : window.bottom, window.left : window.right]
    part = part[_nearest(part.shape[0], window.height)][:, _nearest(part.shape[1], window.width)]
    rows, columns = _cells(part.shape[0], window.height), _cells(part.shape[1], window.width)
    present = np.unique(part)
    number = np.searchsorted(present, part)
    ballots = (rows[:, None] * window.width + columns) * present.size + number
    votes = np.bincount(ballots.ravel(), minlength=window.height * window.width * present.size)
    return present[votes.reshape(window.height, window.width, present.size).argmax(axis=2)]


def _nearest(available: int, wanted: int) -> NDArray[np.int64]:
    """Return the pixel nearest to each of ``wanted`` cells if there are fewer pixels, else all pixels."""
    if wanted <= available:
        return np.arange(available, dtype=np.int64)
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * available // (2 * wanted)


def _cells(available: int, wanted: int) -> NDArray[np.int64]:
    """Return in which of ``wanted`` equal cells of a line each pixel's centre lies, int64 ``[available]``."""
    return (2 * np.arange(available, dtype=np.int64) + 1) * wanted // (2 * available)


def _eye(
    labels: NDArray[np.uint8], eye: Label, eyebrow: Label, below: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    found, brow = middle(labels, eye), middle(labels, eyebrow)
    return found if found is not None or brow is None else brow + below


def _span(centre: float, wanted: float, least: float, available: int) -> tuple[int, int]:
    """Return first and past-the-end pixel of ``wanted`` pixels around ``centre`` inside ``available``.

    What is cut off at one end is given back at the other only as far as ``least`` asks for.
    """
    size = max(wanted, least)
    centre = min(max(centre, 0.0), float(available))
    first, end = max(0.0, centre - size / 2), min(float(available), centre + size / 2)
    if first == 0.0:
        end = min(float(available), max(end, least))
    elif end == available:
        first = max(0.0, min(first, available - least))
    return math.floor(first), math.ceil(end)
