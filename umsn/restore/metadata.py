"""What a photograph says beside its pixels, for the picture that is made of it: camera, place, colours."""

from __future__ import annotations

import warnings
from typing import Any

from blurgen.faces.decode import open_picture

_ORIENTATION = 0x0112
_UPRIGHT = 1
_GPS = 0x8825
_DIRECTORIES = frozenset({0x8769, _GPS})  # the camera's settings, and where it was
_OF_THE_FILE = frozenset(
    {*range(254, 260), 262, 263, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 330, 338, 339}
)
"""TIFF tags that say how that file stores its pixels; among EXIF data of another file they would lie."""


def kept_metadata(data: bytes, *, gps: bool = False) -> dict[str, Any]:
    """Return EXIF data, without rotation and preview, and colour profile of a picture file.

    Where a picture was taken is left out unless ``gps``: results are made to be shown. As options for
    ``PIL.Image.Image.save``; empty where the file has neither, or what it has is broken.
    """
    kept: dict[str, Any] = {}
    try:
        with warnings.catch_warnings(), open_picture(data) as original:
            warnings.simplefilter("ignore")
            exif = original.getexif()
            if not gps:
                exif.pop(_GPS, None)
            for directory in _DIRECTORIES.intersection(exif):
                exif.get_ifd(directory)  # or it would be kept as a place in the old file
            for tag in _OF_THE_FILE.intersection(exif):
                del exif[tag]
            if exif:
                exif[_ORIENTATION] = _UPRIGHT
                kept["exif"] = exif.tobytes()
            if original.mode in ("RGB", "RGBA") and "icc_profile" in original.info:
                kept["icc_profile"] = original.info["icc_profile"]
    except Exception:
        # The pixels could be read; data beside them that cannot be is left out, as viewers do.
        kept.pop("exif", None)
    return kept
