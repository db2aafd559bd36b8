"""A folder of label maps of our own numbering, named after the pictures they belong to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import existing_folder, find_files, listing_digest, printable, read_inside
from blurgen.faces.decode import decode_labels


@dataclass(frozen=True)
class LabelFolder:
    """Label maps ``NAME.png``, in the same sub-folders as the pictures ``NAME.jpg``."""

    root: str
    files: dict[str, str]
    """Label map of each picture that has one, by the picture's name without its suffix."""

    def read(self, stem: str, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the label map of a picture of ``shape``, uint8 ``[H, W]``, None if it has none."""
        if stem not in self.files:
            return None
        file = self.files[stem]
        return decode_labels(read_inside(self.root, file), printable(os.path.join(self.root, file)), shape)

    def digest(self, stems: Sequence[str]) -> str:
        """Return the listing digest of the label maps of some pictures."""
        return listing_digest(self.root, [self.files.get(stem, stem) for stem in stems])


def open_labels(path: str, stems: Sequence[str]) -> LabelFolder:
    """Open a folder of label maps; InputError unless it has one for at least one of the pictures."""
    root = existing_folder(path, "it should hold label maps, NAME.png for the picture NAME")
    files = {os.path.splitext(file)[0]: file for file in find_files(root, (".png",))}
    if files.keys().isdisjoint(stems):
        raise InputError(
            f"{printable(path)} has no label map for any picture, such as {printable(stems[0])}.png."
        )
    return LabelFolder(root, files)
