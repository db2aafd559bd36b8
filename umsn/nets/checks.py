"""Checks that the networks' configurations share, and the channel numbers that follow from them."""

from __future__ import annotations

from typing import Final

from torch import Tensor

EXPANSION: Final = 3
"""Channels inside a ResBlock(m, n), in multiples of n (Fig. 4)."""

MOST_BLOCKS: Final = 64
"""At one place. A configuration may come from a foreign file, and to build a network takes time."""

MOST_CHANNELS: Final = 4_096


def require_positive(**sizes: int | tuple[int, ...]) -> None:
    """Raise ValueError unless every number is at least 1, and at most what a network can sensibly have."""
    for name, size in sizes.items():
        most = MOST_BLOCKS if name.endswith(("blocks", "stages")) else MOST_CHANNELS
        for each in size if isinstance(size, tuple) else (size,):
            if not 1 <= each <= most:
                raise ValueError(f"Argument '{name}' must be from 1 to {most:,}, not {each:,}.")


def require_inner(inner: tuple[int, ...], blocks: int) -> None:
    """Raise ValueError unless `inner` is empty or has a number from 1 up for each of blocks + 2 ResBlocks."""
    if inner and len(inner) != blocks + 2:
        raise ValueError(f"Argument 'inner' must have {blocks + 2} numbers or none, not {len(inner)}.")
    require_positive(inner=inner)


def require_size(image: Tensor) -> None:
    """Raise ValueError for images [N, C, H, W] smaller than 2x2."""
    height, width = image.shape[-2:]
    if height < 2 or width < 2:
        raise ValueError(f"Images must be at least 2x2 pixels, not {height}x{width}.")


def default_inner(width: int, blocks: int, last_width: int) -> tuple[int, ...]:
    """3n channels inside each ResBlock(m, n) of a trunk: the first, the `blocks` ones, the last (Fig. 4)."""
    return (EXPANSION * width,) * (1 + blocks) + (EXPANSION * last_width,)
