"""Patches made on the training device, straight from a recipe: FORMAT.md section 3 in PyTorch.

Faces and kernels lie in the device's memory; patches are cut, blurred, isolated and given their noise
there. They are those of the shards, bit for bit. Nothing is read from a disk, and there may be as many as
a training wants.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blurgen.dataset.render import Renderer
from blurgen.errors import Argument, InputError
from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL
from blurgen.randomness.normal_table import QUANTILES_Q15, noise_table
from blurgen.synthesis.camera.window import RIM
from umsn.patches.batches import FULL, Patches
from umsn.patches.device_blur import blur
from umsn.patches.device_camera import DeviceCamera
from umsn.patches.device_philox import noise_halves

_ONE: Final = 32768  # 1 in Q15
_COUNTED: Final = 1 << 16  # samples whose classes are counted at a time


class DevicePatches:
    """The rows of one set of a dataset, made on ``device``.

    ``endless``: instead of the rows of the dataset, samples 0, 1, 2, ... without end, each used once. Only
    for the full set: which samples a class set has is known only once they are counted. Raises ValueError
    otherwise, and InputError for a set that the dataset does not have, or that is empty.

    ``noise``: instead of the recipe's, Gaussian noise of that standard deviation, in units of full scale, on
    a blurry picture that is neither rounded nor clipped to 8 bits. It is drawn from the same random numbers,
    so each patch keeps its noise.
    """

    def __init__(
        self,
        dataset: Any,
        set_name: str,
        device: torch.device,
        *,
        endless: bool = False,
        noise: float | None = None,
    ) -> None:
        recipe = dataset.recipe
        if set_name not in dataset.sets:
            raise InputError(
                f"{dataset.root} has no set '{set_name}'; build it with ",
                Argument("class_isolated", True),
                ".",
            )
        if endless and set_name != FULL:
            raise ValueError(f"Argument 'endless' must be False for set '{set_name}'.")
        self.patch_size, self.endless = recipe.patch_size, endless
        self._recipe, self._device = recipe, device
        self._renderer = Renderer(dataset.root, recipe)
        self._samples = None if set_name == FULL else _samples(self._renderer, set_name)
        if self._samples is not None and not len(self._samples):
            raise InputError(f"The set '{set_name}' of the dataset has no rows; build it from more faces.")
        self._class = -1 if set_name == FULL else CLASS_NAMES.index(set_name.removeprefix("isolated/"))

        faces = dataset.faces
        self._pixels = torch.from_numpy(np.array(faces.pixels)).to(device).view(-1, 3)
        self._labels = torch.from_numpy(np.array(faces.labels)).to(device)
        self._places = torch.from_numpy(
            np.stack([faces.offsets, faces.heights, faces.widths], axis=1).astype(np.int64)
        ).to(device)
        # conv2d correlates: the kernels are turned round once and for all.
        self._kernels = torch.from_numpy(dataset.bank.weights.astype(np.float32)).to(device).flip(1, 2)
        self._sizes = dataset.bank.sizes
        self._camera = None
        if recipe.camera is not None:
            if noise is not None:
                raise InputError(f"{dataset.root}: its pictures are a camera's, whose noise stays as it is.")
            self._camera = DeviceCamera(recipe, self._sizes, device)
        self._radius = (dataset.bank.max_size - 1) // 2 + (0 if self._camera is None else RIM)
        self._rounded = noise is None
        self._noise = torch.from_numpy(
            noise_table(recipe.noise_sigma) if noise is None else _unrounded_noise(noise)
        ).to(device)
        self._classes = torch.from_numpy(CLASS_OF_LABEL.copy()).to(device)

    def __len__(self) -> int:
        return self._recipe.count if self._samples is None else len(self._samples)

    @torch.no_grad()
    def read(self, rows: NDArray[np.int64]) -> Patches:
        """Return the patches of the given rows (endless: of the given samples), on the device."""
        samples = rows if self._samples is None else self._samples[rows]
        index = self._renderer.plan(samples)
        columns = [index[name].astype(np.int64) for name in ("image", "top", "left", "kernel", "sample")]
        numbers = torch.from_numpy(np.stack(columns))
        if self._device.type == "cuda":
            # So that the copy waits for nothing that the device has yet to do.
            numbers = numbers.pin_memory()
        image, top, left, kernel, sample = numbers.to(self._device, non_blocking=True)

        around = self._around(image, top, left)
        inner = slice(self._radius, self._radius + self.patch_size)
        region, labels = self._pixels[around], self._labels[around[:, inner, inner]]
        clean = region[:, inner, inner]
        weights = self._kernels[kernel]
        stored = weights.flip(1, 2).int()
        if self._camera is not None:
            member = None if self._class < 0 else self._members(self._labels[around])
            clean, blurry = self._camera.take(region, member, sample, index["kernel"], weights)
            return Patches(clean, blurry, labels, stored)
        if self._class < 0:
            blurred = blur(region.permute(0, 3, 1, 2).float(), weights)
        else:
            blurred = self._isolated(region, self._labels[around], weights, inner)
        noise = self._noise[noise_halves(self._recipe.seed, sample, clean[0].numel())].view(clean.shape)
        blurred = blurred.permute(0, 2, 3, 1)
        if self._rounded:
            blurry = ((blurred + noise + 16384) >> 15).clamp(0, 255).byte()
        else:
            blurry = (blurred / _ONE + noise).contiguous()
        return Patches(clean.contiguous(), blurry, labels, stored)

    def _around(self, image: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """Return where each pixel that a patch's blur reads lies in the flat faces, int64 ``[n, S, S]``."""
        offset, height, width = self._places[image].T
        steps = torch.arange(-self._radius, self.patch_size + self._radius, device=self._device)
        rows = _mirrored(top[:, None] + steps, height[:, None])
        columns = _mirrored(left[:, None] + steps, width[:, None])
        return offset[:, None, None] + rows[:, :, None] * width[:, None, None] + columns[:, None, :]

    def _members(self, labels: Tensor) -> Tensor:
        """Return which pixels are of the class of the set, bool."""
        return self._classes[labels.long()].eq(self._class)

    def _isolated(self, region: Tensor, labels: Tensor, weights: Tensor, inner: slice) -> Tensor:
        """Return the blur of one class alone, int32 ``[n, 3, P, P]`` in Q15."""
        mask = self._members(labels)[:, None]
        pixels = region.permute(0, 3, 1, 2)
        sharp = pixels[..., inner, inner].int()
        if self._recipe.isolation == "composite":
            blurred = blur(pixels.float(), weights)
            return torch.where(mask[..., inner, inner], blurred, _ONE * sharp)
        moved = blur((pixels * mask).float(), weights)
        covered = blur(mask.float(), weights)
        return moved + (_ONE - covered) * sharp


def _unrounded_noise(sigma: float) -> NDArray[np.float32]:
    """Return noise for every 16-bit half word in grey levels, float32 [65536]."""
    return (QUANTILES_Q15 * (sigma * 255 / _ONE)).astype(np.float32)


def _mirrored(coordinate: Tensor, size: Tensor) -> Tensor:
    """Mirror coordinates about the outermost pixels 0 and ``size - 1``, as often as needed."""
    period = (2 * (size - 1)).clamp(min=1)
    within = coordinate.remainder(period)
    return torch.minimum(within, period - within).clamp(max=size - 1)


def _samples(renderer: Renderer, set_name: str) -> NDArray[np.int64]:
    """Return the samples that belong to the set of a class, ascending."""
    found = []
    for first in range(0, renderer.recipe.count, _COUNTED):
        samples = np.arange(first, min(first + _COUNTED, renderer.recipe.count))
        found.append(samples[renderer.rows_by_set(renderer.plan(samples))[set_name]])
    return np.concatenate(found)
