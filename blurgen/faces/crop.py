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

from blurgen.labels import Label

TEMPLATE_WIDTH = 178
TEMPLATE_HEIGHT = 218
EYE_DISTANCE = 38.1
"""Between the centres of the eyes in the template, pixels."""
EYES_TO_MOUTH = 40.9
"""From the middle between the eyes to the middle of the mouth in the template, pixels."""
CENTRE_ABOVE_FACE = 22.6
"""The centre of the template lies this far above the middle between eyes and mouth, pixels."""


@dataclass(frozen=True)
class FacePoints:
    """Where a face is in a photograph; points are (x, y) in pixels, float64 ``[2]``."""

    right_eye: NDArray[np.float64]
    left_eye: NDArray[np.float64]
    mouth: NDArray[np.float64]
    """Middle between the corners of the mouth."""
    middle_x: float
    """Middle between the left and right edge of the face."""

    @classmethod
    def from_labels(cls, labels: NDArray[np.uint8]) -> FacePoints | None:
        """Return the points as a label map shows them, None without an eye or without a mouth."""
        right = _middle(labels, Label.RIGHT_EYE)
        left = _middle(labels, Label.LEFT_EYE)
        mouth = _middle(labels, Label.UPPER_LIP, Label.INNER_MOUTH, Label.LOWER_LIP)
        eye = right if left is None else left
        if eye is None or mouth is None:
            return None
        columns = np.nonzero(((labels >= Label.SKIN) & (labels <= Label.LOWER_LIP)).any(axis=0))[0]
        middle_x = float(columns[0] + columns[-1] + 1) / 2
        return cls(eye if right is None else right, eye if left is None else left, mouth, middle_x)


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


def crop_pixels(pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Return the window of a picture, uint8 ``[height, width, 3]``, scaled with a Lanczos filter."""
    part = Image.fromarray(pixels[window.top : window.bottom, window.left : window.right])
    return np.asarray(part.resize((window.width, window.height), Image.Resampling.LANCZOS)).copy()


def crop_labels(labels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Return the window of a label map, uint8 ``[height, width]``, scaled by majority.

    Each pixel takes the label that covers most of it, the smaller label if two cover as much, so no
    label appears that was not there.
    """
    part = labels[window.top : window.bottom, window.left : window.right]
    present = np.unique(part)
    cover = np.stack(
        [
            np.asarray(
                Image.fromarray(np.where(part == label, np.float32(1), np.float32(0))).resize(
                    (window.width, window.height), Image.Resampling.BOX
                )
            )
            for label in present
        ]
    )
    return present[cover.argmax(axis=0)]


def _middle(labels: NDArray[np.uint8], *wanted: Label) -> NDArray[np.float64] | None:
    rows, columns = np.nonzero(np.isin(labels, wanted))
    return np.array([columns.mean(), rows.mean()]) + 0.5 if rows.size else None


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
