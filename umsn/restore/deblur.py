"""A picture in, a sharper one out; or the map of its semantic classes.

Any size: how it goes through a network, in one piece or in tiles, is ``umsn.restore.tiles``. Pictures should
show what the training saw: a face that fills most of a frame some 128 to 300 pixels high.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blurgen.errors import InputError
from blurgen.jobs.progress import Reporter, Silent
from blurgen.labels import CLASS_NAMES, Label
from umsn.checkpoint import load_networks
from umsn.devices import usable_device
from umsn.nets import KERNEL_GUIDED, KernelGuided, config_of, network_name
from umsn.nets.kernel_guided import REACH
from umsn.nets.segmentation import segment
from umsn.patches.batches import as_image, as_pixels, one_hot, to_image
from umsn.restore import tiles
from umsn.restore.tiles import Tiling, count_tiles, in_tiles
from umsn.runs.folder import describe

_CONVERTED: Final = 256  # rows of a picture whose colours are made whole numbers at a time
_MANY: Final = 64  # tiles: more take long enough for a bar
_TRIED: Final = 256  # side of the picture with which precisions are compared
_WORTH: Final = 0.8
"""Share of the time of float32 below which bfloat16 is chosen."""

Precision = Literal["auto", "fp32", "bf16"]

LABEL_OF_CLASS: Final[NDArray[np.uint8]] = np.array(
    [Label.BACKGROUND, Label.SKIN, Label.NOSE, Label.HAIR], np.uint8
)
"""One label for each class, so that a class map is a label map that ``blurgen`` reads: features are all 6."""


class _Restorer:
    """What a deblurring and a segmenting network have in common: pictures of any size go through them."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        precision: Precision = "auto",
        reporter: Reporter = Silent(),
    ) -> None:
        self.path, self.device = path, usable_device(device)
        self.networks = load_networks(path, self.device)
        self._precision, self._reporter = precision, reporter
        self._take_networks()

    def _take_networks(self) -> None:
        """Take those of the checkpoint that are wanted; InputError where one is missing."""
        raise NotImplementedError

    @property
    def _used(self) -> list[nn.Module]:
        """The networks that a picture goes through."""
        raise NotImplementedError

    def _apply(self, picture: Tensor) -> Tensor:
        """Return what uint8 pictures ``[n, h, w, 3]`` become, ``[n, C, h, w]``."""
        raise NotImplementedError

    def _reaches(self) -> list[int | None]:
        """Return how far each network sees (``tiles.reach``); together they see as far as the sum."""
        raise NotImplementedError

    @cached_property
    def window(self) -> Tiling:
        """What training showed: ``tiles.windows`` of the size of its patches."""
        return tiles.windows(_trained_side(describe(self.path).data))

    @cached_property
    def _cropped(self) -> Tiling:
        reaches = self._reaches()
        known = [reach for reach in reaches if reach is not None]
        return tiles.cropped(sum(known)) if len(known) == len(reaches) else self.window

    def tiling(self, height: int, width: int) -> Tiling:
        """Return how a picture of that size is cut."""
        if any(tiles.normalises(network) for network in self._used):
            return self.window
        # How far a network sees takes a while to find out, and matters only where there are cuts.
        return self._cropped if max(height, width) > tiles.TILE else tiles.cropped(0)

    @cached_property
    def in_bfloat16(self) -> bool:
        """Whether large pictures are worked on in bfloat16."""
        if self._precision != "auto":
            return self._precision == "bf16"
        picture = torch.zeros(1, _TRIED, _TRIED, 3, dtype=torch.uint8, device=self.device)
        seconds = {}
        for bf16 in (False, True):
            times = []
            for _ in range(3):
                start = time.perf_counter()
                with torch.no_grad(), self._autocast(bf16):
                    float(self._apply(picture).float().mean())
                times.append(time.perf_counter() - start)
            seconds[bf16] = min(times[1:])
        return seconds[True] < _WORTH * seconds[False]

    def _autocast(self, bf16: bool) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def _results(
        self,
        pictures: NDArray[np.uint8],
        convert: Callable[[Tensor], Any],
        out: Any,
        apply: Callable[[Tensor], Tensor] | None = None,
    ) -> Any:
        """Fill ``out`` with what pictures ``[N, H, W, 3]`` become, by way of ``convert``; return it.

        ``apply`` takes the place of ``_apply``.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or not pictures.size:
            raise ValueError(
                f"Pictures must be uint8 [H, W, 3], not {pictures.dtype} {list(pictures.shape[1:])}."
            )
        tiling = self.tiling(*pictures.shape[1:3])
        count = count_tiles((pictures,), tiling)
        # Small pictures always get the same bits: what is faster is measured, and may be another each time.
        large = max(pictures.shape[1:3]) > tiles.TILE
        bf16 = self.in_bfloat16 if self._precision != "auto" or large else False
        reporter = self._reporter if large or count > _MANY else Silent()
        most = {"most": 0} if self._sees_the_batch else {}
        with self._autocast(bf16), reporter.bar("tiles", count, "tiles") as bar:
            for rows, part in in_tiles(
                apply or self._apply, (pictures,), tiling, self.device, bar=bar, **most
            ):
                for first in range(0, part.shape[2], _CONVERTED):
                    some = part[:, :, first : first + _CONVERTED]
                    top = rows.start + first
                    out[:, top : top + some.shape[2]] = convert(some)
        return out

    @property
    def _sees_the_batch(self) -> bool:
        """Whether what a picture becomes depends on the others of its batch."""
        return any(config_of(network).get("batch_statistics", False) for network in self._used)


class Deblurrer(_Restorer):
    """A trained deblurring network, with the S-Net that makes its masks.

        deblur = Deblurrer("run/umsn.safetensors")
        sharp = deblur(blurry)      # uint8 [H, W, 3] RGB, both

    ``precision`` is that of the arithmetic: float32, bfloat16, or for pictures larger than a tile
    (``umsn.restore.tiles.TILE``) whatever is faster here, and float32 for all others. Raises InputError when
    the checkpoint holds no deblurring network, or one that needs masks and no S-Net.
    """

    def _take_networks(self) -> None:
        self.network, self.s_net = self.networks["network"], self.networks.get("s_net")
        kind, config = network_name(self.network), config_of(self.network)
        if kind not in ("umsn", "bnet", KERNEL_GUIDED):
            raise InputError(
                f"{self.path} holds a network of kind '{kind}'; deblurring takes that of stage 'umsn' "
                f"or '{KERNEL_GUIDED}'."
            )
        self.needs_masks = kind == "umsn" or bool(config.get("masks"))
        if self.needs_masks and self.s_net is None:
            raise InputError(
                f"{self.path} was trained with masks from the shards and has no S-Net to make masks with; "
                "train the segmentation stages into the same folder, then stage umsn."
            )

    def __call__(self, blurry: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Deblur one picture, uint8 ``[H, W, 3]`` RGB of any size."""
        return self.batch(blurry[None])[0]

    def batch(self, blurry: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Deblur pictures of one size, uint8 ``[N, H, W, 3]`` RGB, some at a time."""
        found = np.empty_like(blurry)
        if not isinstance(self.network, KernelGuided) or max(blurry.shape[1:3]) <= tiles.TILE:
            return self._results(blurry, as_pixels, found)
        # All tiles of a picture have one kernel, so it is estimated ahead of them.
        for picture, result in zip(blurry, found, strict=True):
            kernel = torch.from_numpy(self.kernel(picture)).to(self.device)
            apply = partial(self._apply_kernel, self.network, kernel)
            self._results(picture[None], as_pixels, result[None], apply)
        return found

    @staticmethod
    def _apply_kernel(network: KernelGuided, kernel: Tensor, picture: Tensor) -> Tensor:
        return network(as_image(picture), kernel.expand(len(picture), -1, -1))

    @torch.no_grad()
    def kernel(self, blurry: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the kernel that a picture, uint8 ``[H, W, 3]``, is taken to be blurred with.

        float32 ``[29, 29]`` of sum 1, centred. Raises InputError for a network that estimates none.
        """
        return self.require_kernel().kernel(to_image(blurry, self.device))[0].cpu().numpy()

    def require_kernel(self) -> KernelGuided:
        """Return the network if it is one that estimates kernels, else raise InputError."""
        if not isinstance(self.network, KernelGuided):
            raise InputError(
                f"{self.path} estimates no kernel; give a checkpoint of variant '{KERNEL_GUIDED}'."
            )
        return self.network

    @property
    def _used(self) -> list[nn.Module]:
        return [self.network, self.s_net] if self.needs_masks and self.s_net is not None else [self.network]

    def _apply(self, picture: Tensor) -> Tensor:
        image = as_image(picture)
        if not self.needs_masks or self.s_net is None:
            return self.network(image)
        return self.network(image, one_hot(segment(self.s_net, image)))

    def _reaches(self) -> list[int | None]:
        if isinstance(self.network, KernelGuided):
            return [REACH]
        if not self.needs_masks or self.s_net is None:
            return [tiles.reach(self.network, 3, self.device)]
        return [
            tiles.reach(self.s_net, 3, self.device),
            tiles.reach(lambda x: self.network(x[:, :3], x[:, 3:]), 3 + len(CLASS_NAMES), self.device),
        ]


class Segmenter(_Restorer):
    """A trained S-Net: uint8 ``[H, W, 3]`` RGB in, a label map uint8 ``[H, W]`` of ``LABEL_OF_CLASS`` out.

    Takes the checkpoint of a segmentation stage, or one that holds an S-Net for its masks; else InputError.
    ``precision`` as in ``Deblurrer``.
    """

    def _take_networks(self) -> None:
        both = (self.networks["network"], self.networks.get("s_net"))
        found = [n for n in both if n is not None and network_name(n) == "snet"]
        if not found:
            raise InputError(f"{self.path} holds no S-Net; give the checkpoint of a segmentation stage.")
        self.s_net = found[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label map of one picture of any size."""
        return self.batch(image[None])[0]

    def batch(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label maps ``[N, H, W]`` of pictures of one size, uint8 ``[N, H, W, 3]``."""
        return self._results(
            images,
            lambda logits: LABEL_OF_CLASS[logits.argmax(1).cpu().numpy()],
            np.empty(images.shape[:3], np.uint8),
        )

    @property
    def _used(self) -> list[nn.Module]:
        return [self.s_net]

    def _apply(self, picture: Tensor) -> Tensor:
        return self.s_net(as_image(picture))

    def _reaches(self) -> list[int | None]:
        return [tiles.reach(self.s_net, 3, self.device)]


def _trained_side(data: Any) -> int:
    """Return the side of the patches that a network was trained on, from what its checkpoint says of them."""
    side = data.get("patch_size") if isinstance(data, dict) else None
    return side if type(side) is int and tiles.SMALLEST <= side <= tiles.TILE else tiles.WINDOW
