"""Drawn faces as files, in the layout that the ``folder`` source reads."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.faces.procedural.drawn import draw_face
from blurgen.jobs.parallel import Workers, run_jobs

_OWN_FILE = re.compile(r"\.?[0-9]{6,}\.png(\.tmp)?")
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
    were written. Raises InputError when ``out`` holds anything else than these files, and when a file
    there shows another face (another seed or size).
    """
    if not 1 <= count <= _LAST:
        raise ValueError(f"Argument 'count' must be from 1 to {_LAST}, not {count}.")
    workers = Workers(jobs)
    root = Path(out)
    _check_free(root)
    try:
        for kind in ("images", "labels"):
            (root / kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root} cannot be made: {error.strerror}; choose another folder") from None
    work = [(root, number, seed, size) for number in range(count)]
    written = 0
    for done, new in enumerate(run_jobs(_write_face, work, workers), start=1):
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
        if entry.name not in ("images", "labels") or not entry.is_dir():
            raise InputError(f"{root} holds {entry.name}, which is not a drawn face; choose an empty folder")
        for file in sorted(entry.iterdir()):
            if not _OWN_FILE.fullmatch(file.name):
                raise InputError(
                    f"{entry} holds {file.name}, which is not a drawn face; choose an empty folder"
                )


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
    memory = BytesIO()
    Image.fromarray(values).save(memory, "PNG")
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(memory.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; check space and permissions") from None
    return True


def _shows(path: Path, values: NDArray[np.uint8]) -> bool:
    try:
        with Image.open(path) as image:
            return np.array_equal(np.asarray(image), values)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
