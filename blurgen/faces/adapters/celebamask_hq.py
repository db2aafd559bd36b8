"""CelebAMask-HQ (Lee et al., "MaskGAN", CVPR 2020).

Layout, as unpacked::

    PATH/CelebA-HQ-img/0.jpg ... 29999.jpg                        1024 x 1024
    PATH/CelebAMask-HQ-mask-anno/0/00000_skin.png, 00000_nose.png ...   512 x 512, a part of a face each
    PATH/CelebA-HQ-to-CelebA-mapping.txt                          "idx orig_idx orig_file"

The masks of faces 2,000 k to 2,000 k + 1,999 lie in folder k; a part that does not show has no file. Parts
are those of CelebA, which the mapping leads back to: no person is in two of them. With CelebA's
``identity_CelebA.txt`` put into PATH the persons are known. Faces are cut out at the scale of the
paper's aligned faces.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.faces.adapters.celeba import read_identities
from blurgen.faces.adapters.in_folder import CutOutFaces
from blurgen.faces.adapters.listing import existing_folder, find_files, folder_inside, printable, read_table
from blurgen.faces.decode import check_same_size, decode_picture
from blurgen.faces.selection import take
from blurgen.faces.sides import own_sides
from blurgen.faces.source import SourceOptions
from blurgen.labels import CELEBAMASK_HQ, Label

_IMAGES = "CelebA-HQ-img"
_MASKS = "CelebAMask-HQ-mask-anno"
_MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
_LAYOUT = f"celebamask-hq needs {_IMAGES}/, {_MASKS}/ and {_MAPPING}"
_PICTURE = re.compile(r"\d{1,5}\.jpg")
_MASKS_PER_FOLDER = 2000
_FIRST_VALIDATION, _FIRST_TEST = 162771, 182638  # pictures of CelebA, counted from 1


@dataclass(frozen=True)
class CelebAMaskHQ(CutOutFaces):
    """A folder of CelebAMask-HQ faces."""

    identities: tuple[int, ...]

    def name(self, i: int) -> str:
        return f"celebamask-hq:{self.stem(i)}.jpg"

    def identity(self, i: int) -> int:
        return self.identities[i]

    def files(self, i: int) -> list[str]:
        return [self.pictures[i], *(_mask(int(self.stem(i)), part) for part in CELEBAMASK_HQ)]

    def photograph(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        labels = own_sides(self._labels(int(self.stem(i))))
        return _halve(decode_picture(data, where), labels, where), labels

    def _labels(self, number: int) -> NDArray[np.uint8]:
        labels: NDArray[np.uint8] | None = None
        for part, label in CELEBAMASK_HQ.items():
            file = _mask(number, part)
            if not os.path.lexists(os.path.join(self.root, file)):
                continue
            data, where = self.load(file)
            mask = decode_picture(data, where).max(axis=2) > 0
            if labels is None:
                labels = np.full(mask.shape, Label.BACKGROUND, np.uint8)
            check_same_size(mask, where, labels.shape)
            labels[mask] = label
        if labels is None:
            expected = os.path.join(self.root, _mask(number, "skin"))
            raise InputError(f"{printable(expected)} does not exist, nor any other part of that face.")
        return labels


def open_source(argument: str, options: SourceOptions) -> CelebAMaskHQ:
    """Open a folder of CelebAMask-HQ; InputError names what is missing from its layout."""
    root = existing_folder(argument, _LAYOUT)
    images = folder_inside(root, _IMAGES, _LAYOUT)
    folder_inside(root, _MASKS, _LAYOUT)
    numbers = sorted(int(file[:-4]) for file in find_files(images, (".jpg",)) if _PICTURE.fullmatch(file))
    originals = _read_mapping(root, needed=options.split != "all")
    if options.split != "all":
        numbers = [n for n in numbers if n in originals and _part(originals[n]) == options.split]
    if not numbers:
        raise InputError(f"{printable(argument)} holds no pictures of its {options.split} part; {_LAYOUT}.")
    taken = take(numbers, options)
    persons = read_identities(root)
    identities = tuple(persons.get(originals.get(number, ""), -1) for number in taken)
    pictures = tuple(f"{_IMAGES}/{number}.jpg" for number in taken)
    return CelebAMaskHQ(f"celebamask-hq:{argument}", root, options, pictures, identities)


def _read_mapping(root: str, needed: bool) -> dict[int, str]:
    """Return the name in CelebA of each picture, such as ``119614.jpg``; without the file nothing."""
    where = printable(os.path.join(root, _MAPPING))
    if not os.path.exists(os.path.join(root, _MAPPING)):
        if needed:
            raise InputError(f"{where} does not exist; it tells the parts of celebamask-hq.")
        return {}
    rows = read_table(root, _MAPPING, r"(\d{1,5})\s+\d{1,6}\s+(\d{6}\.jpg)", "idx orig_idx orig_file", 1)
    return {int(number): original for number, original in rows}


def _part(original: str) -> str:
    number = int(original[:-4])
    if number >= _FIRST_TEST:
        return "test"
    return "validation" if number >= _FIRST_VALIDATION else "train"


def _mask(number: int, part: str) -> str:
    return f"{_MASKS}/{number // _MASKS_PER_FOLDER}/{number:05}_{part}.png"


def _halve(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return the picture, which has twice the size of the masks, at their size."""
    factor = pixels.shape[0] // labels.shape[0]
    if factor < 1 or pixels.shape[:2] != (factor * labels.shape[0], factor * labels.shape[1]):
        raise InputError(
            f"{name} is {pixels.shape[1]} x {pixels.shape[0]} pixels, not a multiple of its masks, "
            f"which are {labels.shape[1]} x {labels.shape[0]}."
        )
    return np.asarray(Image.fromarray(pixels).reduce(factor)).copy()
