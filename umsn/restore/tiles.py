"""Pictures of any size through a network, tile by tile, so that memory is bounded.

A network without normalisation by picture makes of a pixel a function of its surroundings, up to a distance
(``reach``). Its tiles are large, and what lies within that distance of a cut is thrown away: the rest is
what the network makes of the picture in one piece, wherever the cuts are.

A network that normalises by picture has no such distance: every pixel depends on means over all that is
shown at once. It is shown what training showed, windows of one size, half overlapping, and a pixel is the
mean of those it lies in, weighted by a smooth function that is zero at their borders: there is no seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blurgen.jobs.progress import Bar, Silent
from umsn.nets.blocks import InstanceNorm

TILE: Final = 2048
"""Side of the largest square that goes through a network in one piece, in pixels."""

WINDOW: Final = 128
"""Side of what training shows, where a checkpoint does not say; the paper's (section IV-A)."""

SMALLEST: Final = 32
"""Smaller pictures are mirrored up to this many pixels: instance normalisation needs a few to average."""

ALIGN: Final = 64
"""Tiles begin at multiples of it. It is a multiple of what any network divides the resolution by."""

_TOGETHER: Final = 1 << 19  # pixels of the tiles of one batch: 32 windows of 128 x 128
_NORMS: Final = (InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase)

Function = Callable[..., Tensor]
"""Parts of the sources, uint8 tensors ``[n, h, w, ...]``, in; float ``[n, C, h, w]`` out."""


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut into square tiles, the same along both axes."""

    side: int
    step: int
    """From where one tile begins to where the next does."""
    blended: bool
    """Whether tiles fade into each other where they overlap; else each has its share of the overlap."""

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.side:
            raise ValueError(f"Argument 'step' must be from 1 to {self.side}, not {self.step}.")


@dataclass(frozen=True)
class _Span:
    """Where a tile lies along one axis, and how much each of its pixels counts there: 1 in all."""

    start: int
    weights: NDArray[np.float32]

    @property
    def stop(self) -> int:
        return self.start + len(self.weights)


def normalises(network: nn.Module) -> bool:
    """Tell whether a network normalises by picture, so that each pixel depends on all of them."""
    return any(isinstance(module, _NORMS) for module in network.modules())


def windows(side: int) -> Tiling:
    """Return the tiling for networks that normalise by picture and were trained on patches of ``side``."""
    return Tiling(side, max(1, side // 2), blended=True)


def cropped(reach: int) -> Tiling:
    """Return the tiling for networks in which a pixel depends on others up to ``reach`` away."""
    margin = -(-reach // (ALIGN // 2)) * (ALIGN // 2)
    # With at most a half of a tile thrown away along an axis.
    side = max(TILE, 4 * margin)
    return Tiling(side, side - 2 * margin, blended=False)


def reach(function: Callable[[Tensor], Tensor], channels: int, device: torch.device) -> int | None:
    """Return how many pixels away an input can be that an output of a network depends on; None: any.

    ``function`` takes float ``[1, channels, h, w]`` and gives ``[1, C, h, w]``. Measured along a row, by
    which inputs have a gradient.
    """
    middle = slice(TILE // 2 - ALIGN // 2, TILE // 2 + ALIGN // 2)
    random = torch.Generator().manual_seed(0)
    x = torch.rand(1, channels, SMALLEST, TILE, generator=random).to(device).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(x)[..., middle].sum(), x)
    columns = gradient.abs().amax(dim=(0, 1, 2)).nonzero().flatten().tolist()
    first, last = (columns[0], columns[-1]) if columns else (middle.start, middle.start)
    if first == 0 or last == TILE - 1:
        return None
    return max(middle.start - first, last - (middle.stop - 1), 0)


def count_tiles(sources: Sequence[NDArray[np.uint8]], tiling: Tiling) -> int:
    """Return how many tiles ``in_tiles`` makes."""
    count, height, width = sources[0].shape[:3]
    rows, columns = (len(_spans(max(side, SMALLEST), tiling)) for side in (height, width))
    return count * rows * columns


@torch.no_grad()
def in_tiles(
    function: Function,
    sources: Sequence[NDArray[np.uint8]],
    tiling: Tiling,
    device: torch.device,
    *,
    most: int = _TOGETHER,
    bar: Bar = Silent(),
) -> Iterator[tuple[slice, Tensor]]:
    """Apply ``function`` to pictures tile by tile; yield rows and what they have become, from the top down.

    ``sources`` are uint8 arrays ``[N, H, W, ...]`` of one N, H and W: pictures and what belongs to them, such
    as masks. Yielded are slices of H and float32 tensors ``[N, C, rows, W]``. Tiles of equal size go through
    together as long as they have at most ``most`` pixels (one tile may have more). ``bar`` counts tiles.
    """
    height, width = sources[0].shape[1:3]
    sources = [_mirrored(source, max(height, SMALLEST), max(width, SMALLEST)) for source in sources]
    spans = _spans(sources[0].shape[1], tiling)
    columns = _spans(sources[0].shape[2], tiling)
    carried: Tensor | None = None
    for rows, following in zip(spans, [*spans[1:], None], strict=True):
        band = _row_of_tiles(function, sources, rows, columns, device, most, bar)
        band *= torch.from_numpy(rows.weights).to(band.device)[:, None]
        if carried is not None:
            band[:, :, : carried.shape[2]] += carried
        done = (rows.stop if following is None else following.start) - rows.start
        # A copy, for no more than one row of tiles is to be in memory.
        carried = band[:, :, done:].clone()
        stop = min(rows.start + done, height)
        yield slice(rows.start, stop), band[:, :, : stop - rows.start, :width]
        del band


def _row_of_tiles(
    function: Function,
    sources: Sequence[NDArray[np.uint8]],
    rows: _Span,
    columns: Sequence[_Span],
    device: torch.device,
    most: int,
    bar: Bar,
) -> Tensor:
    """Return what one row of tiles becomes, float32 ``[N, C, h, W]``."""
    count, _, width = sources[0].shape[:3]
    band: Tensor | None = None
    tiles = [(n, span) for span in columns for n in range(count)]
    for batch in _batches(tiles, len(rows.weights), most):
        parts = [
            np.stack([s[n, rows.start : rows.stop, span.start : span.stop] for n, span in batch])
            for s in sources
        ]
        results = function(*(torch.from_numpy(part).to(device) for part in parts)).float()
        if band is None:
            shape = (count, results.shape[1], len(rows.weights), width)
            band = torch.zeros(shape, device=results.device)
        for result, (n, span) in zip(results, batch, strict=True):
            weights = torch.from_numpy(span.weights).to(results.device)
            band[n, :, :, span.start : span.stop].addcmul_(result, weights)
        bar.advance(len(batch))
    assert band is not None
    return band


def _batches(
    tiles: Sequence[tuple[int, _Span]], height: int, most: int
) -> Iterator[Sequence[tuple[int, _Span]]]:
    """Cut a list of tiles into batches of equal width and at most ``most`` pixels, but at least one tile."""
    first = 0
    while first < len(tiles):
        width = len(tiles[first][1].weights)
        last = first + 1
        while (
            last < len(tiles)
            and len(tiles[last][1].weights) == width
            and (last + 1 - first) * width * height <= most
        ):
            last += 1
        yield tiles[first:last]
        first = last


def _spans(length: int, tiling: Tiling) -> list[_Span]:
    """Return where tiles lie along an axis of ``length`` pixels, and their weights."""
    side, step = tiling.side, tiling.step
    if length <= side:
        return [_Span(0, np.ones(length, np.float32))]
    count = 1 + -(-(length - side) // step)
    if not tiling.blended:
        # Each overlap is parted in its middle.
        cuts = [0, *(i * step + (side - step) // 2 for i in range(1, count)), length]
        return [
            _Span(i * step, _box(i * step, min(i * step + side, length), cuts[i], cuts[i + 1]))
            for i in range(count)
        ]
    # The last ends where the picture does; all have the size that training showed.
    starts = [min(i * step, length - side) for i in range(count)]
    hump = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + side] += hump
    return [_Span(start, (hump / total[start : start + side]).astype(np.float32)) for start in starts]


def _box(start: int, stop: int, first: int, end: int) -> NDArray[np.float32]:
    """Return weights of the pixels ``start`` to ``stop``: 1 from ``first`` on and before ``end``, else 0."""
    places = np.arange(start, stop)
    return ((places >= first) & (places < end)).astype(np.float32)


def _mirrored(source: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Extend pictures ``[N, H, W, ...]`` at the bottom and the right by mirroring, as often as that takes."""
    more = (height - source.shape[1], width - source.shape[2])
    if more == (0, 0):
        return source
    return np.pad(
        source, ((0, 0), (0, more[0]), (0, more[1]), *((0, 0),) * (source.ndim - 3)), mode="reflect"
    )
