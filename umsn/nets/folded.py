"""What the compact networks are made of: pictures folded by 4, blocks of dense 3x3 convolutions, a U of them.

A picture is *folded*: the 4 x 4 pixels of a square become channels. Nothing is lost, and
a patch of 128 x 128 is worked on at 32 x 32, 16 x 16 and 8 x 8, in channels by the dozen, which is what
processors and tensor cores multiply fastest.

Differs from the paper, beside the resolution: a block has two 3x3 convolutions, and neither dilation nor
normalisation. Instance normalisation takes brightness, contrast and noise level out of a picture and makes
the result depend on how a photograph is cut into tiles; without it a pixel is a function of its
surroundings. What keeps the signals in bounds is how the weights begin: each block adds a little to its
input.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from umsn.nets.checks import require_positive

FOLD: Final = 4
"""Side of the squares of pixels that become channels."""

MIDDLE_GREY: Final = 0.5
"""Taken from a picture ahead of the first layer: bfloat16 has its finest steps around zero."""

_BRANCH: Final = 0.3
"""What a block's last convolution begins with, in shares of what would keep the variance."""


def fold(x: Tensor, side: int = FOLD) -> Tensor:
    """``[N, C, H, W]`` -> ``[N, side^2 C, H / side, W / side]``; H and W are multiples of ``side``.

    Channels are ordered by pixel, then by channel (``pixel_unshuffle`` has it the other way round): with the
    channels last in memory, as they are here, that copies whole pixels and is several times faster.
    """
    count, channels, height, width = x.shape
    squares = x.permute(0, 2, 3, 1).reshape(count, height // side, side, width // side, side, channels)
    rows = squares.transpose(2, 3).reshape(count, height // side, width // side, side * side * channels)
    return rows.permute(0, 3, 1, 2)


def unfold(x: Tensor, side: int = FOLD) -> Tensor:
    """``[N, side^2 C, h, w]`` -> ``[N, C, side h, side w]``, the inverse of ``fold``."""
    count, channels, height, width = x.shape
    squares = x.permute(0, 2, 3, 1).reshape(count, height, width, side, side, channels // side**2)
    rows = squares.transpose(2, 3).reshape(count, height * side, width * side, channels // side**2)
    return rows.permute(0, 3, 1, 2)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of ``[N, C, H, W]`` until H and W are multiples of a number."""
    height, width = x.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return x
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def convolution(in_channels: int, out_channels: int, size: int, *, share: float = 1.0) -> nn.Conv2d:
    """A convolution to the size of its input that keeps the variance of rectified signals, times a share."""
    conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2)
    nn.init.normal_(conv.weight, std=share * math.sqrt(2 / (in_channels * size**2)))
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class Block(nn.Module):
    """ReLU - 3x3 - ReLU - 3x3, added to the input: ``[N, width, h, w]`` -> the same."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first = convolution(width, inner, 3)
        self.second = convolution(inner, width, 3, share=_BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class FoldedTrunk(nn.Module):
    """A U of blocks over a folded picture: ``[N, in_channels, h, w]`` -> ``[N, widths[0], h, w]``.

    ``widths`` are the channels at each level, each half as large as the one before; ``blocks`` the number of
    blocks there, on the way down and, but for the lowest level, on the way up. On the way up every level is
    given its own maps from the way down and those of **all** levels below. Between levels maps are folded or
    unfolded by 2 and 1x1 convolutions set the channels. ``extra_channels`` at half the resolution of ``x``
    (the F-Nets' features) join the second level, down and up. h and w are multiples of ``multiple``.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        inner: tuple[int, ...] = (),
        extra_channels: int = 0,
    ) -> None:
        super().__init__()
        sizes = iter(inner or default_inner(widths, blocks))
        last = len(widths) - 1
        self.multiple = 2**last

        def level(number: int) -> nn.Sequential:
            return nn.Sequential(*(Block(widths[number], next(sizes)) for _ in range(blocks[number])))

        def sources(number: int) -> nn.ModuleList:
            return nn.ModuleList(
                _joining(widths[n], widths[number] * 4 ** (n - number), 1 + last - number)
                for n in range(number, last + 1)
            )

        self.enter = convolution(in_channels, widths[0], 3)
        self.down = nn.ModuleList(level(n) for n in range(last + 1))
        self.lower = nn.ModuleList(
            _joining(4 * widths[n] + (extra_channels if n == 0 else 0), widths[n + 1]) for n in range(last)
        )
        self.up = nn.ModuleList(level(n) for n in reversed(range(last)))
        self.join = nn.ModuleList(sources(n) for n in reversed(range(last)))
        self.join_extra = _joining(extra_channels, widths[1], 2) if extra_channels and last > 1 else None

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        x = self.down[0](self.enter(x))
        maps = [x]  # the latest of each level
        for number, lower in enumerate(self.lower):
            x = fold(x, 2)
            if number == 0 and extra is not None:
                x = torch.cat((x, extra), dim=1)
            x = self.down[number + 1](lower(x))
            maps.append(x)
        for blocks, join, number in zip(self.up, self.join, reversed(range(len(self.lower))), strict=True):
            assert isinstance(join, nn.ModuleList)
            given = [conv(each) for conv, each in zip(join, maps[number:], strict=True)]
            x = reduce(add, (unfold(each, 2**n) if n else each for n, each in enumerate(given)))
            if number == 1 and extra is not None and self.join_extra is not None:
                x = x + self.join_extra(extra)
            maps[number] = blocks(x)
        return maps[0]


def _joining(in_channels: int, out_channels: int, sources: int = 1) -> nn.Conv2d:
    """The 1x1 convolution of one of ``sources`` maps whose sum a level begins with."""
    return convolution(in_channels, out_channels, 1, share=math.sqrt(0.5 / sources))


def default_inner(widths: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[int, ...]:
    """As many channels inside each block of a trunk as outside."""
    down = [width for width, count in zip(widths, blocks, strict=True) for _ in range(count)]
    up = [w for w, count in list(zip(widths, blocks, strict=True))[-2::-1] for _ in range(count)]
    return (*down, *up)


def require_trunk(widths: tuple[int, ...], blocks: tuple[int, ...], inner: tuple[int, ...]) -> None:
    """Raise ValueError unless these are numbers that a trunk can be made of."""
    require_positive(widths=widths, blocks=blocks, inner=inner)
    if not 2 <= len(widths) <= 6 or len(blocks) != len(widths):
        raise ValueError(
            f"Arguments 'widths' and 'blocks' must have as many numbers as each other, 2 to 6, "
            f"not {len(widths)} and {len(blocks)}."
        )
    wanted = len(default_inner(widths, blocks))
    if inner and len(inner) != wanted:
        raise ValueError(f"Argument 'inner' must have {wanted} numbers or none, not {len(inner)}.")
