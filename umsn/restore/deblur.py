"""A photograph in, a sharper one out; or the map of its semantic classes.

Any size: a picture larger than a tile is worked on in overlapping tiles, so that memory is bounded.
Pictures should show what the training saw: a face that fills most of a frame some 128 to 300 pixels high.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blurgen.errors import InputError
from blurgen.faces.decode import PICTURE_SUFFIXES, decode_picture
from blurgen.files.png import save_picture
from blurgen.labels import Label
from umsn.checkpoint import load_networks
from umsn.devices import usable_device
from umsn.folders import make_folder
from umsn.nets import config_of, network_name
from umsn.nets.segmentation import segment
from umsn.patches.batches import as_pixels, one_hot, to_image
from umsn.restore.metadata import kept_metadata

TILE: Final = 512
"""Side of the largest square that goes through a network in one piece, in pixels."""

OVERLAP: Final = 64
"""How far neighbouring tiles overlap; there they fade into each other."""

SMALLEST: Final = 32
"""Smaller pictures are mirrored up to this many pixels: instance normalisation needs a few to average."""

LABEL_OF_CLASS: Final[NDArray[np.uint8]] = np.array(
    [Label.BACKGROUND, Label.SKIN, Label.NOSE, Label.HAIR], np.uint8
)
"""One label for each class, so that a class map is a label map that ``blurgen`` reads: features are all 6."""


class Deblurrer:
    """A trained deblurring network, with the S-Net that makes its masks.

        deblur = Deblurrer("run/umsn.safetensors")
        sharp = deblur(blurry)      # uint8 [H, W, 3] RGB, both

    Raises InputError when the checkpoint holds no deblurring network, or one that needs masks and no S-Net.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "auto") -> None:
        self.device = usable_device(device)
        networks = load_networks(path, self.device)
        self.network, self.s_net = networks["network"], networks.get("s_net")
        kind, config = network_name(self.network), config_of(self.network)
        if kind not in ("umsn", "bnet"):
            raise InputError(
                f"{path} holds a network of kind '{kind}'; deblurring takes that of stage 'umsn'."
            )
        self.needs_masks = kind == "umsn" or config["masks"]
        if self.needs_masks and self.s_net is None:
            raise InputError(
                f"{path} was trained with masks from the shards and has no S-Net to make masks with; "
                "train the segmentation stages into the same --out, then stage umsn."
            )

    def __call__(self, blurry: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Deblur one picture, uint8 ``[H, W, 3]`` RGB of any size."""
        return as_pixels(in_tiles(self._deblur, to_image(blurry, self.device)))[0]

    def _deblur(self, tile: Tensor) -> Tensor:
        if not self.needs_masks or self.s_net is None:
            return self.network(tile)
        return self.network(tile, one_hot(segment(self.s_net, tile)))


class Segmenter:
    """A trained S-Net: uint8 ``[H, W, 3]`` RGB in, a label map uint8 ``[H, W]`` of ``LABEL_OF_CLASS`` out.

    Takes the checkpoint of a segmentation stage, or one that holds an S-Net for its masks; else InputError.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "auto") -> None:
        self.device = usable_device(device)
        networks = load_networks(path, self.device)
        found = [
            n
            for n in (networks["network"], networks.get("s_net"))
            if n is not None and network_name(n) == "snet"
        ]
        if not found:
            raise InputError(f"{path} holds no S-Net; give the checkpoint of a segmentation stage.")
        self.s_net = found[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label map of one picture of any size."""
        logits = in_tiles(self.s_net, to_image(image, self.device))
        return LABEL_OF_CLASS[logits.argmax(1)[0].cpu().numpy()]


@torch.no_grad()
def in_tiles(
    function: Callable[[Tensor], Tensor], image: Tensor, *, tile: int = TILE, overlap: int = OVERLAP
) -> Tensor:
    """Apply ``function`` ``[1, 3, h, w] -> [1, C, h, w]`` to a picture ``[1, 3, H, W]`` tile by tile.

    The parts where tiles overlap are means, weighted towards the tile whose middle is nearer. Pictures
    smaller than ``SMALLEST`` are mirrored up to it.
    """
    height, width = image.shape[-2:]
    image = mirrored(image, max(height, SMALLEST), max(width, SMALLEST))
    total: Tensor | None = None
    weights = image.new_zeros(image.shape[-2:])
    for rows in _spans(image.shape[-2], tile, overlap):
        for columns in _spans(image.shape[-1], tile, overlap):
            part = function(image[..., rows, columns]).float()
            total = image.new_zeros(1, part.shape[1], *image.shape[-2:]) if total is None else total
            weight = torch.minimum(
                *torch.meshgrid(_ramp(rows, overlap), _ramp(columns, overlap), indexing="ij")
            )
            total[..., rows, columns] += part * weight.to(image.device)
            weights[rows, columns] += weight.to(image.device)
    assert total is not None
    return (total / weights)[..., :height, :width]


def mirrored(image: Tensor, height: int, width: int) -> Tensor:
    """Extend a picture ``[1, C, H, W]`` at the bottom and the right by mirroring, as often as that takes."""
    rows, columns = (
        torch.from_numpy(np.pad(np.arange(size), (0, wanted - size), mode="reflect")).to(image.device)
        for size, wanted in zip(image.shape[-2:], (height, width), strict=True)
    )
    return image[:, :, rows][..., columns]


def _spans(length: int, tile: int, overlap: int) -> list[slice]:
    """Cut ``length`` into equal overlapping spans of at most ``tile``, all even in length if that can be."""
    if length <= tile:
        return [slice(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [(length - tile) * i // (count - 1) for i in range(count)]
    return [slice(start, start + tile) for start in starts]


def _ramp(span: slice, overlap: int) -> Tensor:
    """Return the weight of each line of a tile: 1 inside, falling towards its ends, never 0."""
    inwards = torch.arange(1, span.stop - span.start + 1, dtype=torch.float32)
    return torch.minimum(inwards, inwards.flip(0)).div(overlap).clamp(max=1)


def picture_files(paths: Iterable[Path]) -> list[Path]:
    """Return the given files, and in place of a folder the pictures in it, by name.

    Raises InputError for a path that does not exist and a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
            if not inside:
                raise InputError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: there is no such file or folder.")
    return found


def result_names(paths: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Return for each result, ``out/<stem>.png``, the picture file it is made from.

    Raises InputError where two results would have one name or a result would replace a picture that went
    in, and as ``picture_files`` does.
    """
    files = picture_files(paths)
    inputs = {path.resolve() for path in files}
    taken: dict[Path, Path] = {}
    for path in files:
        target = out / f"{path.stem}.png"
        if target in taken:
            raise InputError(
                f"{path} and {taken[target]} would both become {target}; give them one at a time."
            )
        if target.resolve() in inputs:
            raise InputError(f"{target} would be replaced by its own result; choose another --out.")
        taken[target] = path
    return taken


def process_files(
    function: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    paths: Iterable[Path],
    out: Path,
    *,
    keep_metadata: bool = False,
) -> Iterator[tuple[Path, InputError | None]]:
    """Apply ``function`` to picture files; each result is ``out/<stem>.png``, of the picture's size.

    It stands upright, whatever the camera's rotation; with ``keep_metadata`` it has the picture's EXIF data
    and colour profile.

    Yields each path when it is done: with None, or with what was wrong with the file; the others are
    still worked on. Raises InputError, before anything is written, as ``result_names`` does.
    """
    taken = result_names(paths, out)
    make_folder(out)
    for target, path in taken.items():
        try:
            data = path.read_bytes()
            result = function(decode_picture(data, str(path)))
            save_picture(target, result, **(kept_metadata(data) if keep_metadata else {}))
            yield path, None
        except InputError as error:
            yield path, error
        except OSError as error:
            yield path, InputError(f"{path}: {error.strerror or error}.")
