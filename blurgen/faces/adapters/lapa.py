"""LaPa (Liu et al., "A new dataset and boundary-attention semantic segmentation for face parsing", 2020).

Layout, as unpacked::

    PATH/train/images/10009865324_0.jpg   18,176 pictures; PATH/val and PATH/test have 2,000 each
    PATH/train/labels/10009865324_0.png   label of each pixel, numbered as ours

``validation`` is what lies in ``val``. Faces are cut out at the scale of the paper's aligned faces.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.in_folder import CutOutFaces
from blurgen.faces.adapters.listing import existing_folder, find_files, folder_inside, printable
from blurgen.faces.decode import decode_numbers, decode_picture
from blurgen.faces.selection import take
from blurgen.faces.sides import own_sides
from blurgen.faces.source import SourceOptions
from blurgen.labels import LAPA, translate

_LAYOUT = "lapa needs train/, val/ and test/, each with images/ and labels/"
_PARTS = {"all": ("train", "val", "test"), "train": ("train",), "validation": ("val",), "test": ("test",)}


class LaPa(CutOutFaces):
    """A folder of LaPa faces."""

    def files(self, i: int) -> list[str]:
        return [self.pictures[i], self._label_map(i)]

    def photograph(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pixels = decode_picture(data, where)
        label_map, label_map_where = self.load(self._label_map(i))
        numbers = decode_numbers(label_map, label_map_where, pixels.shape)
        return pixels, own_sides(translate(numbers, LAPA, label_map_where))

    def _label_map(self, i: int) -> str:
        part, _, picture = self.pictures[i].split("/", 2)
        return f"{part}/labels/{os.path.splitext(picture)[0]}.png"


def open_source(argument: str, options: SourceOptions) -> LaPa:
    """Open a folder of LaPa; InputError names what is missing from its layout."""
    root = existing_folder(argument, _LAYOUT)
    files: list[str] = []
    for part in _PARTS[options.split]:
        folder_inside(root, os.path.join(part, "labels"), _LAYOUT)
        images = folder_inside(root, os.path.join(part, "images"), _LAYOUT)
        files += [f"{part}/images/{file}" for file in find_files(images, (".jpg",))]
    if not files:
        raise InputError(f"{printable(argument)} holds no pictures; {_LAYOUT}.")
    return LaPa(f"lapa:{argument}", root, options, take(files, options))
