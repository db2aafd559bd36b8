"""Checks that the networks' configurations share, and the channel numbers that follow from them."""

from __future__ import annotations

from typing import Final

from umsn.nets.blocks import EXPANSION

MOST_BLOCKS: Final = 64
"""At each place. A configuration may come from a foreign file, and a network takes time to build."""

MOST_CHANNELS: Final = 4_096


def require_positive(**sizes: int) -> None:
    """Raise ValueError unless every number is from 1 to the most that a number of its kind may be."""
    for name, size in sizes.items():
        most = MOST_BLOCKS if name.endswith(("blocks", "stages")) else MOST_CHANNELS
        if not 1 <= size <= most:
            raise ValueError(f"Argument '{name}' must be from 1 to {most:,}, not {size:,}.")


def require_inner(inner: tuple[int, ...], blocks: int) -> None:
    """Raise ValueError unless `inner` is empty or has a number from 1 up for each of blocks + 2 ResBlocks."""
    if inner and len(inner) != blocks + 2:
        raise ValueError(f"Argument 'inner' must have {blocks + 2} numbers or none, not {len(inner)}.")
    for channels in inner:
        if type(channels) is not int or not 1 <= channels <= MOST_CHANNELS:
            raise ValueError(
                f"Argument 'inner' must hold whole numbers from 1 to {MOST_CHANNELS:,}, not {channels!r}."
            )


def default_inner(width: int, blocks: int, last_width: int) -> tuple[int, ...]:
    """3n channels inside each ResBlock(m, n) of a trunk: the first, the `blocks` ones, the last (Fig. 4)."""
    return (EXPANSION * width,) * (1 + blocks) + (EXPANSION * last_width,)
