"""PNG files with the same bytes every time, of which a half-written one is never taken for whole.

Tens of thousands of small files cannot each wait for the disk. They are written under another name and
renamed, which a killed process does not tear; whoever declares the collection complete calls ``os.sync``
before.
"""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.files.hdf5 import NO_ROOM, write_aside

COMPRESS_LEVEL: Final = 1
"""Of zlib. Noise does not compress: levels 1 to 9 differ by 6 % in size and by a factor of two in time."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
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


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, as long as the machine does not go down.

    InputError when the disk is full.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            refuse_full_disk(error, path.parent)
        raise


def refuse_full_disk(error: OSError, folder: Path) -> None:
    """Raise InputError if ``error`` says that there is no room left in ``folder``."""
    if error.errno in NO_ROOM:
        raise InputError(
            f"No room left in {folder.absolute()}; free some space and run the same command again."
        ) from None


def is_whole_png(path: Path) -> bool:
    """Return whether a PNG file is there from its first bytes to its last ones."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_SIGNATURE))
            file.seek(-len(_END), os.SEEK_END)
            return begin == _SIGNATURE and file.read() == _END
    except OSError:
        return False
