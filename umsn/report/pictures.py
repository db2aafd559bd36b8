"""The pictures of a gallery: kept by an evaluation as files, read back for the page.

``OUT/shown/shown.json`` names the methods, each with its folder, and the pictures; the files are
``OUT/shown/<folder>/<picture>.png``, and ``OUT/shown/clean/<picture>.png`` the truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.hdf5 import write_aside
from umsn.pairs import Pair, read_picture

Picture = NDArray[np.uint8]

_CLEAN: Final = "clean"
_LIST: Final = "shown.json"
_FOLDER: Final = "shown"
_PLAIN: Final = re.compile(r"[^\w+(), -]+")


@dataclass(frozen=True)
class Compared:
    """One picture: the truth, and what every method made of its blurry version; all uint8 ``[H, W, 3]``."""

    name: str
    restored: Mapping[str, Picture]
    clean: Picture


@dataclass(frozen=True)
class Kept:
    """Pictures chosen for the gallery, and of how many."""

    pictures: Sequence[Compared]
    count: int
    main: str | None
    """The method the reader cares about most, where one does."""


def save_gallery_pictures(
    out: Path, shown: Iterable[tuple[Pair, Mapping[str, Picture]]], *, main: str | None = None
) -> Path:
    """Keep pictures for ``umsn report``: of each pair the clean one and what each method made of it.

    ``shown`` are pairs with the restored pictures by method, uint8 ``[H, W, 3]``, the same methods each time.
    ``main`` is the method that the gallery begins with; None: there is none that matters most.
    Returns the list of them, a file. Pictures that an earlier call kept in ``out`` and this one does not are
    removed. Raises InputError when they cannot be written.
    """
    before = _kept_files(out)
    _make_folder(out / _FOLDER)
    folders: dict[str, str] = {}
    names: list[str] = []
    now: set[Path] = set()
    for pair, restored in shown:
        folders = folders or _folders(list(restored))
        names.append(pair.name)
        versions = {**{folders[method]: picture for method, picture in restored.items()}, _CLEAN: pair.clean}
        for folder, picture in versions.items():
            path = out / _FOLDER / folder / f"{pair.name}.png"
            _make_folder(path.parent)
            with write_aside(path) as aside:
                Image.fromarray(picture).save(aside, "PNG")
            now.add(path)
    methods = [{"name": method, "folder": folder} for method, folder in folders.items()]
    with write_aside(out / _FOLDER / _LIST) as aside:
        aside.write_text(
            json.dumps({"methods": methods, "pictures": names, "main": main}, indent=1) + "\n", "utf-8"
        )
    for path in before - now:
        path.unlink(missing_ok=True)
    return out / _FOLDER / _LIST


def read_gallery_pictures(folder: Path, most: int) -> Kept:
    """Return at most ``most`` of the kept pictures, chosen evenly.

    There are none where an evaluation kept none. Raises InputError when a file is missing, damaged or of
    another size than its clean picture.
    """
    path = folder / _FOLDER / _LIST
    if not path.is_file():
        return Kept([], 0, None)
    folders, names, main = _read_list(path)
    chosen = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return Kept([_read(folder, folders, names[i]) for i in chosen], len(names), main)


def _read(folder: Path, folders: Mapping[str, str], name: str) -> Compared:
    clean = read_picture(folder / _FOLDER / _CLEAN / f"{name}.png")
    restored = {}
    for method, subfolder in folders.items():
        path = folder / _FOLDER / subfolder / f"{name}.png"
        restored[method] = read_picture(path)
        if restored[method].shape != clean.shape:
            raise InputError(f"{path}: is of another size than the clean picture; run umsn evaluate again.")
    return Compared(name, restored, clean)


def _read_list(path: Path) -> tuple[dict[str, str], list[str], str | None]:
    """Return the folder of each method, the names of the pictures and the main method."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        folders = {_text(method["name"]): _plain(method["folder"]) for method in kept["methods"]}
        main = None if kept["main"] is None else _text(kept["main"])
        return folders, [_plain(name) for name in kept["pictures"]], main
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: is not what umsn evaluate writes; run it again.") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("Not a text.")
    return value


def _plain(value: Any) -> str:
    """Return the name of one file or folder; a list from elsewhere must not lead out of its folder."""
    name = _text(value)
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError("Not a plain name.")
    return name


def _folders(methods: Sequence[str]) -> dict[str, str]:
    """Return a folder for each method: its name, where that can be a folder's, and never that of another."""
    taken = {_CLEAN}
    folders = {}
    for number, method in enumerate(methods, start=1):
        folder = _PLAIN.sub("_", method).strip(" ")[:50] or "method"
        while folder.casefold() in taken:
            folder = f"{folder}-{number}"
        taken.add(folder.casefold())
        folders[method] = folder
    return folders


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another --out.") from error


def _kept_files(out: Path) -> set[Path]:
    try:
        folders, names, _ = _read_list(out / _FOLDER / _LIST)
    except InputError:
        return set()
    return {
        out / _FOLDER / folder / f"{name}.png" for folder in [*folders.values(), _CLEAN] for name in names
    }
