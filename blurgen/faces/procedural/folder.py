"""Drawn faces as files, in the layout that the ``folder`` source reads."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.procedural.drawn import draw_face
from blurgen.files.atomic import PART
from blurgen.files.inside import inside
from blurgen.files.locks import hold
from blurgen.files.png import save_picture
from blurgen.files.png_checks import read_checked
from blurgen.jobs.parallel import Workers, run_jobs

_KINDS = ("images", "labels")
_LOCK = ".lock"
_OWN_FILE = re.compile(r"[0-9]{6,}\.png")
_LAST = 999_999


def write_faces(
    out: str | os.PathLike[str],
    count: int,
    *,
    size: int = 256,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write faces 0 to ``count`` - 1 as ``out/images/000000.png`` and ``out/labels/000000.png`` on.

    Files appear whole or not at all. What is there already and right is left alone, so a second run
    finishes the first; ``progress(done, count)`` is called as faces are finished. Returns how many faces
    were written. Raises InputError when ``out`` holds anything else than these files, when another run is at
    work there, and when a file there shows another face (another seed or size).
    """
    if not 1 <= count <= _LAST:
        raise ValueError(f"Argument 'count' must be from 1 to {_LAST}, not {count}.")
    workers = Workers(jobs)
    root = Path(out)
    _check_free(root)
    try:
        for kind in _KINDS:
            inside(root, kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root} cannot be made: {error.strerror}; choose another folder") from None
    work = [(root, number, seed, size) for number in range(count)]
    written = 0
    with hold(root / _LOCK, f"{root}: other faces are just being made there; wait until they are done."):
        _remove_leftovers(root)
        for done, new in enumerate(run_jobs(_write_face, work, workers, alone_first=True), start=1):
            written += new
            if progress:
                progress(done, count)
    return written


def _check_free(root: Path) -> None:
    """Raise InputError unless ``root`` is missing, empty, or holds drawn faces only."""
    if not root.exists():
        return
    if not root.is_dir():
        raise InputError(f"{root} is a file; name a folder for the faces")
    for entry in sorted(root.iterdir()):
        if entry.name == _LOCK:
            continue
        if entry.name not in _KINDS or not entry.is_dir():
            raise InputError(f"{root} holds {entry.name}, which is not a drawn face; choose an empty folder")
        for file in sorted(entry.iterdir()):
            if not _OWN_FILE.fullmatch(file.name) and not PART.fullmatch(file.name):
                raise InputError(
                    f"{entry} holds {file.name}, which is not a drawn face; choose an empty folder"
                )


def _remove_leftovers(root: Path) -> None:
    """Remove what killed runs left half written; to be called under the lock."""
    for kind in _KINDS:
        for file in (root / kind).iterdir():
            if PART.fullmatch(file.name):
                file.unlink(missing_ok=True)


def _write_face(root: Path, number: int, seed: int, size: int) -> bool:
    """Write one face, label map first; return whether anything was missing."""
    pixels, labels = draw_face(number, seed, size)
    name = f"{number:06d}.png"
    new_labels = _write_png(root / "labels" / name, labels)
    return _write_png(root / "images" / name, pixels) or new_labels


def _write_png(path: Path, values: NDArray[np.uint8]) -> bool:
    if path.exists():
        if not _shows(path, values):
            raise InputError(
                f"{path} shows something else; choose an empty folder, or the same seed and size"
            )
        return False
    save_picture(path, values)
    return True


def _shows(path: Path, values: NDArray[np.uint8]) -> bool:
    try:
        return np.array_equal(read_checked(path, values.shape), values)
    except InputError:
        return False
