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
    read_lines,
)
from blurgen.faces.decode import check_patch_fits, decode_picture, sha256
from blurgen.faces.selection import choose
from blurgen.faces.source import Face, SourceOptions

IDENTITIES = "identity_CelebA.txt"
_LAYOUT = "celeba needs img_align_celeba/ with 000001.jpg and so on"
_FOLDERS = ("img_align_celeba", os.path.join("Img", "img_align_celeba"))
_PARTITION = "list_eval_partition.txt"
_PARTS = {"train": 0, "validation": 1, "test": 2}
_PICTURE = re.compile(r"\d{6}\.jpg")


@dataclass(frozen=True)
class CelebA:
    """A folder of aligned CelebA faces."""

    spec: str
    root: str
    folder: str
    """Of the pictures, relative to ``root``."""
    options: SourceOptions
    files: tuple[str, ...]
    identities: tuple[int, ...]
    labels: LabelFolder | None

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        return f"celeba:{printable(self.files[i])}"

    def read(self, i: int) -> Face:
        file = os.path.join(self.folder, self.files[i])
        data = read_inside(self.root, file)
        where = printable(os.path.join(self.root, file))
        pixels = decode_picture(data, where)
        check_patch_fits(pixels, where, self.options.patch_size)
        stem = os.path.splitext(self.files[i])[0]
        return Face(
            pixels,
            self.labels.read(stem, pixels.shape) if self.labels else None,
            id=printable(stem),
            name=self.name(i),
            digest=sha256(data),
            identity=self.identities[i],
        )

    def describe(self) -> dict[str, Any]:
        stems = [os.path.splitext(file)[0] for file in self.files]
        return {
            "source": "celeba",
            "count": len(self),
            **self.options.describe(),
            "listing": listing_digest(os.path.join(self.root, self.folder), self.files),
            "label_listing": self.labels.digest(stems) if self.labels else None,
        }


def open_source(argument: str, options: SourceOptions) -> CelebA:
    """Open a folder of CelebA; InputError names what is missing from its layout."""
    root = existing_folder(argument, _LAYOUT)
    folder = next((name for name in _FOLDERS if os.path.isdir(os.path.join(root, name))), None)
    if folder is None:
        raise InputError(f"{printable(os.path.join(argument, _FOLDERS[0]))} does not exist; {_LAYOUT}")
    images = folder_inside(root, folder, _LAYOUT)
    found = [file for file in find_files(images, (".jpg",)) if _PICTURE.fullmatch(file)]
    if options.split != "all":
        parts = _read_numbers(root, "Eval", _PARTITION)
        found = [file for file in found if parts.get(file) == _PARTS[options.split]]
    if not found:
        raise InputError(f"{printable(argument)} holds no pictures of its {options.split} part; {_LAYOUT}")
    stems = [os.path.splitext(file)[0] for file in found]
    labels = None if options.labels is None else open_labels(options.labels, stems)
    taken = tuple(found[number] for number in choose(len(found), options.limit, options.seed))
    persons = read_identities(root)
    return CelebA(
        f"celeba:{argument}",
        root,
        folder,
        options,
        taken,
        tuple(persons.get(file, -1) for file in taken),
        labels,
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
            f"{printable(os.path.join(root, name))} does not exist; it tells the parts of celeba"
        )
    numbers = {}
    for row, line in enumerate(read_lines(root, file), start=1):
        words = line.split()
        if len(words) == 2 and re.fullmatch(r"\d{1,9}", words[1]):
            numbers[words[0]] = int(words[1])
        elif words:
            raise InputError(f"{printable(os.path.join(root, file))}, line {row}: expected '000001.jpg 0'")
    return numbers
