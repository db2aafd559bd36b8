"""Reading a PNG file of which every byte counts: all checksums are checked before anything is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.files.bounded import read_bounded
from blurgen.files.png import SIGNATURE

_COLOUR_TYPES: Final = {3: 2, 2: 0}  # dimensions of the array -> RGB, grey
_OVERHEAD: Final = 1 << 16  # bytes of a file beyond its pixels, at most


def read_checked(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the picture in a PNG file, uint8 ``[H, W, 3]`` RGB or ``[H, W]`` grey, as ``shape`` says.

    InputError naming the file when a single bit is damaged, or when it is another kind of picture.
    """
    most = 2 * int(np.prod(shape)) + _OVERHEAD
    content = read_bounded(path, most)
    if not _is_sound(content):
        raise InputError(f"{path}: is damaged or no PNG file.")
    expected = struct.pack(">IIBBBBB", shape[1], shape[0], 8, _COLOUR_TYPES[len(shape)], 0, 0, 0)
    if content[16:29] != expected:
        kind = "RGB" if len(shape) == 3 else "grey"
        raise InputError(f"{path}: is not a picture of {shape[1]} x {shape[0]} pixels, 8 bit {kind}.")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}).") from None


def _is_sound(content: bytes) -> bool:
    """Return whether these are the chunks of a PNG file, IHDR to IEND, each with the right checksum."""
    if not content.startswith(SIGNATURE):
        return False
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(content):
            return False
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 12 + length
        first, kind = not kind, content[place + 4 : place + 8]
        if end > len(content) or first != (kind == b"IHDR"):
            return False
        if zlib.crc32(content[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            return False
        place = end
    return place == len(content)
