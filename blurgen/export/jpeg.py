"""JPEG's traces in a picture: what its encoder leaves depends on the library, so only exports have them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL import __version__ as pillow_version


def through_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return RGB uint8 ``[H, W, 3]`` as it is after JPEG of ``quality`` 1 to 100, colours halved (4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    buffer.seek(0)
    return np.array(Image.open(buffer))


def jpeg_facts(quality: int) -> dict[str, Any]:
    """Return what the traces depend on: the quality, and the versions of Pillow and its JPEG library."""
    library = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    versions = {"pillow": pillow_version, library: str(features.version_codec("jpg"))}
    return {"quality": quality, "subsampling": "4:2:0", **versions}
