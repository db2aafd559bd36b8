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

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.in_folder import CutOutFaces
from blurgen.faces.adapters.listing import existing_folder, folder_inside, printable, read_lines
from blurgen.faces.decode import decode_numbers, decode_picture
from blurgen.faces.selection import take
from blurgen.faces.sides import own_sides
from blurgen.faces.source import SourceOptions
from blurgen.files.names import is_portable

_LAYOUT = "helen needs images/, labels/, exemplars.txt, tuning.txt and testing.txt"
_LISTS = {"train": "exemplars.txt", "validation": "tuning.txt", "test": "testing.txt"}
_LABELS = 11


class Helen(CutOutFaces):
    """A folder of Helen faces with their label maps."""

    def files(self, i: int) -> list[str]:
        return [self.pictures[i], *self._maps(i)]

    def photograph(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pixels = decode_picture(data, where)
        maps = [decode_numbers(*self.load(file), pixels.shape) for file in self._maps(i)]
        return pixels, own_sides(np.argmax(maps, axis=0).astype(np.uint8))

    def _maps(self, i: int) -> list[str]:
        name = self.stem(i)
        return [f"labels/{name}/{name}_lbl{label:02}.png" for label in range(_LABELS)]


def open_source(argument: str, options: SourceOptions) -> Helen:
    """Open a folder of Helen; InputError names what is missing from its layout."""
    root = existing_folder(argument, _LAYOUT)
    folder_inside(root, "images", _LAYOUT)
    labels = folder_inside(root, "labels", _LAYOUT)
    if options.split == "all":
        names = sorted(name for name in os.listdir(labels) if os.path.isdir(os.path.join(labels, name)))
    else:
        names = sorted(_listed(root, _LISTS[options.split]))
    if not names:
        raise InputError(f"{printable(argument)} lists no faces; {_LAYOUT}.")
    pictures = tuple(f"images/{name}.jpg" for name in take(names, options))
    return Helen(f"helen:{argument}", root, options, pictures)


def _listed(root: str, file: str) -> set[str]:
    """Return the names in one of the lists, whose lines are "number , name"."""
    if not os.path.isfile(os.path.join(root, file)):
        raise InputError(f"{printable(os.path.join(root, file))} does not exist; {_LAYOUT}.")
    lines = read_lines(root, file)
    names = {line.rpartition(",")[2].strip() for line in lines} - {""}
    if not all(map(is_portable, names)):
        raise InputError(f"{printable(os.path.join(root, file))} is not a list of lines 'number , name'.")
    return names
