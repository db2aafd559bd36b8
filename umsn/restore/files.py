"""Picture files in, picture files out: names, what a photograph says beside its pixels, remarks, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.decode import PICTURE_SUFFIXES, bits_per_channel, decode_picture
from blurgen.files.png import save_picture
from umsn.folders import make_folder
from umsn.restore.metadata import kept_metadata

Restore = Callable[[Path, NDArray[np.uint8]], tuple[NDArray[np.uint8], tuple[str, ...]]]
"""Path and pixels of a picture in, its result and remarks on it out; InputError if there is none."""


@dataclass(frozen=True)
class Done:
    """What became of one picture."""

    path: Path
    target: Path | None = None
    """The result; None when nothing was written."""
    remarks: tuple[str, ...] = ()
    error: InputError | None = None


def picture_files(paths: Iterable[Path]) -> list[Path]:
    """Return the given files, and in place of a folder the pictures in it, by name.

    Raises InputError for a path that does not exist and a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
            if not inside:
                raise InputError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: there is no such file or folder.")
    return found


def result_names(paths: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Return for each result, ``out/<stem>.png``, the picture file it is made from.

    Raises InputError where two results would have one name or a result would replace a picture that went
    in, and as ``picture_files`` does.
    """
    files = picture_files(paths)
    inputs = {path.resolve() for path in files}
    taken: dict[Path, Path] = {}
    for path in files:
        target = out / f"{path.stem}.png"
        if target in taken:
            raise InputError(
                f"{path} and {taken[target]} would both become {target}; give them one at a time."
            )
        if target.resolve() in inputs:
            raise InputError(f"{target} would be replaced by its own result; choose another folder.")
        taken[target] = path
    return taken


def process_files(
    restore: Restore,
    paths: Iterable[Path],
    out: Path,
    *,
    keep_metadata: bool = False,
    keep_gps: bool = False,
) -> Iterator[Done]:
    """Apply ``restore`` to picture files and folders; each result is ``out/<stem>.png``, of the same size.

    It stands upright, whatever the camera's rotation, and has 8 bits a channel. With ``keep_metadata`` it
    has the picture's colour profile and EXIF data, but where it was taken only with ``keep_gps``.

    A picture that gives no result gives an error, and the others are still worked on. Raises InputError,
    before anything is written, as ``result_names`` does.
    """
    names = result_names(paths, out)
    make_folder(out)
    for target, path in names.items():
        try:
            data = path.read_bytes()
            result, remarks = restore(path, decode_picture(data, str(path)))
            kept = kept_metadata(data, gps=keep_gps) if keep_metadata else {}
            save_picture(target, result, **kept)
            yield Done(path, target, (*remarks, *_about_depth(path, data)))
        except InputError as error:
            yield Done(path, error=error)
        except OSError as error:
            yield Done(path, error=InputError(f"{path}: {error.strerror or error}."))


def whole(function: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Restore:
    """Return how a function of pixels alone restores pictures: whole, without remarks."""
    return lambda path, pixels: (function(pixels), ())


def _about_depth(path: Path, data: bytes) -> tuple[str, ...]:
    bits = bits_per_channel(data)
    if bits is None or bits <= 8:
        return ()
    return (f"{path}: has {bits} bits a channel; the networks work with 8, and so the result has 8",)
