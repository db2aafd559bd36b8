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
from typing import Any

from blurgen.errors import InputError
from blurgen.faces.adapters.label_folder import LabelFolder, open_labels
from blurgen.faces.adapters.listing import (
    existing_folder,
    find_files,
    folder_inside,
    listing_digest,
    printable,
    read_inside,
)
from blurgen.faces.cut import cut_largest_face
from blurgen.faces.decode import (
    PICTURE_SUFFIXES,
    check_patch_fits,
    decode_picture,
    sha256,
)
from blurgen.faces.detect import detector
from blurgen.faces.selection import choose, files_in_split
from blurgen.faces.source import Face, SourceOptions


@dataclass(frozen=True)
class Folder:
    """Pictures in a folder."""

    spec: str
    root: str
    options: SourceOptions
    files: tuple[str, ...]
    """Pictures, relative to ``root``."""
    shared_stems: frozenset[str]
    """Names which more than one picture has but for the suffix."""
    labels: LabelFolder | None

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        return f"folder:{printable(self.files[i])}"

    def read(self, i: int) -> Face:
        file = self.files[i]
        data = read_inside(self.root, file)
        where = printable(os.path.join(self.root, file))
        pixels = decode_picture(data, where)
        stem = _stem(file)
        if self.labels and stem in self.shared_stems and stem in self.labels.files:
            raise InputError(f"{where} shares its label map with another picture of that name; rename one")
        labels = self.labels.read(stem, pixels.shape) if self.labels else None
        if self.options.align:
            pixels, labels = cut_largest_face(pixels, labels, self.options, where)
        check_patch_fits(pixels, where, self.options.patch_size)
        own_name = file if stem in self.shared_stems else stem
        return Face(pixels, labels, id=printable(own_name), name=self.name(i), digest=sha256(data))

    def describe(self) -> dict[str, Any]:
        stems = [_stem(file) for file in self.files]
        return {
            "source": "folder",
            "count": len(self),
            **self.options.describe(),
            "listing": listing_digest(self.root, self.files),
            "label_listing": self.labels.digest(stems) if self.labels else None,
        }


def open_source(argument: str, options: SourceOptions) -> Folder:
    """Open a folder of pictures; InputError when there is none."""
    remedy = "folder needs a folder of pictures, or one with images/ and labels/"
    top = existing_folder(argument, remedy)
    has_images = os.path.isdir(os.path.join(top, "images"))
    root = folder_inside(top, "images", remedy) if has_images else top
    found = find_files(root, PICTURE_SUFFIXES, leave_out=() if has_images else ("labels",))
    if not found:
        raise InputError(f"{printable(root)} holds no pictures ({' '.join(PICTURE_SUFFIXES)})")
    stems = [_stem(file) for file in found]
    labels = None
    if options.labels is not None:
        labels = open_labels(options.labels, stems)
    elif os.path.isdir(os.path.join(top, "labels")):
        labels = open_labels(folder_inside(top, "labels", remedy), stems)
    if options.align and labels is None:
        detector()  # that it is missing is to be said now, not once for every picture
    shared = frozenset(stem for stem, times in Counter(stems).items() if times > 1)
    files = files_in_split(root, found, options.split)
    taken = tuple(files[number] for number in choose(len(files), options.limit, options.seed))
    return Folder(f"folder:{argument}", root, options, taken, shared, labels)


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
