"""The camera's path in six degrees of freedom, and what it does to a picture: a homography for each pose.

Three angles and three coordinates move as ``blurgen.kernels.paths.camera3d`` moves its particle: same law,
without its jerks, two independent particles. What is drawn per sample (stream SHAKE of the recipe's seed):

- block 0: focal length in millimetres of a 35 mm camera, uniform between two limits; left and top of the
  patch in a frame of FRAME pixels; how far a unit of translation moves the camera, against a unit of
  rotation: U(0.02, 0.5) of the scene's distance, as if the camera turned about a wrist 5 to 20 cm away,
  before a scene 0.4 to 2.5 m off;
- block 1: the directions both start in; block 2: ``unrest`` and ``pull`` of each, 0.5 + 7 U and 8 U;
- blocks from 16 on: the perturbations, a block a step, STEPS steps between two poses.

The path is scaled so that nothing in the patch and its rim moves farther than the radius of the kernel that
the sample has in the bank: blur by rotation is as long as blur by kernels. What is scaled is the motion to
first order; then each pose is an exact rotation (Cayley's formula), and the mean displacement of the patch's
centre is taken off, so that pictures keep their place.

Only +, -, x, / and the square root, in the order written here: the same bits on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.randomness.philox import Stream, below, block_words
from blurgen.synthesis.camera.settings import Camera
from blurgen.synthesis.camera.window import RIM

FRAME: Final = (1440, 1080)
"""Width and height of the camera's frame in pixels; its diagonal is 1800."""

STEPS: Final = 8
"""Steps of the path between two poses."""

_STREAM = np.uint32(Stream.SHAKE)
_WIDTH, _HEIGHT = FRAME
_PIXELS_PER_MM = 1800 / 43.27  # by the diagonals of the frame and of 36 x 24 mm
_LEVER = (0.02, 0.48)
_UNREST = (0.5, 7.0)
_PULL = 8.0
_MEMORY = 0.06
_FIRST_STEP = 16
_Q15 = 1.0 / 32768.0
_PER_WORD = 1.0 / 4294967296.0


@dataclass(frozen=True)
class CameraShake:
    """Intrinsics of the camera that takes a sample, and its poses; float64.

    A point of the scene is seen at ``homographies[k] @ (x, y, 1)`` of the sharp picture when the picture has
    it at pixel (x, y) of the patch in pose ``k``.
    """

    focal_length: float
    """In pixels of the patch; the principal point is the middle of FRAME."""
    left: int
    """Column of the frame where the patch begins."""
    top: int
    """Row of the frame where the patch begins."""
    angles: NDArray[np.float64]
    """``[poses, 3]``, 2 tan of half the angles about the axes right, down and forward, in radians."""
    translation: NDArray[np.float64]
    """``[poses, 3]``, right, down and forward, in units of the scene's distance."""
    homographies: NDArray[np.float64]
    """``[poses, 3, 3]``."""

    def kernel(self, x: float, y: float, size: int) -> NDArray[np.float64]:
        """Return how a point of light at (x, y) of the patch is blurred: float64 ``[size, size]``, sum 1.

        It differs from place to place, so no other pixel is blurred by exactly this one. What goes past
        ``size``, which is odd, stays at its border.
        """
        seen = self.homographies @ (x, y, 1.0)
        places = (size // 2 - (seen[:, :2] / seen[:, 2:] - (x, y))).clip(0, size - 1)
        corner = np.minimum(places.astype(np.int64), size - 2)
        share = places - corner
        grid = np.zeros((size, size))
        for right in (0, 1):
            for down in (0, 1):
                weight = np.abs(1 - right - share[:, 0]) * np.abs(1 - down - share[:, 1])
                np.add.at(grid, (corner[:, 1] + down, corner[:, 0] + right), weight)
        return grid / len(seen)


def trajectory(camera: Camera, seed: int, sample: int, patch_size: int, size: int) -> CameraShake:
    """Return how the camera shook for one sample of a recipe whose motion is "rotation".

    ``size`` is that of the sample's kernel in the bank, in pixels.
    """
    geometry, angles, translation = np.empty(3), np.empty((camera.poses, 3)), np.empty((camera.poses, 3))
    homographies = np.empty((camera.poses, 3, 3))
    shake(
        np.uint64(seed), np.uint64(sample), patch_size, size // 2, camera.focal_mm, QUANTILES_Q15,
        geometry, angles, translation, homographies,
    )  # fmt: skip
    focal, left, top = geometry.tolist()
    return CameraShake(focal, int(left), int(top), angles, translation, homographies)


def homographies_of(
    camera: Camera, seed: int, samples: NDArray[np.uint64], patch_size: int, sizes: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the homographies of samples ``[n]`` whose kernels have ``sizes`` ``[n]``: [n, poses, 3, 3]."""
    out = np.empty((len(samples), camera.poses, 3, 3))
    for sample, size, homographies in zip(samples, sizes, out, strict=True):
        homographies[...] = trajectory(camera, seed, int(sample), patch_size, int(size)).homographies
    return out


@njit(cache=True, error_model="numpy")
def shake(seed, sample, patch, radius, focal_mm, quantiles, geometry, angles, translation, homographies):
    """Write what ``CameraShake`` holds; ``geometry`` float64 [3] is focal length, left and top."""
    w0, w1, w2, w3 = block_words(seed, _STREAM, sample, np.uint32(0))
    low, high = np.float64(focal_mm[0]), np.float64(focal_mm[1])
    focal = (low + (high - low) * (w0 * _PER_WORD)) * _PIXELS_PER_MM
    left, top = below(w1, _WIDTH - patch + 1), below(w2, _HEIGHT - patch + 1)
    geometry[0], geometry[1], geometry[2] = focal, left, top
    lever = _LEVER[0] + _LEVER[1] * (w3 * _PER_WORD)
    _walk(seed, sample, quantiles, angles, translation)
    for k in range(len(angles)):
        for axis in range(3):
            translation[k, axis] *= lever
    corner_u, corner_v = left - (_WIDTH - 1) / 2.0, top - (_HEIGHT - 1) / 2.0
    scale = radius / _largest_motion(angles, translation, focal, corner_u, corner_v, patch)
    scale = scale if np.isfinite(scale) else 0.0
    for k in range(len(angles)):
        for axis in range(3):
            angles[k, axis] *= scale
            translation[k, axis] *= scale
        homography(angles[k], translation[k], focal, homographies[k])
    to_patch(homographies, corner_u, corner_v, (patch - 1) / 2.0)


@njit(cache=True, error_model="numpy")
def _walk(seed, sample, quantiles, angles, translation):
    """Write the unscaled paths of both particles, each [poses, 3]."""
    h = 1.0 / (STEPS * (len(angles) - 1))
    keep = 1.0 - h / _MEMORY
    fresh = np.sqrt(1.0 - keep * keep)
    position, direction = np.zeros((2, 3)), np.empty((2, 3))
    perturbation, deviates = np.zeros((2, 3)), np.empty((2, 3))
    _deviates(block_words(seed, _STREAM, sample, np.uint32(1)), quantiles, direction)
    for n in range(2):
        _normalise(direction[n])
    words = block_words(seed, _STREAM, sample, np.uint32(2))
    turn = (
        _UNREST[0] + _UNREST[1] * (words[0] * _PER_WORD),
        _UNREST[0] + _UNREST[1] * (words[2] * _PER_WORD),
    )
    pull = (_PULL * (words[1] * _PER_WORD), _PULL * (words[3] * _PER_WORD))
    per_step = h / np.sqrt(2.0 * _MEMORY)
    angles[0], translation[0] = 0.0, 0.0
    for t in range(1, STEPS * (len(angles) - 1) + 1):
        _deviates(block_words(seed, _STREAM, sample, np.uint32(_FIRST_STEP + t - 1)), quantiles, deviates)
        for n in range(2):
            for axis in range(3):
                perturbation[n, axis] = keep * perturbation[n, axis] + fresh * deviates[n, axis]
                change = turn[n] * per_step * perturbation[n, axis] - pull[n] * h * position[n, axis]
                direction[n, axis] += change
            _normalise(direction[n])
            for axis in range(3):
                position[n, axis] += h * direction[n, axis]
        if t % STEPS == 0:
            angles[t // STEPS] = position[0]
            translation[t // STEPS] = position[1]


@njit(cache=True, error_model="numpy")
def _deviates(words, quantiles, out):
    """Write six normal deviates: the low and the high halves of three words."""
    for n in range(6):
        half = (words[n // 2] >> np.uint32(16 * (n % 2))) & np.uint32(0xFFFF)
        out[n // 3, n % 3] = quantiles[half] * _Q15


@njit(cache=True, error_model="numpy")
def _normalise(vector):
    inverse = 1.0 / np.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2])
    for axis in range(3):
        vector[axis] *= inverse


@njit(cache=True, error_model="numpy")
def _motion(angle, shift, focal, u, v):
    """Return how far a small rotation and translation move the point (u, v) of the frame, to first order."""
    forward = angle[0] * v - angle[1] * u + focal * shift[2]
    right = angle[1] * focal - angle[2] * v + focal * shift[0]
    down = angle[2] * u - angle[0] * focal + focal * shift[1]
    return right - u * forward / focal, down - v * forward / focal


@njit(cache=True, error_model="numpy")
def _largest_motion(angles, translation, focal, corner_u, corner_v, patch):
    """Return the largest coordinate of a motion of the rim's corners about the mean of the centre."""
    middle_x, middle_y = 0.0, 0.0
    centre = (patch - 1) / 2.0
    for k in range(len(angles)):
        dx, dy = _motion(angles[k], translation[k], focal, corner_u + centre, corner_v + centre)
        middle_x += dx
        middle_y += dy
    middle_x, middle_y = middle_x / len(angles), middle_y / len(angles)
    most = 0.0
    for k in range(len(angles)):
        for x in (-RIM, patch - 1 + RIM):
            for y in (-RIM, patch - 1 + RIM):
                dx, dy = _motion(angles[k], translation[k], focal, corner_u + x, corner_v + y)
                most = max(most, abs(dx - middle_x), abs(dy - middle_y))
    return most


@njit(cache=True, error_model="numpy")
def homography(angle, shift, focal, out):
    """Write the homography of the frame, about its middle, for a plane that the camera faces.

    Rotation by Cayley's formula: the vector ``angle / 2`` is the axis times the tangent of half the angle.
    """
    p, q, r = angle[0] / 2.0, angle[1] / 2.0, angle[2] / 2.0
    k = 2.0 / (1.0 + p * p + q * q + r * r)
    out[0, 0], out[0, 1], out[0, 2] = 1.0 - k * (q * q + r * r), k * (p * q - r), k * (p * r + q)
    out[1, 0], out[1, 1], out[1, 2] = k * (p * q + r), 1.0 - k * (p * p + r * r), k * (q * r - p)
    out[2, 0], out[2, 1], out[2, 2] = k * (p * r - q), k * (q * r + p), 1.0 - k * (p * p + q * q)
    out[0, 2] = focal * (out[0, 2] + shift[0])
    out[1, 2] = focal * (out[1, 2] + shift[1])
    out[2, 0], out[2, 1] = out[2, 0] / focal, out[2, 1] / focal
    out[2, 2] += shift[2]


@njit(cache=True, error_model="numpy")
def to_patch(homographies, corner_u, corner_v, centre):
    """Make homographies of the frame ones of the patch, whose centre keeps its place in the mean."""
    offset_x, offset_y = 0.0, 0.0
    for h in homographies:
        for row in range(3):  # from pixels of the patch
            h[row, 2] = h[row, 0] * corner_u + h[row, 1] * corner_v + h[row, 2]
        x, y = warped(h, centre, centre)
        offset_x += x
        offset_y += y
    offset_x = offset_x / len(homographies) - centre
    offset_y = offset_y / len(homographies) - centre
    for h in homographies:
        for column in range(3):  # to pixels of the patch
            h[0, column] -= offset_x * h[2, column]
            h[1, column] -= offset_y * h[2, column]


@njit(cache=True, inline="always", error_model="numpy")
def warped(h, x, y):
    """Return where a homography takes a point."""
    depth = (h[2, 0] * x + h[2, 1] * y) + h[2, 2]
    return ((h[0, 0] * x + h[0, 1] * y) + h[0, 2]) / depth, ((h[1, 0] * x + h[1, 1] * y) + h[1, 2]) / depth
