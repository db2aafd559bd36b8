"""Drawn faces as files, in the layout that the ``folder`` source reads."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError, check_range
from blurgen.faces.procedural.drawn import draw_face
from blurgen.files.atomic import PART
from blurgen.files.folders import make_folder, refuse_others, remove_parts
from blurgen.files.inside import inside
from blurgen.files.locks import hold
from blurgen.files.png import save_picture
from blurgen.files.png_checks import read_checked
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent

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
    progress: Reporter | None = None,
) -> int:
    """Write faces 0 to ``count`` - 1 as ``out/images/000000.png`` and ``out/labels/000000.png`` on.

    Files appear whole or not at all. What is there already and right is left alone, so a second run
    finishes the first. Returns how many faces were written. Raises ArgumentError for a ``count`` or ``size``
    out of range; InputError when ``out`` holds anything else than these files, when another run is at work
    there, and when a file there shows another face (another seed or size).
    """
    check_range("count", count, 1, _LAST)
    workers = Workers(jobs)
    root = Path(out)
    _check_free(root)
    for kind in _KINDS:
        make_folder(inside(root, kind))
    work = [(root, number, seed, size) for number in range(count)]
    written = 0
    busy = f"{root}: other faces are just being made there; wait until they are done."
    with hold(root / _LOCK, busy), (progress or Silent()).bar("Drawing faces", count, "faces") as bar:
        for kind in _KINDS:
            remove_parts(root / kind)
        for new in run_jobs(_write_face, work, workers, alone_first=True):
            written += new
            bar.advance()
    return written


def _check_free(root: Path) -> None:
    """Raise InputError unless ``root`` is missing, empty, or holds drawn faces only."""
    if not root.exists():
        return
    if not root.is_dir():
        raise InputError(f"{root}: is a file; name a folder for the faces.")
    refuse_others(root, lambda name: name in (_LOCK, *_KINDS), "a folder of drawn faces")
    for kind in [root / name for name in _KINDS if (root / name).exists()]:
        if not kind.is_dir():
            raise InputError(f"{kind}: is a file, not a folder; choose a new or empty folder.")
        refuse_others(
            kind,
            lambda name: bool(_OWN_FILE.fullmatch(name) or PART.fullmatch(name)),
            "a folder of drawn faces",
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
                f"{path} shows something else; choose an empty folder, or the same seed and size."
            )
        return False
    save_picture(path, values)
    return True


def _shows(path: Path, values: NDArray[np.uint8]) -> bool:
    try:
        return np.array_equal(read_checked(path, values.shape), values)
    except InputError:
        return False
