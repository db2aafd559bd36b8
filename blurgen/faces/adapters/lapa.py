"""LaPa (Liu et al., "A new dataset and boundary-attention semantic segmentation for face parsing", 2020).

Layout, as unpacked::

    PATH/train/images/10009865324_0.jpg   18,176 pictures; PATH/val and PATH/test have 2,000 each
    PATH/train/labels/10009865324_0.png   label of each pixel, numbered as ours

``validation`` is what lies in ``val``. Faces are cut out at the scale of the paper's aligned faces.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import (
    existing_folder,
    find_files,
    folder_inside,
    listing_digest,
    printable,
    read_inside,
)
from blurgen.faces.crop import FacePoints
from blurgen.faces.cut import cut_face
from blurgen.faces.decode import decode_numbers, decode_picture, sha256
from blurgen.faces.selection import choose
from blurgen.faces.sides import own_sides
from blurgen.faces.source import Face, SourceOptions, refuse_labels
from blurgen.labels import LAPA, translate

_LAYOUT = "lapa needs train/, val/ and test/, each with images/ and labels/"
_PARTS = {"all": ("train", "val", "test"), "train": ("train",), "validation": ("val",), "test": ("test",)}


@dataclass(frozen=True)
class LaPa:
    """A folder of LaPa faces."""

    spec: str
    root: str
    options: SourceOptions
    files: tuple[str, ...]
    """Pictures, such as ``train/images/a.jpg``."""

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        return f"lapa:{printable(self.files[i])}"

    def read(self, i: int) -> Face:
        data = read_inside(self.root, self.files[i])
        where = printable(os.path.join(self.root, self.files[i]))
        pixels = decode_picture(data, where)
        labels_where = printable(os.path.join(self.root, _label_map(self.files[i])))
        labels = decode_numbers(read_inside(self.root, _label_map(self.files[i])), labels_where, pixels.shape)
        labels = own_sides(translate(labels, LAPA, labels_where))
        points = FacePoints.from_labels(labels)
        if points is None:
            raise InputError(f"{where} has no labelled eyes and mouth to crop it by")
        pixels, labels = cut_face(pixels, labels, points, self.options, where)
        own_name = os.path.splitext(os.path.basename(self.files[i]))[0]
        return Face(pixels, labels, id=printable(own_name), name=self.name(i), digest=sha256(data))

    def describe(self) -> dict[str, Any]:
        files = [name for file in self.files for name in (file, _label_map(file))]
        return {
            "source": "lapa",
            "count": len(self),
            "min_side": self.options.min_side,
            **self.options.describe(),
            "listing": listing_digest(self.root, files),
        }


def open_source(argument: str, options: SourceOptions) -> LaPa:
    """Open a folder of LaPa; InputError names what is missing from its layout."""
    spec = f"lapa:{argument}"
    refuse_labels(spec, options)
    root = existing_folder(argument, _LAYOUT)
    files: list[str] = []
    for part in _PARTS[options.split]:
        folder_inside(root, os.path.join(part, "labels"), _LAYOUT)
        images = folder_inside(root, os.path.join(part, "images"), _LAYOUT)
        files += [f"{part}/images/{file}" for file in find_files(images, (".jpg",))]
    if not files:
        raise InputError(f"{printable(argument)} holds no pictures; {_LAYOUT}")
    taken = (files[number] for number in choose(len(files), options.limit, options.seed))
    return LaPa(spec, root, options, tuple(taken))


def _label_map(file: str) -> str:
    part, _, picture = file.split("/", 2)
    return f"{part}/labels/{os.path.splitext(picture)[0]}.png"
