"""Turn, scale and move a face onto the template of the training set, and bring the result back.

The template is CelebA's ``img_align_celeba`` (see blurgen.faces.crop): five points of a face in a picture
178 wide and 218 high. A face is brought there by the similarity that fits its points best in the
least-squares sense (Umeyama, "Least-squares estimation of transformation parameters between two point
patterns", PAMI 1991), never mirrored. Faces read with ``align`` and photographs to be deblurred go
through the same function.

Points are (x, y) in pixels from the corner of a picture: the middle of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from blurgen.errors import InputError
from blurgen.faces.crop import TEMPLATE_HEIGHT, TEMPLATE_WIDTH, FacePoints, Window, crop_labels
from blurgen.labels import Label

TEMPLATE_POINTS: Final[NDArray[np.float64]] = np.array(
    [[69.5, 111.2], [107.6, 111.1], [88.0, 136.0], [72.0, 152.0], [105.0, 152.0]]
)
"""Means over ``list_landmarks_align_celeba.txt``; left and right are the viewer's: left eye, right eye, tip
of the nose, left and right corner of the mouth. Nose and mouth are known to whole pixels only."""

FEATHER: Final = 16.0
"""Over this many pixels of the template a result fades into the photograph."""

WORST_FIT: Final = 0.5
"""Points which share less than this with the template's shape are not a face's; of 60 FaceSynthetics faces,
many of them turned away or tilted, the worst shares 0.66."""

_MARGIN = 12  # pixels around what is needed: what lies farther changes a cubic spline by less than 1e-6
_BAND = 256  # rows of a photograph that are worked on at a time


@dataclass(frozen=True)
class Similarity:
    """Turns, scales and moves: ``(x, y) -> (a x - b y + across, b x + a y + down)``."""

    a: float
    b: float
    across: float
    down: float

    @property
    def scale(self) -> float:
        """How many pixels one pixel becomes; above 0."""
        return math.hypot(self.a, self.b)

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points ``[..., 2]`` where this takes them, float64."""
        x, y = points[..., 0], points[..., 1]
        return np.stack([self.a * x - self.b * y + self.across, self.b * x + self.a * y + self.down], axis=-1)

    def inverse(self) -> Similarity:
        """Return the similarity that takes everything back."""
        size = self.a * self.a + self.b * self.b
        a, b = self.a / size, -self.b / size
        return Similarity(a, b, -(a * self.across - b * self.down), -(b * self.across + a * self.down))


@dataclass(frozen=True)
class AlignedFace:
    """A face on the template, and where it came from."""

    pixels: NDArray[np.uint8]
    """uint8 ``[H, W, 3]`` RGB; 218 high and 178 wide unless more was asked for."""
    to_template: Similarity
    """From the photograph to ``pixels``."""

    @property
    def enlarged(self) -> float:
        """How many times larger the face is on the template than in the photograph."""
        return self.to_template.scale


def fit(source: NDArray[np.float64], target: NDArray[np.float64]) -> Similarity:
    """Return the similarity that takes ``source`` closest to ``target``, both ``[N, 2]``, N at least 2.

    Closest: with the least sum of squared distances (Umeyama 1991, in two dimensions, without mirroring).
    Raises InputError when the points lie all in one place, or no turn brings them nearer to the target.
    """
    middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    (x, y), (u, v) = (source - middle).T, (target - target_middle).T
    size = float((x * x + y * y).sum())
    a, b = float((x * u + y * v).sum()), float((x * v - y * u).sum())
    if not size > 1e-9 or not a * a + b * b > 1e-12 * size * float((u * u + v * v).sum()):
        raise InputError("the points of a face lie all in one place, or in the wrong order.")
    turn = Similarity(a / size, b / size, 0.0, 0.0)
    shift = target_middle - turn(middle)
    return Similarity(turn.a, turn.b, float(shift[0]), float(shift[1]))


def fit_quality(source: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Return the share of the target's spread that the best fit explains: 1 equal shapes, 0 none of it."""
    left = target - fit(source, target)(source)
    spread = target - target.mean(axis=0)
    return 1.0 - float((left * left).sum()) / float((spread * spread).sum())


def align(
    photograph: NDArray[np.uint8],
    points: NDArray[np.float64],
    height: int = TEMPLATE_HEIGHT,
    width: int = TEMPLATE_WIDTH,
) -> AlignedFace:
    """Bring the face with five ``points`` ``[5, 2]`` (in the order of TEMPLATE_POINTS) onto the template.

    The template lies in the middle of the ``height`` x ``width`` result. What lies outside the photograph,
    uint8 ``[H, W, 3]``, is mirrored at its edge. Raises InputError for points that are no face's.
    """
    middle = points.mean(axis=0)
    if not (0 <= middle[0] < photograph.shape[1] and 0 <= middle[1] < photograph.shape[0]):
        raise InputError(f"five points lie around ({middle[0]:.0f}, {middle[1]:.0f}), outside the picture.")
    target = _on_canvas(TEMPLATE_POINTS, height, width)
    if fit_quality(points, target) < WORST_FIT:
        raise InputError(
            "five points do not look like a face; their order is left eye, right eye, nose, "
            "left and right corner of the mouth, as the viewer sees them."
        )
    to_template = fit(points, target)
    return AlignedFace(warp(photograph, to_template, height, width), to_template)


def align_face(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], points: FacePoints, min_side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return picture and label map of the face at ``points`` on the template.

    Like ``blurgen.faces.crop.crop_face``, but turned upright. Five points are used where the dataset has
    them, else eyes and mouth. Where ``min_side`` is more than the template has, more of the surroundings
    is shown. Outside the photograph the picture is mirrored and the labels are unknown (255).
    """
    height, width = max(TEMPLATE_HEIGHT, min_side), max(TEMPLATE_WIDTH, min_side)
    target = _on_canvas(TEMPLATE_POINTS, height, width)
    source = points.five
    if source is None:
        source = np.stack([points.right_eye, points.left_eye, points.mouth])
        target = np.stack([target[0], target[1], target[3:].mean(axis=0)])
    to_template = fit(source, target)
    return warp(pixels, to_template, height, width), warp_labels(labels, to_template, height, width)


def warp(pixels: NDArray[np.uint8], transform: Similarity, height: int, width: int) -> NDArray[np.uint8]:
    """Return a picture, uint8 ``[H, W, 3]``, as ``transform`` puts it into ``height`` x ``width`` pixels.

    Shrunk with a Lanczos filter, turned and enlarged with a cubic spline; a shift by whole pixels changes
    no value. Outside the picture it is mirrored about its outermost pixels.
    """
    drawn = _resample(pixels, transform.inverse(), _grid(0, 0, height, width))
    return np.rint(np.clip(drawn, 0, 255)).astype(np.uint8)


def warp_labels(
    labels: NDArray[np.uint8], transform: Similarity, height: int, width: int
) -> NDArray[np.uint8]:
    """Return a label map, uint8 ``[H, W]``, as ``transform`` puts it into ``height`` x ``width`` pixels.

    Shrunk by majority, turned by the nearest label, so no label appears that was not there; outside the
    map the label is unknown (255).
    """
    places = transform.inverse()(_grid(0, 0, height, width))
    window = _window(places, transform.inverse().scale, *labels.shape)
    part = crop_labels(labels, window)
    u, v = np.moveaxis(_within(places, window), -1, 0)
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    known = (places >= 0).all(axis=-1) & (places < labels.shape[::-1]).all(axis=-1)
    found = part[row.clip(0, window.height - 1), column.clip(0, window.width - 1)]
    return np.where(known, found, np.uint8(Label.UNKNOWN))


def paste(
    photograph: NDArray[np.uint8], faces: Sequence[AlignedFace], results: Sequence[NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return the photograph, uint8 ``[H, W, 3]``, with what was changed in its faces changed in it.

    ``results`` are the pictures that ``faces`` have become, of their sizes. Brought back is not the result
    but its difference to the aligned face: a face larger than the template keeps its finer detail, and one
    that was not changed leaves the photograph as it is, to the bit. At the edge of the template the change
    fades out over FEATHER of its pixels; outside nothing is touched. Where faces overlap, their changes
    are averaged. Raises ValueError when a result has not the size of its face.
    """
    height, width = photograph.shape[:2]
    for face, result in zip(faces, results, strict=True):
        if result.shape != face.pixels.shape:
            raise ValueError(f"Argument 'results' must be of shape {face.pixels.shape}, not {result.shape}.")
    boxes = [_footprint(face, height, width) for face in faces]
    changes = [r.astype(np.float32) - f.pixels for f, r in zip(faces, results, strict=True)]
    pasted = photograph.copy()
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        change = _change(faces, changes, boxes, top, bottom, width)
        if change is not None:
            part = photograph[top:bottom] + change
            pasted[top:bottom] = np.rint(np.clip(part, 0, 255, out=part)).astype(np.uint8)
    return pasted


def _change(
    faces: Sequence[AlignedFace],
    changes: Sequence[NDArray[np.float32]],
    boxes: Sequence[tuple[int, int, int, int]],
    top: int,
    bottom: int,
    width: int,
) -> NDArray[np.float32] | None:
    """Return by how much rows ``top`` to ``bottom`` of the photograph change; None if no face lies there."""
    total: NDArray[np.float32] | None = None
    weights = np.zeros((bottom - top, width), np.float32)
    for face, change, box in zip(faces, changes, boxes, strict=True):
        first, end = max(top, box[0]), min(bottom, box[2])
        if first >= end:
            continue
        if total is None:
            total = np.zeros((bottom - top, width, 3), np.float32)
        grid = _grid(first, box[1], end, box[3])
        part = np.s_[first - top : end - top, box[1] : box[3]]
        weight = _feather(face.to_template(grid), *face.pixels.shape[:2])
        total[part] += weight[..., None] * _resample(change, face.to_template, grid)
        weights[part] += weight
    if total is not None:
        total /= np.maximum(weights, 1)[..., None]
    return total


def outline(face: AlignedFace) -> NDArray[np.float64]:
    """Return the corners of the template in the photograph, ``[4, 2]``, from the top left one clockwise."""
    height, width = face.pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    return face.to_template.inverse()(corners)


def _on_canvas(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return points of the template where they lie when it is in the middle of a larger picture."""
    return points + np.array([(width - TEMPLATE_WIDTH) // 2, (height - TEMPLATE_HEIGHT) // 2])


def _grid(top: int, left: int, bottom: int, right: int) -> NDArray[np.float64]:
    """Return the middles of the pixels of a box, ``[rows, columns, 2]``."""
    columns, rows = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    return np.stack([columns, rows], axis=-1)


def _resample(
    pixels: NDArray[np.generic], to_source: Similarity, grid: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the values of a picture ``[H, W, 3]`` where ``to_source`` takes the points of ``grid``."""
    places = to_source(grid)
    window = _window(places, to_source.scale, *pixels.shape[:2])
    u, v = np.moveaxis(_within(places, window), -1, 0) - 0.5
    drawn = np.empty((*grid.shape[:2], 3), np.float32)
    part = pixels[window.top : window.bottom, window.left : window.right]
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(part[..., channel], np.float32))
        if plane.size != (window.width, window.height):
            plane = plane.resize((window.width, window.height), Image.Resampling.LANCZOS)
        drawn[..., channel] = map_coordinates(np.asarray(plane), [v, u], order=3, mode="mirror")
    return drawn


def _window(places: NDArray[np.float64], scale: float, height: int, width: int) -> Window:
    """Return the part of a picture that is needed for the values at ``places``, shrunk by ``scale``.

    A picture that is to be enlarged keeps its size; so does one shrunk by less than a hundredth.
    """
    margin = _MARGIN * max(scale, 1.0)
    left, right = _covered(places[..., 0], margin, width)
    top, bottom = _covered(places[..., 1], margin, height)
    shrink = scale if scale > 1.01 else 1.0
    return Window(
        left,
        top,
        right,
        bottom,
        max(1, round((right - left) / shrink)),
        max(1, round((bottom - top) / shrink)),
    )


def _covered(places: NDArray[np.float64], margin: float, available: int) -> tuple[int, int]:
    """Return first and past-the-end pixel of a side that ``places`` and a margin around them take."""
    first = math.floor(min(max(float(places.min()) - margin, 0.0), available - 1.0))
    end = math.ceil(min(max(float(places.max()) + margin, first + 1.0), float(available)))
    return first, end


def _within(places: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Return where points of a picture lie in its shrunk window."""
    factors = [window.width / (window.right - window.left), window.height / (window.bottom - window.top)]
    return (places - [window.left, window.top]) * factors


def _footprint(face: AlignedFace, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the box (top, left, bottom, right) of the photograph that a template lies in."""
    corners = outline(face)
    left, right = _covered(corners[:, 0], 0.0, width)
    top, bottom = _covered(corners[:, 1], 0.0, height)
    return top, left, bottom, right


def _feather(places: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """Return the weight at places of the template: 1 inside, 0 from its edge on, a smooth step between."""
    x, y = places[..., 0], places[..., 1]
    inwards = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    step = np.clip(inwards / FEATHER, 0, 1)
    return (step * step * (3 - 2 * step)).astype(np.float32)
