"""What a camera is like that takes the pictures of a dataset: the part of a recipe that only it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MOTIONS: Final = ("shift", "rotation")
SENSORS: Final = ("darmstadt", "sony-a7r3", "none")
DEMOSAICS: Final = ("malvar", "bilinear")
TONES: Final = ("srgb", "family")


@dataclass(frozen=True)
class Camera:
    """How the camera formation makes a picture (FORMAT.md, section 6). Raises ValueError out of range.

    ``motion``: "shift", the kernels of the bank in linear light, or "rotation", the mean over ``poses`` (32
    to 64) of the picture as the camera sees it on a path in six degrees of freedom. ``focal_mm``: lowest
    and highest focal length of the phones, in whole millimetres of a 35 mm camera, 13 to 200.
    ``clip_level``: the grey level, 1 to 256, from which on in all channels a pixel counts as clipped and gets
    more light; 256: none.
    ``sensor``: whose gain and read noise are drawn. ``demosaic`` and ``tone``: how the picture is developed.
    """

    motion: Literal["shift", "rotation"] = "shift"
    poses: int = 32
    focal_mm: tuple[int, int] = (24, 77)
    clip_level: int = 250
    sensor: Literal["darmstadt", "sony-a7r3", "none"] = "darmstadt"
    demosaic: Literal["malvar", "bilinear"] = "malvar"
    tone: Literal["srgb", "family"] = "srgb"

    def __post_init__(self) -> None:
        _check_one_of("motion", self.motion, MOTIONS)
        _check_one_of("sensor", self.sensor, SENSORS)
        _check_one_of("demosaic", self.demosaic, DEMOSAICS)
        _check_one_of("tone", self.tone, TONES)
        _check_whole("poses", self.poses, 32, 64)
        _check_whole("clip_level", self.clip_level, 1, 256)
        if not isinstance(self.focal_mm, list | tuple) or len(self.focal_mm) != 2:
            raise ValueError(f"Argument 'camera.focal_mm' must be two lengths, not {self.focal_mm!r:.60}.")
        for length in self.focal_mm:
            _check_whole("focal_mm", length, 13, 200)
        if self.focal_mm[0] > self.focal_mm[1]:
            raise ValueError(f"Argument 'camera.focal_mm' must ascend, not {self.focal_mm!r:.60}.")
        object.__setattr__(self, "focal_mm", tuple(self.focal_mm))


def _check_one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"Argument 'camera.{name}' must be one of {', '.join(known)}, not {value!r:.60}.")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            f"Argument 'camera.{name}' must be a whole number from {low} to {high}, not {value!r:.60}."
        )
