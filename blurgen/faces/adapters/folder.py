"""Any folder of pictures, with label maps of our own numbering if there are some.

Two layouts::

    PATH/images/a.jpg  PATH/labels/a.png      pictures and their label maps (the latter optional)
    PATH/a.jpg                                pictures, in PATH and below, without labels

A label map is an 8-bit PNG of the picture's size that holds the numbers of ``blurgen.labels.Label``, in
the same sub-folder and with the same name but for the suffix. ``labels=DIR`` names another folder of them.
A picture without a label map is an unlabelled face. Pictures are used as they are, without scaling; with
``align`` the largest face of each is brought onto the template, found by its labels if it has them, else by
a detector (blurgen.faces.detect), which needs the extra ``align``.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.in_folder import WholePictures
from blurgen.faces.adapters.label_folder import open_labels
from blurgen.faces.adapters.listing import existing_folder, find_files, folder_inside, printable
from blurgen.faces.cut import cut_largest_face
from blurgen.faces.decode import PICTURE_SUFFIXES
from blurgen.faces.detect import detector
from blurgen.faces.selection import files_in_split, take
from blurgen.faces.source import SourceOptions


@dataclass(frozen=True)
class Folder(WholePictures):
    """Pictures in a folder."""

    shared_stems: frozenset[str]
    """Names which more than one picture has but for the suffix."""

    def stem(self, i: int) -> str:
        return _stem(self.pictures[i])

    def id(self, i: int) -> str:
        return self.pictures[i] if self.stem(i) in self.shared_stems else self.stem(i)

    def decode(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        if self.labels and self.stem(i) in self.shared_stems and self.stem(i) in self.labels.files:
            raise InputError(f"{where} shares its label map with another picture of that name; rename one.")
        pixels, labels = super().decode(i, data, where)
        if self.options.align:
            return cut_largest_face(pixels, labels, self.options, where)
        return pixels, labels


def open_source(argument: str, options: SourceOptions) -> Folder:
    """Open a folder of pictures; InputError when there is none."""
    remedy = "folder needs a folder of pictures, or one with images/ and labels/"
    top = existing_folder(argument, remedy)
    has_images = os.path.isdir(os.path.join(top, "images"))
    root = folder_inside(top, "images", remedy) if has_images else top
    found = find_files(root, PICTURE_SUFFIXES, leave_out=() if has_images else ("labels",))
    if not found:
        raise InputError(f"{printable(root)} holds no pictures ({' '.join(PICTURE_SUFFIXES)}).")
    stems = [_stem(file) for file in found]
    labels = None
    if options.labels is not None:
        labels = open_labels(options.labels, stems)
    elif os.path.isdir(os.path.join(top, "labels")):
        labels = open_labels(folder_inside(top, "labels", remedy), stems)
    if options.align and labels is None:
        detector()  # that it is missing is to be said now, not once for every picture
    shared = frozenset(stem for stem, times in Counter(stems).items() if times > 1)
    taken = take(files_in_split(root, found, options.split), options)
    return Folder(f"folder:{argument}", root, options, taken, labels, shared)


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
