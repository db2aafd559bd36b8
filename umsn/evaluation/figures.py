"""The paper's figures: results, masks, classes and residuals of a few pictures of the test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from blurgen.dataset.pictures import LABEL_COLOURS
from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL, NO_CLASS, Label
from umsn.evaluation.strips import Tile, sheet
from umsn.nets import BNet
from umsn.nets.segmentation import segment
from umsn.patches.batches import as_pixels, one_hot, to_image
from umsn.restore.deblur import LABEL_OF_CLASS, Deblurrer
from umsn.restore.tiles import SMALLEST
from umsn.scoring.measures import Picture
from umsn.scoring.metrics import psnr, ssim
from umsn.scoring.pairs import Pair

Segment = Callable[[Picture], NDArray[np.uint8]]
"""From a picture to its label map."""

MASKED: Final = 6
"""How many of the pictures the figures of masks and residuals show."""

ISOLATED: Final = 3
"""How many of them the figure of classes shows."""

_LARGEST: Final = 512
"""Side of the part of a picture that is shown where it goes through a network in one piece."""

_RESIDUAL_GAIN: Final = 4
_GREY: Final = 128


@dataclass(frozen=True)
class Shown:
    """A picture of the test set, and what each method made of it."""

    pair: Pair
    restored: Mapping[str, Picture]


def some(shown: Sequence[Shown], count: int) -> list[Shown]:
    """Return ``count`` of them, or all there are, spread evenly: neighbours may show one face."""
    places = np.linspace(0, len(shown) - 1, min(count, len(shown))).astype(int)
    return [shown[i] for i in places]


def results(shown: Sequence[Shown], methods: Sequence[str]) -> Image.Image:
    """Return a row for each picture: what each method made of it, with PSNR and SSIM, and the truth (Fig. 9).

    With the methods of the ablation it is Fig. 11.
    """
    rows = []
    for one in shown:
        pictures = [one.restored[method] for method in methods]
        tiles = [
            Tile(p, f"{psnr(p, one.pair.clean):.2f} dB / {ssim(p, one.pair.clean):.3f}") for p in pictures
        ]
        rows.append([*tiles, Tile(one.pair.clean)])
    return sheet(rows, [*methods, "clean"])


def masks(
    shown: Sequence[Shown], on_clean: Segment | None, fine_tuned: Segment | None, method: str | None
) -> Image.Image:
    """Return a column of pictures for each step from blurry to restored, with S-Net's masks (Figs. 7, 14)."""
    columns: list[tuple[str, Callable[[Shown], Picture | None]]] = [("blurry", lambda s: s.pair.blurry)]
    if on_clean is not None:
        columns.append(("masks, S-Net trained on clean", lambda s: _coloured(on_clean(s.pair.blurry))))
    if fine_tuned is not None:
        columns.append(("masks, S-Net fine-tuned", lambda s: _coloured(fine_tuned(s.pair.blurry))))
    columns.append(("labels", lambda s: None if s.pair.labels is None else _coloured(s.pair.labels)))
    if method is not None:
        columns.append((method, lambda s: s.restored[method]))
    columns.append(("clean", lambda s: s.pair.clean))
    rows = []
    for one in some(shown, MASKED):
        pictures = [make(one) for _, make in columns]
        rows.append([None if picture is None else Tile(picture) for picture in pictures])
    return sheet(rows, [heading for heading, _ in columns])


def classes(
    shown: Sequence[Shown], networks: Mapping[int, nn.Module], device: torch.device
) -> Image.Image | None:
    """Return, for each class with a first-stage network, mask, isolated blur and output (Fig. 8).

    Only the class's own pixels are blurry; the others are clean, and without noise. Three rows for each
    picture; None where no picture has labels.
    """
    rows: list[list[Tile | None]] = []
    for one in some([s for s in shown if s.pair.labels is not None], ISOLATED):
        steps = [_isolated(one.pair, number, network, device) for number, network in networks.items()]
        rows += [[None if step is None else step[i] for step in steps] for i in range(3)]
    return sheet(rows, [CLASS_NAMES[number] for number in networks]) if rows else None


def _isolated(
    pair: Pair, number: int, network: nn.Module, device: torch.device
) -> tuple[Tile, Tile, Tile] | None:
    """Return the mask of a class, the picture with that class blurred, and the network's output."""
    assert pair.labels is not None
    part = np.s_[:_LARGEST, :_LARGEST]
    clean, mask = pair.clean[part], CLASS_OF_LABEL[pair.labels[part]] == number
    if not mask.any():
        return None
    isolated = np.where(mask[..., None], pair.blurry[part], clean)
    with torch.no_grad():
        masks = torch.from_numpy(mask).to(device)[None, None].float()
        output = as_pixels(network(to_image(isolated, device), masks))[0]
    white = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    before, after = (f"{psnr(picture, clean):.2f} dB" for picture in (isolated, output))
    return Tile(white, "mask"), Tile(isolated, f"blurry {before}"), Tile(output, f"deblurred {after}")


def residuals(shown: Sequence[Shown], deblur: Deblurrer) -> Image.Image | None:
    """Return blurry, restored and residual pictures, and a nested residual map for each class (Fig. 12).

    The nested residual has many channels; shown for a class is the magnitude of the one that is most its
    own: the highest mean inside the class over the mean outside. None where the network has no nested
    residuals.
    """
    network = deblur.network
    base = network if isinstance(network, BNet) else getattr(network, "base", None)
    nested = getattr(base, "nested", None)
    if not isinstance(nested, nn.Module) or deblur.s_net is None:
        return None
    rows = []
    for one in some(shown, MASKED):
        blurry = one.pair.blurry[:_LARGEST, :_LARGEST]
        output, maps, found = _nested(deblur, deblur.s_net, nested, blurry)
        difference = output.astype(np.int64) - blurry
        residual = (_GREY + _RESIDUAL_GAIN * difference).clip(0, 255).astype(np.uint8)
        of_class = [_most_its_own(maps, found == number) for number in range(len(CLASS_NAMES))]
        rows.append(
            [
                Tile(blurry),
                Tile(output),
                Tile(residual),
                *(None if m is None else Tile(m) for m in of_class),
            ]
        )
    headings = [f"nested residual, {name}" for name in CLASS_NAMES]
    return sheet(rows, ["blurry", "deblurred", f"residual x {_RESIDUAL_GAIN}", *headings])


@torch.no_grad()
def _nested(
    deblur: Deblurrer, s_net: nn.Module, nested: nn.Module, blurry: Picture
) -> tuple[Picture, NDArray[np.float64], NDArray[np.int64]]:
    """Return the restored picture, the nested residual maps ``[C, H, W]`` and S-Net's classes ``[H, W]``."""
    height, width = blurry.shape[:2]
    more = [(0, max(SMALLEST - side, 0)) for side in (height, width)]
    image = to_image(np.pad(blurry, (*more, (0, 0)), mode="reflect"), deblur.device)
    caught: list[Tensor] = []
    handle = nested.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        found = segment(s_net, image)
        output = deblur.network(image, one_hot(found))
    finally:
        handle.remove()
    # Networks that work at a fraction of the resolution have maps of that.
    maps = F.interpolate(caught[0].double(), size=image.shape[-2:], mode="nearest")
    return (
        as_pixels(output[..., :height, :width])[0],
        maps[0, :, :height, :width].cpu().numpy(),
        found[0, :height, :width].cpu().numpy(),
    )


def _most_its_own(maps: NDArray[np.float64], mask: NDArray[np.bool_]) -> Picture | None:
    """Return as a grey picture the channel that is strongest inside ``mask`` as against outside."""
    if not mask.any() or mask.all():
        return None
    magnitude = np.abs(maps)
    contrast = magnitude[:, mask].mean(axis=1) / (magnitude[:, ~mask].mean(axis=1) + 1e-12)
    best = magnitude[int(contrast.argmax())]
    grey = (best / max(float(np.quantile(best, 0.995)), 1e-12)).clip(0, 1) * 255
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)


def _coloured(labels: NDArray[np.uint8]) -> Picture:
    """Return a label map in the colours of its classes."""
    numbers = CLASS_OF_LABEL[labels]
    of_class = np.append(LABEL_OF_CLASS, np.uint8(Label.UNKNOWN))[np.where(numbers == NO_CLASS, 4, numbers)]
    return LABEL_COLOURS[of_class]
