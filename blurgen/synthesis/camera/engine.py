"""Triplets as a camera would have taken them (FORMAT.md, section 6).

Linear light, highlights, blur, the sensor's noise, the picture developed. The clean picture is the same
scene through the same chain, with the camera held still and a sensor without noise. Class isolation is done
in linear light, before the sensor: in ``composite`` sets a pixel of the class has the blurred light and any
other the sharp one, in ``layered`` sets the class moves as an object over the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.labels import CLASS_NAMES
from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.synthesis.camera.develop import develop
from blurgen.synthesis.camera.exposure import draw_grain, expose
from blurgen.synthesis.camera.highlights import BRIGHTEST, brighten, room_for_runs
from blurgen.synthesis.camera.linear_light import FAMILY, FULL, light_table, tone_table
from blurgen.synthesis.camera.mosaic import blurred_mosaic, plane_taps, shape_of, sharp_mosaic
from blurgen.synthesis.camera.rotation import rotated_mosaic
from blurgen.synthesis.camera.sensor import NoiseTables, draw, noise_tables
from blurgen.synthesis.camera.settings import Camera
from blurgen.synthesis.camera.shake import shake, trajectory
from blurgen.synthesis.camera.window import COVERED, RIM, fill_labels, fill_layer, fill_light
from blurgen.synthesis.engine import (
    FIRST_LABEL,
    FULL_ONLY,
    LAST_LABEL,
    WITH_COMPOSITE,
    WITH_LAYERED,
    Degrader,
    Rows,
    Triplets,
    count_classes,
    cut,
)

_CLASSES = len(CLASS_NAMES)
_ABOVE_ALL = np.int16(32767)
_COVERED = np.int32(COVERED)


class _Settings(NamedTuple):
    """What compiled code knows of a camera."""

    light: NDArray[np.int16]  # [curves, 256]
    tone: NDArray[np.uint8]  # [curves, FULL + 1]
    limits: NDArray[np.int16]  # [curves], the light from which a channel is clipped
    noise: NoiseTables
    quantiles: NDArray[np.int32]
    is_noisy: bool
    is_family: bool
    is_malvar: bool
    is_rotation: bool
    poses: int
    focal_mm: tuple[int, int]


class CameraDegrader(Degrader):
    """Makes triplets as ``camera`` would have taken them; see ``Degrader``.

    Raises ValueError also for patches of an odd number of pixels, and for noise that is not the sensor's.
    """

    def __init__(self, *arrays: Any, camera: Camera, **settings: Any) -> None:
        super().__init__(*arrays, **settings)
        if self.patch_size % 2 or settings["noise_sigma"] != 0:
            raise ValueError("Argument 'camera' needs an even 'patch_size' and 'noise_sigma' 0.")
        weights, sizes = arrays[5:7]
        self._shape = shape_of(self.patch_size, weights.shape[-1])
        self._plane_taps = plane_taps(weights, sizes, self._shape)
        self._camera = camera
        self._settings = _settings(camera)

    def stages(self, index: NDArray[np.void]) -> dict[str, NDArray[np.uint8]]:
        """Return the stages of one sample, ``index`` INDEX_DTYPE [1]: pictures uint8 ``[P, P, 3]`` by name.

        "photograph"; "linear": its light, shown without a tone curve; "highlights": the same, darker, so that
        2.75 times white is white; "blurred": the moving camera's picture without noise; "noisy": the raw
        mosaic with its noise, white-balanced, each pixel in its own colour; "developed": the blurry picture.
        """
        triplets = self.degrade(index)
        settings, shape, seed = self._settings, self._shape, self._seed
        (row,) = index
        face = tuple(int(column[row["image"]]) for column in self._faces)
        sample, kernel = np.uint64(row["sample"]), int(row["kernel"])
        top, left = (int(row[name]) - RIM - shape.radius for name in ("top", "left"))
        drawn = draw(seed, sample, settings.noise, settings.is_family)
        light = np.zeros((3, shape.side, shape.stride), np.int16)
        fill_light(self._pixels, face, top, left, shape.side, settings.light[drawn.curve], light)
        first = shape.radius + RIM
        patch = np.s_[:, first : first + shape.patch, first : first + shape.patch]
        plain = light[patch].copy()
        brighten(light, shape.side, settings.limits[drawn.curve], seed, sample, room_for_runs(shape.side))
        size = 2 * int(self._plane_taps.reach[kernel]) + 1
        homographies = trajectory(self._camera, int(seed), int(sample), shape.patch, size).homographies
        mosaic, raw = np.zeros((2, shape.rows, 2, shape.half), np.int16)
        grain = np.zeros(mosaic.shape, np.int32)
        blurred = np.empty((shape.patch, 3 * shape.patch), np.uint8)
        _blur(light, shape, settings, self._plane_taps, kernel, homographies, mosaic)
        expose(mosaic, shape, drawn, grain, False, raw)
        tone = settings.tone[drawn.curve]
        develop(raw, settings.is_malvar, tone, blurred)
        draw_grain(seed, sample, settings.quantiles, shape.rows, grain)
        expose(mosaic, shape, drawn, grain, settings.is_noisy, raw)
        return {
            "photograph": tone[plain].transpose(1, 2, 0),
            "linear": _shown(plain, FULL),
            "highlights": _shown(light[patch], BRIGHTEST),
            "blurred": blurred.reshape(shape.patch, shape.patch, 3),
            "noisy": _coloured(tone[raw], shape.patch),
            "developed": triplets.blurry[0],
        }

    def _fill(self, rows: Rows, triplets: Triplets, mode: int, sets: NDArray[np.uint8]) -> None:
        count, side = len(rows.sample), self.patch_size
        _render(
            self._pixels,
            self._labels,
            self._faces,
            rows,
            self._plane_taps,
            self._settings,
            self._seed,
            self._shape,
            room_for_runs(self._shape.side),
            mode,
            triplets.clean.reshape(count, side, 3 * side),
            triplets.blurry.reshape(count, side, 3 * side),
            triplets.mask,
            sets.reshape(-1, _CLASSES, side, 3 * side),
            triplets.class_pixels,
        )


def _shown(light: NDArray[np.int16], white: int) -> NDArray[np.uint8]:
    """Return light [3, P, P] as a picture, ``white`` as 255."""
    return (light.astype(np.int32) * 255 // white).astype(np.uint8).transpose(1, 2, 0)


def _coloured(mosaic: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    """Return the patch of a mosaic [Q, 2, H] as a picture in which each pixel has one colour."""
    picture = np.zeros((patch, patch, 3), np.uint8)
    for y in range(2):
        for x in range(2):
            columns = mosaic[RIM + y : RIM + patch : 2, x, RIM // 2 : (RIM + patch) // 2]
            picture[y::2, x::2, y + x] = columns
    return picture


def _settings(camera: Camera) -> _Settings:
    curves = range(FAMILY + 1) if camera.tone == "family" else range(1)
    light = np.array([light_table(curve) for curve in curves])
    is_bright = camera.clip_level < light.shape[1]
    limits = light[:, camera.clip_level] if is_bright else np.full(len(light), _ABOVE_ALL)
    return _Settings(
        light=light,
        tone=np.array([tone_table(curve) for curve in curves]),
        limits=np.ascontiguousarray(limits),
        noise=noise_tables(camera.sensor),
        quantiles=QUANTILES_Q15,
        is_noisy=camera.sensor != "none",
        is_family=camera.tone == "family",
        is_malvar=camera.demosaic == "malvar",
        is_rotation=camera.motion == "rotation",
        poses=camera.poses,
        focal_mm=camera.focal_mm,
    )


@njit(cache=True, nogil=True)
def _render(
    pixels, labels, faces, rows, taps, settings, seed, shape, runs, mode,
    clean, blurry, mask, isolated, counts,
):  # fmt: skip
    """Write all outputs; images have shape [n, P, 3 P] here, an image row being one run of bytes."""
    light = np.zeros((3, shape.side, shape.stride), np.int16)
    layer = np.zeros((3 if mode == WITH_LAYERED else 0, shape.side, shape.stride), np.int16)
    cover = np.zeros((1, shape.side, shape.stride), np.int16)
    kinds = np.zeros((shape.side, shape.side), np.uint8)
    mosaics = np.zeros((5, shape.rows, 2, shape.half), np.int16)
    sharp, blurred, mixed, covered, raw = mosaics[0], mosaics[1], mosaics[2], mosaics[3], mosaics[4]
    grain = np.zeros((shape.rows, 2, shape.half), np.int32)
    homographies = np.zeros((settings.poses, 3, 3))
    geometry, angles, translation = np.zeros(3), np.zeros((settings.poses, 3)), np.zeros((settings.poses, 3))
    for n in range(len(clean)):
        i = rows.image[n]
        face = (faces.offset[i], faces.height[i], faces.width[i])
        sample, kernel = rows.sample[n], rows.kernel[n]
        top, left = rows.top[n] - RIM - shape.radius, rows.left[n] - RIM - shape.radius
        drawn = draw(seed, sample, settings.noise, settings.is_family)
        tone = settings.tone[drawn.curve]
        fill_light(pixels, face, top, left, shape.side, settings.light[drawn.curve], light)
        brighten(light, shape.side, settings.limits[drawn.curve], seed, sample, runs)
        sharp_mosaic(light, shape, sharp)
        expose(sharp, shape, drawn, grain, False, raw)
        develop(raw, settings.is_malvar, tone, clean[n])

        if settings.is_noisy:
            draw_grain(seed, sample, settings.quantiles, shape.rows, grain)
        if settings.is_rotation:
            shake(
                seed, sample, shape.patch, taps.reach[kernel], settings.focal_mm, settings.quantiles,
                geometry, angles, translation, homographies,
            )  # fmt: skip
        _blur(light, shape, settings, taps, kernel, homographies, blurred)
        expose(blurred, shape, drawn, grain, settings.is_noisy, raw)
        develop(raw, settings.is_malvar, tone, blurry[n])

        cut(labels, face, rows.top[n], rows.left[n], 1, mask[n])
        count_classes(mask[n], counts[n])
        if mode == FULL_ONLY:
            continue
        fill_labels(labels, face, top, left, kinds)
        for c in range(_CLASSES):
            low, high = FIRST_LABEL[c], LAST_LABEL[c]
            if mode == WITH_COMPOSITE:
                _compose(kinds, low, high, shape, blurred, sharp, mixed)
            else:
                fill_layer(light, kinds, low, high, layer, cover)
                _blur(layer, shape, settings, taps, kernel, homographies, mixed)
                _blur(cover, shape, settings, taps, kernel, homographies, covered)
                _lay_over(covered, sharp, mixed)
            expose(mixed, shape, drawn, grain, settings.is_noisy, raw)
            develop(raw, settings.is_malvar, tone, isolated[n, c])


@njit(cache=True)
def _blur(light, shape, settings, taps, kernel, homographies, mosaic):
    if settings.is_rotation:
        rotated_mosaic(light, shape, homographies, mosaic)
    else:
        blurred_mosaic(light, shape, taps, kernel, mosaic)


@njit(cache=True)
def _compose(kinds, low, high, shape, inside, outside, mosaic):
    """Write a mosaic with the pixels of a class from ``inside`` and all others from ``outside``."""
    for y in range(shape.rows):
        for x in range(shape.rows):
            label = kinds[shape.radius + y, shape.radius + x]
            member = low <= label <= high
            mosaic[y, x & 1, x >> 1] = (inside if member else outside)[y, x & 1, x >> 1]


@njit(cache=True)
def _lay_over(covered, sharp, mosaic):
    """Add to the moved light of a class what it leaves uncovered of the sharp picture."""
    for y in range(mosaic.shape[0]):
        for s in range(2):
            for x in range(mosaic.shape[2]):
                rest = (_COVERED - np.int32(covered[y, s, x])) * np.int32(sharp[y, s, x])
                mosaic[y, s, x] = np.int16(np.int32(mosaic[y, s, x]) + ((rest + 4096) >> 13))
