"""Sheets of results: blurry, restored and clean side by side, each with its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from umsn.metrics import psnr
from umsn.pairs import Pair

_GAP: Final = 6
_CAPTION: Final = 16
_PAPER: Final = "white"
_INK: Final = "black"
_FONT_SIZE: Final = 11


def strip(pair: Pair, restored: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """Return one row: the result of each method with its PSNR, then the clean picture."""
    cells = [(picture, f"{name} {psnr(picture, pair.clean):.2f} dB") for name, picture in restored.items()]
    cells.append((pair.clean, "clean"))
    height, width = pair.clean.shape[:2]
    row = Image.new("RGB", (len(cells) * (width + _GAP) + _GAP, height + _CAPTION + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(_FONT_SIZE)
    for number, (picture, caption) in enumerate(cells):
        left = _GAP + number * (width + _GAP)
        row.paste(Image.fromarray(picture), (left, _GAP))
        draw.text((left, _GAP + height + 1), caption, _INK, font)
    return row


def sheet(strips: Sequence[Image.Image], columns: int = 2) -> Image.Image:
    """Return strips of one size laid out in columns, filled row by row."""
    width, height = strips[0].size
    rows = -(-len(strips) // columns)
    page = Image.new("RGB", (columns * (width + _GAP), rows * height), _PAPER)
    for number, one in enumerate(strips):
        page.paste(one, (number % columns * (width + _GAP), number // columns * height))
    return page
