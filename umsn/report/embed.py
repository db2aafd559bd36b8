"""Pictures inside the page: exact as long as they are small together, good JPEG beyond that."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXACT_BYTES: Final = 4_000_000
"""Up to this many bytes of PNG together, pictures are embedded exactly."""

_QUALITY: Final = 90


def data_uris(pictures: Sequence[NDArray[np.uint8]], largest_side: int = 1024) -> tuple[list[str], bool]:
    """Return pictures, uint8 ``[H, W, 3]``, as data URIs, and whether they are exact.

    What is not exact is JPEG, made smaller where a side has more than ``largest_side`` pixels.
    """
    exact = []
    size = 0
    for picture in pictures:
        exact.append(_png(picture))
        size += len(exact[-1])
        if size > EXACT_BYTES:
            return [_uri("jpeg", _jpeg(picture, largest_side)) for picture in pictures], False
    return [_uri("png", data) for data in exact], True


def png_uri(picture: NDArray[np.uint8]) -> str:
    """Return one small picture, exact, as a data URI."""
    return _uri("png", _png(picture))


def _png(picture: NDArray[np.uint8]) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return out.getvalue()


def _jpeg(picture: NDArray[np.uint8], largest_side: int) -> bytes:
    image = Image.fromarray(picture)
    image.thumbnail((largest_side, largest_side), Image.Resampling.LANCZOS)
    out = BytesIO()
    # Colours at full resolution: a blurred colour edge would be taken for the method's. Not optimised: for
    # that Pillow guesses how large the result will be, and fails where noise makes it larger.
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
