"""FaceSynthetics: rendered faces with exact labels (Wood et al., "Fake it till you make it", ICCV 2021).

Layout, as unpacked from ``dataset_100.zip``, ``dataset_1000.zip`` or ``dataset_100000.zip``::

    PATH/000000.png         512 x 512, the face small in the middle
    PATH/000000_seg.png     label of each pixel
    PATH/000000_ldmks.txt   70 lines "x y": the 68 points of iBUG and two pupils

Faces are cut out at the scale of the paper's aligned faces (blurgen.faces.crop).
"""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.in_folder import CutOutFaces
from blurgen.faces.adapters.listing import existing_folder, find_files, printable
from blurgen.faces.crop import FacePoints
from blurgen.faces.decode import decode_numbers, decode_picture
from blurgen.faces.selection import files_in_split, take
from blurgen.faces.source import SourceOptions
from blurgen.labels import FACESYNTHETICS, translate

_MOST_TEXT = 1 << 20  # bytes of 68 or more lines of two numbers
_PICTURE = re.compile(r"\d+\.png")
_FARTHEST = 1e5  # pixels; landmarks beyond the picture are usual, beyond any picture they are damage


class FaceSynthetics(CutOutFaces):
    """A folder of FaceSynthetics renders."""

    def stem(self, i: int) -> str:
        return self.pictures[i].removesuffix(".png")

    def files(self, i: int) -> list[str]:
        return [self.pictures[i], self._label_map(i), self._landmarks(i)]

    def photograph(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pixels = decode_picture(data, where)
        label_map, label_map_where = self.load(self._label_map(i))
        numbers = decode_numbers(label_map, label_map_where, pixels.shape)
        return pixels, translate(numbers, FACESYNTHETICS, label_map_where)

    def points(self, i: int, labels: NDArray[np.uint8], where: str) -> FacePoints:
        if os.path.lexists(os.path.join(self.root, self._landmarks(i))):
            return landmark_points(*self.load(self._landmarks(i), _MOST_TEXT))
        points = FacePoints.from_labels(labels)
        if points is None:
            raise InputError(f"{where} has neither landmarks nor labelled eyes and mouth to crop it by.")
        return points

    def _label_map(self, i: int) -> str:
        return f"{self.stem(i)}_seg.png"

    def _landmarks(self, i: int) -> str:
        return f"{self.stem(i)}_ldmks.txt"


def open_source(argument: str, options: SourceOptions) -> FaceSynthetics:
    """Open a folder of FaceSynthetics; InputError when it holds none of its pictures."""
    expected = "facesynthetics needs a folder with 000000.png, 000000_seg.png and so on"
    root = existing_folder(argument, expected)
    found = [file for file in find_files(root, (".png",)) if _PICTURE.fullmatch(os.path.basename(file))]
    if not found:
        raise InputError(f"{printable(argument)} holds no 000000.png; {expected}.")
    return FaceSynthetics(
        f"facesynthetics:{argument}", root, options, take(files_in_split(root, found, options.split), options)
    )


def landmark_points(text: bytes, name: str) -> FacePoints:
    """Return where the face is from 68 or more landmarks in iBUG's order; InputError naming a broken file."""
    try:
        points = np.array(
            [line.split() for line in text.decode("ascii").splitlines() if line.strip()], np.float64
        )
    except ValueError:
        points = np.zeros((0, 2))
    if (
        points.ndim != 2
        or points.shape[0] < 68
        or points.shape[1] != 2
        or not (np.abs(points) < _FARTHEST).all()
    ):
        raise InputError(f"{name} does not hold 68 or more lines of two coordinates.")
    face = points[:68]
    right_eye, left_eye = face[36:42].mean(axis=0), face[42:48].mean(axis=0)
    return FacePoints(
        right_eye,
        left_eye,
        mouth=face[[48, 54]].mean(axis=0),  # its corners, which an open mouth moves least
        middle_x=float(face[:, 0].min() + face[:, 0].max()) / 2,
        five=np.stack([right_eye, left_eye, face[30], face[48], face[54]]),
    )
