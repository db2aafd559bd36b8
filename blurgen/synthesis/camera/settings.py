"""What a camera is like that takes the pictures of a dataset: the part of a recipe that only it has."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from blurgen.errors import Argument, ArgumentError
from blurgen.files.strict_json import Checked

_Length = Annotated[int, Meta(ge=13, le=200)]


class Camera(Checked, frozen=True):
    """How the camera formation makes a picture (FORMAT.md, section 6). Raises ValueError out of range.

    ``motion``: "shift", the kernels of the bank in linear light, or "rotation", the mean over ``poses`` (32
    to 64) of the picture as the camera sees it on a path in six degrees of freedom. ``focal_mm``: lowest
    and highest focal length of the phones, in whole millimetres of a 35 mm camera, 13 to 200.
    ``clip_level``: the grey level, 1 to 256, from which on in all channels a pixel counts as clipped and gets
    more light; 256: none.
    ``sensor``: whose gain and read noise are drawn. ``demosaic`` and ``tone``: how the picture is developed.
    """

    motion: Literal["shift", "rotation"] = "shift"
    poses: Annotated[int, Meta(ge=32, le=64)] = 32
    focal_mm: tuple[_Length, _Length] = (24, 77)
    clip_level: Annotated[int, Meta(ge=1, le=256)] = 250
    sensor: Literal["darmstadt", "sony-a7r3", "none"] = "darmstadt"
    demosaic: Literal["malvar", "bilinear"] = "malvar"
    tone: Literal["srgb", "family"] = "srgb"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.focal_mm[0] > self.focal_mm[1]:
            raise ArgumentError(Argument("focal_mm"), f" must ascend, not {self.focal_mm}.")
