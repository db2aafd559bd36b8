"""CelebA, the aligned pictures (Liu et al., "Deep learning face attributes in the wild", ICCV 2015).

Layouts, as its owners publish it and as torchvision unpacks it::

    PATH/Img/img_align_celeba/000001.jpg   PATH/img_align_celeba/000001.jpg   178 x 218
    PATH/Eval/list_eval_partition.txt      PATH/list_eval_partition.txt       "000001.jpg 0"
    PATH/Anno/identity_CelebA.txt          PATH/identity_CelebA.txt           "000001.jpg 2880"

The partition (0 train, 1 validation, 2 test; no person is in two of them) is needed for a part of the
dataset only; without the list of identities the persons are unknown. CelebA has no label maps;
``labels=DIR`` names a folder of them, such as ``umsn segment`` writes. Pictures are used as they are,
with ``align`` too: the paper's faces are these, and they are the template.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from blurgen.errors import InputError
from blurgen.faces.adapters.in_folder import WholePictures
from blurgen.faces.adapters.label_folder import open_labels
from blurgen.faces.adapters.listing import (
    existing_folder,
    find_files,
    folder_inside,
    listing_digest,
    printable,
    read_table,
)
from blurgen.faces.selection import take
from blurgen.faces.source import SourceOptions

IDENTITIES = "identity_CelebA.txt"
_LAYOUT = "celeba needs img_align_celeba/ with 000001.jpg and so on"
_FOLDERS = ("img_align_celeba", "Img/img_align_celeba")
_PARTITION = "list_eval_partition.txt"
_PARTS = {"train": 0, "validation": 1, "test": 2}
_PICTURE = re.compile(r"\d{6}\.jpg")


@dataclass(frozen=True)
class CelebA(WholePictures):
    """A folder of aligned CelebA faces."""

    identities: tuple[int, ...]

    def name(self, i: int) -> str:
        return f"celeba:{os.path.basename(self.pictures[i])}"

    def identity(self, i: int) -> int:
        return self.identities[i]

    def listing(self) -> str:
        folder = os.path.join(self.root, os.path.dirname(self.pictures[0]))
        return listing_digest(folder, map(os.path.basename, self.pictures))


def open_source(argument: str, options: SourceOptions) -> CelebA:
    """Open a folder of CelebA; InputError names what is missing from its layout."""
    root = existing_folder(argument, _LAYOUT)
    folder = next((name for name in _FOLDERS if os.path.isdir(os.path.join(root, name))), None)
    if folder is None:
        raise InputError(f"{printable(os.path.join(argument, _FOLDERS[0]))} does not exist; {_LAYOUT}.")
    images = folder_inside(root, folder, _LAYOUT)
    found = [file for file in find_files(images, (".jpg",)) if _PICTURE.fullmatch(file)]
    if options.split != "all":
        parts = _read_numbers(root, "Eval", _PARTITION)
        found = [file for file in found if parts.get(file) == _PARTS[options.split]]
    if not found:
        raise InputError(f"{printable(argument)} holds no pictures of its {options.split} part; {_LAYOUT}.")
    stems = [os.path.splitext(file)[0] for file in found]
    labels = None if options.labels is None else open_labels(options.labels, stems)
    taken = take(found, options)
    persons = read_identities(root)
    return CelebA(
        f"celeba:{argument}",
        root,
        options,
        tuple(f"{folder}/{file}" for file in taken),
        labels,
        tuple(persons.get(file, -1) for file in taken),
    )


def read_identities(root: str) -> dict[str, int]:
    """Return the number of the person in each picture of CelebA, by file name; empty without the list."""
    if any(os.path.exists(os.path.join(root, folder, IDENTITIES)) for folder in ("", "Anno")):
        return _read_numbers(root, "Anno", IDENTITIES)
    return {}


def _read_numbers(root: str, folder: str, name: str) -> dict[str, int]:
    """Return what a list of lines "FILE NUMBER", in ``root`` or in its ``folder``, says of each file."""
    file = next(
        (f for f in (name, os.path.join(folder, name)) if os.path.exists(os.path.join(root, f))), None
    )
    if file is None:
        raise InputError(
            f"{printable(os.path.join(root, name))} does not exist; it tells the parts of celeba."
        )
    pairs = read_table(root, file, r"(\S+)\s+(\d{1,9})", "000001.jpg 0")
    return {picture: int(number) for picture, number in pairs}
