"""Helen with the label maps of Smith et al. ("Exemplar-based face parsing", CVPR 2013).

Layout, as unpacked from the "resized" archive of the label maps::

    PATH/images/232194_1.jpg
    PATH/labels/232194_1/232194_1_lbl00.png ... _lbl10.png   8-bit probability maps, one for each label
    PATH/exemplars.txt  tuning.txt  testing.txt              2,000, 230 and 100 lines "number , name"

The label of a pixel is the most probable one, the smaller of equals. ``train`` is the exemplars,
``validation`` the tuning images, ``test`` the testing images. Faces are cut out at the scale of the
paper's aligned faces.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import (
    existing_folder,
    folder_inside,
    listing_digest,
    printable,
    read_inside,
    read_lines,
)
from blurgen.faces.crop import FacePoints
from blurgen.faces.cut import cut_face
from blurgen.faces.decode import decode_numbers, decode_picture, sha256
from blurgen.faces.selection import choose
from blurgen.faces.sides import own_sides
from blurgen.faces.source import Face, SourceOptions, refuse_labels
from blurgen.files.names import is_portable

_LAYOUT = "helen needs images/, labels/, exemplars.txt, tuning.txt and testing.txt"
_LISTS = {"train": "exemplars.txt", "validation": "tuning.txt", "test": "testing.txt"}
_LABELS = 11


@dataclass(frozen=True)
class Helen:
    """A folder of Helen faces with their label maps."""

    spec: str
    root: str
    options: SourceOptions
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, i: int) -> str:
        return f"helen:images/{printable(self.names[i])}.jpg"

    def read(self, i: int) -> Face:
        data = read_inside(self.root, self._picture(i))
        where = printable(os.path.join(self.root, self._picture(i)))
        pixels = decode_picture(data, where)
        labels = own_sides(self._labels(i, pixels.shape))
        points = FacePoints.from_labels(labels)
        if points is None:
            raise InputError(f"{where} has no labelled eyes and mouth to crop it by")
        pixels, labels = cut_face(pixels, labels, points, self.options, where)
        return Face(pixels, labels, id=printable(self.names[i]), name=self.name(i), digest=sha256(data))

    def describe(self) -> dict[str, Any]:
        files = [file for i in range(len(self)) for file in (self._picture(i), *self._maps(i))]
        return {
            "source": "helen",
            "count": len(self),
            "min_side": self.options.min_side,
            **self.options.describe(),
            "listing": listing_digest(self.root, files),
        }

    def _picture(self, i: int) -> str:
        return os.path.join("images", self.names[i] + ".jpg")

    def _maps(self, i: int) -> list[str]:
        name = self.names[i]
        return [os.path.join("labels", name, f"{name}_lbl{label:02}.png") for label in range(_LABELS)]

    def _labels(self, i: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        maps = []
        for file in self._maps(i):
            where = printable(os.path.join(self.root, file))
            maps.append(decode_numbers(read_inside(self.root, file), where, shape))
        return np.argmax(maps, axis=0).astype(np.uint8)


def open_source(argument: str, options: SourceOptions) -> Helen:
    """Open a folder of Helen; InputError names what is missing from its layout."""
    spec = f"helen:{argument}"
    refuse_labels(spec, options)
    root = existing_folder(argument, _LAYOUT)
    folder_inside(root, "images", _LAYOUT)
    labels = folder_inside(root, "labels", _LAYOUT)
    if options.split == "all":
        names = sorted(name for name in os.listdir(labels) if os.path.isdir(os.path.join(labels, name)))
    else:
        names = sorted(_listed(root, _LISTS[options.split]))
    if not names:
        raise InputError(f"{printable(argument)} lists no faces; {_LAYOUT}")
    taken = (names[number] for number in choose(len(names), options.limit, options.seed))
    return Helen(spec, root, options, tuple(taken))


def _listed(root: str, file: str) -> set[str]:
    """Return the names in one of the lists, whose lines are "number , name"."""
    if not os.path.isfile(os.path.join(root, file)):
        raise InputError(f"{printable(os.path.join(root, file))} does not exist; {_LAYOUT}")
    lines = read_lines(root, file)
    names = {line.rpartition(",")[2].strip() for line in lines} - {""}
    if not all(map(is_portable, names)):
        raise InputError(f"{printable(os.path.join(root, file))} is not a list of lines 'number , name'")
    return names
