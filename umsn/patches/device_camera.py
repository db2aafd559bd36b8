"""Pictures of the camera formation on the training device: FORMAT.md section 6 in PyTorch, bit for bit.

Whole numbers are int64 here. The convolution is one of light's high bits and one of its low bits, so that
float32 holds every sum; where the camera turns, coordinates are double precision and every operation is a
kernel of its own, so that nothing is fused. The mosaic is a plain picture [n, Q, Q] with one colour a pixel.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blurgen.randomness.normal_table import QUANTILES_Q15
from blurgen.randomness.philox import Stream
from blurgen.synthesis.camera.linear_light import FAMILY, FULL, light_table, tone_table
from blurgen.synthesis.camera.sensor import noise_tables
from blurgen.synthesis.camera.shake import homographies_of
from blurgen.synthesis.camera.window import COVERED, RIM
from umsn.patches.device_blur import blur
from umsn.patches.device_philox import noise_halves, words

_HIGH: Final = 7  # bits of light that go to the second convolution
_CURVES: Final = range(FAMILY + 1)


class Drawn(NamedTuple):
    """What is drawn for each sample, int64 ``[n]`` (blurgen.synthesis.camera.sensor)."""

    gain: Tensor
    read: Tensor
    red: Tensor
    blue: Tensor
    curve: Tensor


class DeviceCamera:
    """Takes the pictures of a recipe with a camera, on ``device``; ``sizes`` are of the bank's kernels."""

    def __init__(self, recipe: Any, sizes: np.ndarray, device: torch.device) -> None:
        self._recipe, self._camera, self._sizes = recipe, recipe.camera, sizes
        self._radius, self._rows = recipe.kernels.max_size // 2, recipe.patch_size + 2 * RIM

        def on_device(table: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(table, np.int64)).to(device)

        self._light = on_device(np.stack([light_table(curve) for curve in _CURVES]))
        self._tone = on_device(np.stack([tone_table(curve) for curve in _CURVES])).byte()
        self._noise = [on_device(table) for table in noise_tables(self._camera.sensor)]
        self._quantiles = on_device(QUANTILES_Q15)
        parity = torch.arange(self._rows, device=device) % 2
        self._colour = parity[:, None] + parity

    def take(
        self, window: Tensor, labels: Tensor | None, sample: Tensor, kernel: np.ndarray, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the clean and the blurry pictures, uint8 ``[n, P, P, 3]``.

        ``window`` uint8 ``[n, S, S, 3]`` is the photograph around the patch; ``labels`` bool ``[n, S, S]``
        says which pixels are of the class that alone is blurred, None: all are. ``sample`` int64 ``[n]``,
        ``kernel`` the kernels' numbers, ``weights`` ``[n, M, M]`` the kernels turned round.
        """
        drawn = self._draw(sample)
        light = self._scene(window, sample, drawn.curve)
        homographies = None
        if self._camera.motion == "rotation":
            recipe = self._recipe
            numbers = sample.cpu().numpy().astype(np.uint64)
            poses = homographies_of(
                self._camera, recipe.seed, numbers, recipe.patch_size, self._sizes[kernel]
            )
            homographies = torch.from_numpy(poses).to(window.device)
        inner = slice(self._radius, self._radius + self._rows)
        sharp = self._mosaic(light[..., inner, inner])
        if labels is None:
            blurred = self._move(light, weights, homographies)
        elif self._recipe.isolation == "composite":
            moved = self._move(light, weights, homographies)
            blurred = torch.where(labels[:, inner, inner], moved, sharp)
        else:
            member = labels[:, None]
            covered = self._move(COVERED * member.long().expand_as(light), weights, homographies)
            blurred = self._move(light * member, weights, homographies)
            blurred = blurred + (((COVERED - covered) * sharp + COVERED // 2) >> 13)
        clean = self._develop(self._expose(sharp, drawn, None), drawn.curve)
        grain = None
        if self._camera.sensor != "none":
            grain = self._quantiles[noise_halves(self._recipe.seed, sample, self._rows**2)].view_as(sharp)
        return clean, self._develop(self._expose(blurred, drawn, grain), drawn.curve)

    def _draw(self, sample: Tensor) -> Drawn:
        first = torch.zeros_like(sample)
        w0, w1, w2, w3 = words(self._recipe.seed, Stream.SENSOR, sample, first)
        gain, read, factor = self._noise
        curve = first
        if self._camera.tone == "family":
            curve = 1 + _below(words(self._recipe.seed, Stream.SENSOR, sample, first + 1)[0], FAMILY)
        rest = (read[w0 >> 24] * factor[w1 >> 24] + 2048) >> 12
        return Drawn(gain[w0 >> 24], rest, 1946 + _below(w2, 513), 1536 + _below(w3, 411), curve)

    def _scene(self, window: Tensor, sample: Tensor, curve: Tensor) -> Tensor:
        """Return linear light with its highlights, ``[n, 3, S, S]``."""
        display = window.permute(0, 3, 1, 2).long()
        light = self._light[curve[:, None, None, None], display]
        is_area = (display >= self._camera.clip_level).all(1)
        if not is_area.any():
            return light
        first = first_of_area(is_area)[is_area]
        number = sample[:, None, None].expand_as(is_area)[is_area]
        word = words(self._recipe.seed, Stream.HIGHLIGHT, number, first)[0]
        factor = torch.full_like(light[:, 0], 256)
        factor[is_area] = 320 + _below(word, 385)
        return (light * factor[:, None] + 128) >> 8

    def _mosaic(self, light: Tensor) -> Tensor:
        """Return of each pixel of ``[n, 3, Q, Q]`` the colour that it has."""
        return light.gather(1, self._colour.expand(len(light), 1, -1, -1))[:, 0]

    def _move(self, light: Tensor, weights: Tensor, homographies: Tensor | None) -> Tensor:
        """Return the mosaic of a scene that is blurred."""
        if homographies is not None:
            return self._mean_of_poses(light, homographies)
        low = blur((light & ((1 << _HIGH) - 1)).float(), weights).long()
        high = blur((light >> _HIGH).float(), weights).long()
        return self._mosaic(((high << _HIGH) + low + 16384) >> 15)

    def _mean_of_poses(self, light: Tensor, homographies: Tensor) -> Tensor:
        side, margin = light.shape[-1], float(self._radius + RIM)
        plane = self._colour * side * side
        flat = light.flatten(1)
        steps = torch.arange(-RIM, self._rows - RIM, device=light.device, dtype=torch.float64)
        x, y = steps[None, None, :], steps[None, :, None]
        total = torch.zeros((len(light), self._rows, self._rows), dtype=torch.int64, device=light.device)
        for pose in homographies.unbind(1):
            row = [[pose[:, i, j, None, None] for j in range(3)] for i in range(3)]
            depth = (row[2][0] * x + row[2][1] * y) + row[2][2]
            places = [((row[i][0] * x + row[i][1] * y) + row[i][2]) / depth for i in range(2)]
            u, v = (
                torch.floor((place + margin) * 256.0 + 0.5).clamp(0, 256 * (side - 1)).long()
                for place in places
            )
            left, top = ((place >> 8).clamp(max=side - 2) for place in (u, v))
            right, down = u - 256 * left, v - 256 * top
            at = plane + top * side + left
            for step, share in (
                (0, (256 - right) * (256 - down)),
                (1, right * (256 - down)),
                (side, (256 - right) * down),
                (side + 1, right * down),
            ):
                total += flat.gather(1, (at + step).flatten(1)).view_as(total) * share
        unit = homographies.shape[1] << 16
        return torch.div(total + unit // 2, unit, rounding_mode="floor")

    def _expose(self, mosaic: Tensor, drawn: Drawn, grain: Tensor | None) -> Tensor:
        """Return the white-balanced raw pictures ``[n, Q, Q]``."""
        gains = torch.stack((drawn.red, torch.full_like(drawn.red, 1024), drawn.blue), 1)
        gain = gains[:, self._colour]
        inverse = ((1 << 26) + (gain >> 1)) // gain
        level = (mosaic * inverse + 32768) >> 16
        if grain is not None:
            variance = drawn.gain[:, None, None] * level + drawn.read[:, None, None]
            level = level + ((grain * variance.double().sqrt().long() + (1 << 17)) >> 18)
        return ((level.clamp(0, FULL) * gain + 512) >> 10).clamp(max=FULL)

    def _develop(self, raw: Tensor, curve: Tensor) -> Tensor:
        """Return pictures uint8 ``[n, P, P, 3]``."""
        patch = self._rows - 2 * RIM

        def at(down: int, right: int) -> Tensor:
            return raw[:, RIM + down : RIM + down + patch, RIM + right : RIM + right + patch]

        here, across, down = at(0, 0), at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)
        diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
        far_across, far_down = at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)
        if self._camera.demosaic == "malvar":
            far = far_across + far_down
            green = (8 * here + 4 * (across + down) - 2 * far + 8) >> 4
            crossed = (12 * here + 4 * diagonal - 3 * far + 8) >> 4
            common = 10 * here - 2 * diagonal + 8
            beside = (common + 8 * across - 2 * far_across + far_down) >> 4
            above = (common + 8 * down - 2 * far_down + far_across) >> 4
        else:
            green, crossed = (across + down + 2) >> 2, (diagonal + 2) >> 2
            beside, above = (across + 1) >> 1, (down + 1) >> 1
        colour = self._colour[:patch, :patch]  # the rim is even: the pattern begins anew
        is_red_row = torch.arange(patch, device=raw.device)[:, None] % 2 == 0
        at_green = torch.where(is_red_row, beside, above), torch.where(is_red_row, above, beside)
        red = torch.where(colour == 0, here, torch.where(colour == 2, crossed, at_green[0]))
        blue = torch.where(colour == 2, here, torch.where(colour == 0, crossed, at_green[1]))
        picture = torch.stack((red, torch.where(colour == 1, here, green), blue), 3).clamp(0, FULL)
        return self._tone[curve[:, None, None, None], picture]


def first_of_area(mask: Tensor) -> Tensor:
    """Return for each pixel of ``mask`` bool ``[n, S, S]`` the first one of its area, int64 places.

    Pixels that touch, also by a corner, are an area; first is the first in reading order. Elsewhere: S * S.
    """
    count = mask[0].numel()
    place = torch.arange(count, device=mask.device).view_as(mask[0])
    first = torch.where(mask, place, count)
    while True:
        # Places are below 2^24, which float32 holds exactly.
        near = -F.max_pool2d(-first.float(), 3, 1, 1)
        smaller = torch.where(mask, near.long(), count)
        # And what a neighbour's first pixel knows by now.
        padded = F.pad(smaller.flatten(1), (0, 1), value=count)
        smaller = torch.where(mask, padded.gather(1, padded[:, :-1]).view_as(first), count)
        if torch.equal(smaller, first):
            return first
        first = smaller


def _below(word: Tensor, n: int) -> Tensor:
    return (word * n) >> 32
