"""Pictures in rows and columns, with headings and captions: the form of all figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP: Final = 6
_LINE: Final = 14
_FONT_SIZE: Final = 11
_PAPER: Final = "white"
_INK: Final = "black"

LARGEST_SIDE: Final = 384
"""Larger pictures are shown smaller."""


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 ``[H, W, 3]`` RGB, and the lines below it."""

    picture: NDArray[np.uint8]
    caption: str = ""


def sheet(rows: Sequence[Sequence[Tile | None]], headings: Sequence[str]) -> Image.Image:
    """Return rows of tiles under the headings of their columns; None leaves a place empty.

    A column is as wide as its widest picture, one without pictures as the widest of all; a row is as high as
    its highest. Raises ValueError where a row does not have one tile for each heading.
    """
    if not rows or any(len(row) != len(headings) for row in rows):
        raise ValueError("Argument 'rows' must hold rows of one tile for each heading.")
    images = [[None if t is None else _shown(t.picture) for t in row] for row in rows]
    widest = max((image.width for row in images for image in row if image is not None), default=_GAP)
    widths = [
        max((image.width for image in column if image is not None), default=widest)
        for column in zip(*images, strict=True)
    ]
    heights = [max((image.height for image in row if image is not None), default=0) for row in images]
    lines = [max(0 if t is None else _lines(t.caption) for t in row) for row in rows]
    font = ImageFont.load_default(_FONT_SIZE)
    titles = [_wrapped(text, width, font) for text, width in zip(headings, widths, strict=True)]
    top = max(len(title) for title in titles) * _LINE + _GAP
    height = top + sum(h + _GAP + _LINE * c for h, c in zip(heights, lines, strict=True))
    page = Image.new("RGB", (sum(widths) + _GAP * (len(widths) + 1), height), _PAPER)
    draw = ImageDraw.Draw(page)
    lefts = [_GAP + sum(widths[:i]) + i * _GAP for i in range(len(widths))]
    for left, title in zip(lefts, titles, strict=True):
        for number, line in enumerate(title):
            draw.text((left, number * _LINE + 2), line, _INK, font)
    for row, row_images, row_height, caption_lines in zip(rows, images, heights, lines, strict=True):
        for left, tile, image in zip(lefts, row, row_images, strict=True):
            if tile is not None and image is not None:
                page.paste(image, (left, top))
                for number, line in enumerate(tile.caption.splitlines()):
                    draw.text((left, top + row_height + number * _LINE + 1), line, _INK, font)
        top += row_height + _GAP + _LINE * caption_lines
    return page


def _shown(picture: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return image


def _lines(caption: str) -> int:
    return len(caption.splitlines())


def _wrapped(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """Break a heading at spaces into lines that fit ``width`` pixels, where words do."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
