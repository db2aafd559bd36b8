"""Checks that the networks' configurations share, and the channel numbers that follow from them."""

from __future__ import annotations

from umsn.nets.blocks import EXPANSION


def require_positive(**sizes: int) -> None:
    """Raise ValueError unless every number is at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"Argument '{name}' must be at least 1, not {size}.")


def require_inner(inner: tuple[int, ...], blocks: int) -> None:
    """Raise ValueError unless `inner` is empty or has a number from 1 up for each of blocks + 2 ResBlocks."""
    if inner and len(inner) != blocks + 2:
        raise ValueError(f"Argument 'inner' must have {blocks + 2} numbers or none, not {len(inner)}.")
    for channels in inner:
        if type(channels) is not int or channels < 1:
            raise ValueError(f"Argument 'inner' must hold whole numbers from 1 up, not {channels!r}.")


def default_inner(width: int, blocks: int, last_width: int) -> tuple[int, ...]:
    """3n channels inside each ResBlock(m, n) of a trunk: the first, the `blocks` ones, the last (Fig. 4)."""
    return (EXPANSION * width,) * (1 + blocks) + (EXPANSION * last_width,)
