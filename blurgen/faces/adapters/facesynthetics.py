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
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import existing_folder, find_files, listing_digest, printable, read_inside
from blurgen.faces.crop import FacePoints
from blurgen.faces.cut import cut_face
from blurgen.faces.decode import decode_numbers, decode_picture, sha256
from blurgen.faces.selection import choose, files_in_split
from blurgen.faces.source import Face, SourceOptions, refuse_labels
from blurgen.labels import FACESYNTHETICS, translate

_MOST_TEXT = 1 << 20  # bytes of 68 or more lines of two numbers
_PICTURE = re.compile(r"\d+\.png")
_FARTHEST = 1e5  # pixels; landmarks beyond the picture are usual, beyond any picture they are damage


@dataclass(frozen=True)
class FaceSynthetics:
    """A folder of FaceSynthetics renders."""

    spec: str
    root: str
    options: SourceOptions
    files: tuple[str, ...]
    """Pictures, relative to ``root``."""

    def __len__(self) -> int:
        return len(self.files)

    def name(self, i: int) -> str:
        return f"facesynthetics:{printable(self.files[i])}"

    def read(self, i: int) -> Face:
        file = self.files[i]
        data = read_inside(self.root, file)
        where = printable(os.path.join(self.root, file))
        pixels = decode_picture(data, where)
        labels = self._labels(i, pixels)
        points = self._points(i)
        if points is None:
            points = FacePoints.from_labels(labels)
        if points is None:
            raise InputError(f"{where} has neither landmarks nor labelled eyes and mouth to crop it by")
        pixels, labels = cut_face(pixels, labels, points, self.options, where)
        return Face(
            pixels,
            labels,
            id=os.path.splitext(printable(file))[0],
            name=self.name(i),
            digest=sha256(data),
        )

    def describe(self) -> dict[str, Any]:
        every = [
            name
            for file in self.files
            for name in (file, _beside(file, "_seg.png"), _beside(file, "_ldmks.txt"))
        ]
        return {
            "source": "facesynthetics",
            "count": len(self),
            "min_side": self.options.min_side,
            **self.options.describe(),
            "listing": listing_digest(self.root, every),
        }

    def _labels(self, i: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        file = _beside(self.files[i], "_seg.png")
        where = printable(os.path.join(self.root, file))
        numbers = decode_numbers(read_inside(self.root, file), where, pixels.shape)
        return translate(numbers, FACESYNTHETICS, where)

    def _points(self, i: int) -> FacePoints | None:
        file = _beside(self.files[i], "_ldmks.txt")
        if not os.path.lexists(os.path.join(self.root, file)):
            return None
        return landmark_points(
            read_inside(self.root, file, _MOST_TEXT), printable(os.path.join(self.root, file))
        )


def open_source(argument: str, options: SourceOptions) -> FaceSynthetics:
    """Open a folder of FaceSynthetics; InputError when it holds none of its pictures."""
    spec = f"facesynthetics:{argument}"
    refuse_labels(spec, options)
    expected = "facesynthetics needs a folder with 000000.png, 000000_seg.png and so on"
    root = existing_folder(argument, expected)
    found = [file for file in find_files(root, (".png",)) if _PICTURE.fullmatch(os.path.basename(file))]
    if not found:
        raise InputError(f"{printable(argument)} holds no 000000.png; {expected}")
    files = files_in_split(root, found, options.split)
    return FaceSynthetics(
        spec, root, options, tuple(files[n] for n in choose(len(files), options.limit, options.seed))
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
        raise InputError(f"{name} does not hold 68 or more lines of two coordinates")
    face = points[:68]
    right_eye, left_eye = face[36:42].mean(axis=0), face[42:48].mean(axis=0)
    return FacePoints(
        right_eye,
        left_eye,
        mouth=face[[48, 54]].mean(axis=0),  # its corners, which an open mouth moves least
        middle_x=float(face[:, 0].min() + face[:, 0].max()) / 2,
        five=np.stack([right_eye, left_eye, face[30], face[48], face[54]]),
    )


def _beside(file: str, ending: str) -> str:
    return file.removesuffix(".png") + ending
