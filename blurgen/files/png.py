"""PNG files with the same bytes every time, of which a half-written one is never taken for whole."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.files.atomic import write_aside

COMPRESS_LEVEL: Final = 1
"""Of zlib. Noise does not compress: levels 1 to 9 differ by 6 % in size and by a factor of two in time."""

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return the PNG file of a picture, uint8 ``[H, W, 3]`` RGB, or of numbers, uint8 ``[H, W]``.

    The bytes are the same for the same version of Pillow and its zlib; the pixels always.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def save_picture(
    path: str | os.PathLike[str], picture: NDArray[np.uint8] | Image.Image, **options: Any
) -> None:
    """Write a picture, uint8 ``[H, W, 3]`` RGB or ``[H, W]``, as a PNG: whole and on disk, or not at all.

    ``options`` are those of ``PIL.Image.Image.save``, such as ``exif``. It waits for the disk, so it is for
    pictures by the hundred. Raises InputError when the folder cannot be written or the disk is full.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with write_aside(path) as aside:
        image.save(aside, "PNG", **options)


def is_whole_png(path: Path) -> bool:
    """Return whether a PNG file is there from its first bytes to its last ones."""
    try:
        if not path.is_file():  # a pipe would never end
            return False
        with path.open("rb") as file:
            begin = file.read(len(SIGNATURE))
            file.seek(-len(_END), os.SEEK_END)
            return begin == SIGNATURE and file.read() == _END
    except OSError:
        return False
