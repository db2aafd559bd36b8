"""Points of faces in a text file, for photographs in which no detector finds them.

One face a line, in the form of CelebA's ``list_landmarks_celeba.txt``: the name of the picture, then x and y
of five points: left eye, right eye, tip of the nose, left and right corner of the mouth, left and right as
the viewer sees them. Pixels are counted from the top left corner of the picture as a viewer shows it, after
EXIF rotation. A picture with several faces has several lines. CelebA's two heading lines may be there.
"""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import read_lines
from blurgen.files.names import printable

_FARTHEST = 1e5  # pixels; no picture is that large
_HEADING = re.compile(r"\d+|lefteye_x\s.*")


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, list[NDArray[np.float64]]]:
    """Return the faces of each picture by its file name, each face ``[5, 2]``.

    Raises InputError naming the file and the line for anything else than such lines, and for an empty file.
    """
    folder, name = os.path.split(os.path.realpath(path))
    where = printable(os.fspath(path))
    if not os.path.exists(path):
        raise InputError(f"{where}: there is no such file.")
    faces: dict[str, list[NDArray[np.float64]]] = {}
    for row, line in enumerate(read_lines(folder, name, "surrogateescape"), start=1):
        if line.strip() and not (row <= 2 and _HEADING.fullmatch(line.strip())):
            picture, points = _read_line(line.strip(), f"{where}, line {row}")
            faces.setdefault(picture, []).append(points)
    if not faces:
        raise InputError(f"{where} holds no lines of a picture's name and ten numbers.")
    return faces


def _read_line(line: str, where: str) -> tuple[str, NDArray[np.float64]]:
    words = line.rsplit(maxsplit=10)
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError:
        numbers = []
    if len(numbers) != 10 or not all(abs(number) < _FARTHEST for number in numbers):
        raise InputError(f"{where}: expected a picture's name and ten numbers, x and y of five points.")
    return words[0], np.array(numbers).reshape(5, 2)
