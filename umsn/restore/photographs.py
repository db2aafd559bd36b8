"""Deblur the faces in photographs: each is brought onto the template, deblurred there, and brought back.

A network knows faces as it was trained on them: upright, the eyes 38 pixels apart. So it works at that size
whatever the size of the face, and what goes back into the photograph is the change it made (see
``blurgen.faces.align.paste``). Detail finer than the template shows is neither lost nor regained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import Argument, InputError
from blurgen.faces.align import AlignedFace, align, paste
from blurgen.faces.detect import Detector
from blurgen.faces.landmarks import read_landmarks
from blurgen.jobs.progress import counted
from umsn.restore.files import Restore

LARGE: Final = 2.0
"""A face more than this many times larger, or smaller, than the template's is remarked upon."""

FindFaces = Callable[[Path, NDArray[np.uint8]], Sequence[NDArray[np.float64]]]
"""Path and pixels of a photograph in, the five points ``[5, 2]`` of each face out; InputError if it fails."""


def by_detector() -> FindFaces:
    """Return a function that looks for faces; InputError when the package for that is not installed."""
    detector = Detector()

    def find(path: Path, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        found = detector(pixels)
        if not found:
            raise InputError(
                f"{path}: no face was found, and nothing written; give the points of its faces in a file (",
                Argument("landmarks"),
                "), or deblur the whole picture: ",
                Argument("align", False),
                ".",
            )
        return [face.points for face in found]

    return find


def by_file(landmarks: Path) -> FindFaces:
    """Return a function that takes faces from a file of landmarks (blurgen.faces.landmarks).

    Raises InputError for a broken file.
    """
    faces = read_landmarks(landmarks)

    def find(path: Path, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        if path.name not in faces:
            raise InputError(f"{path}: {landmarks} has no line for {path.name}; nothing was written.")
        return faces[path.name]

    return find


def deblur_faces(
    deblur: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    photograph: NDArray[np.uint8],
    points: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.uint8], list[AlignedFace]]:
    """Return the photograph, uint8 ``[H, W, 3]`` RGB, with its faces deblurred, and the faces.

    ``deblur`` takes and gives one face, uint8 ``[218, 178, 3]``; ``points`` are five of each face,
    ``[5, 2]``, in the order of ``blurgen.faces.align.TEMPLATE_POINTS``. Raises InputError for points that are
    no face's.
    """
    faces = [align(photograph, five) for five in points]
    return paste(photograph, faces, [deblur(face.pixels) for face in faces]), faces


def face_by_face(deblur: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], find_faces: FindFaces) -> Restore:
    """Return how photographs are restored face by face; one without a face gives no result but an error."""

    def restore(path: Path, photograph: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        result, faces = _deblur_named(deblur, photograph, find_faces(path, photograph), path)
        return result, _remarks(path, faces)

    return restore


def _deblur_named(
    deblur: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    photograph: NDArray[np.uint8],
    points: Sequence[NDArray[np.float64]],
    path: Path,
) -> tuple[NDArray[np.uint8], list[AlignedFace]]:
    try:
        return deblur_faces(deblur, photograph, points)
    except InputError as error:
        raise InputError(f"{path}: ", *error.args, ".") from None


def _remarks(path: Path, faces: Sequence[AlignedFace]) -> tuple[str, ...]:
    remarks = [] if len(faces) == 1 else [f"{path}: {counted(len(faces), 'face')}"]
    for number, face in enumerate(faces, start=1):
        times = 1 / face.enlarged
        which = f"{path}: face {number}" if len(faces) > 1 else f"{path}: the face"
        if times > LARGE:
            remarks.append(
                f"{which} is {times:.1f} times as large as the network works; finer detail stays as it was"
            )
        elif times < 1 / LARGE:
            remarks.append(f"{which} is only {times:.2f} times as large as the network works")
    return tuple(remarks)
