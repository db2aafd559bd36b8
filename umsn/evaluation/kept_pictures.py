"""The pictures of a gallery: kept by an evaluation as files, read back for the page.

``OUT/shown/shown.json`` names the methods, each with its folder, and the pictures; the files are
``OUT/shown/<folder>/<picture>.png``, and ``OUT/shown/clean/<picture>.png`` the truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from blurgen.files.bounded import read_bounded
from blurgen.files.png import encode_png
from blurgen.files.strict_json import Record, convert, parse_json
from umsn.folders import make_folder
from umsn.scoring.pairs import Pair, read_picture

Picture = NDArray[np.uint8]

MOST_PIXELS: Final = 40_000_000
"""Of all pictures of a gallery together, so that the page stays one that can be sent."""

AT_A_TIME: Final = 12
"""How many of them the page shows before it is asked for more (``STEP`` in ``page.js``)."""

_CLEAN: Final = "clean"
_LIST: Final = "shown.json"
_FOLDER: Final = "shown"
_MOST_BYTES: Final = 1 << 20  # of the list
_OTHER: Final = re.compile(r"[^\w+(), -]+")
_Plain = Annotated[str, Meta(pattern=r"^(?!\.\.?\Z)[^/\\\0]+\Z")]
"""Name of one file or folder: a list from elsewhere must not lead out of its folder."""


@dataclass(frozen=True)
class Compared:
    """One picture: the truth, and what every method made of its blurry version; all uint8 ``[H, W, 3]``."""

    name: str
    restored: Mapping[str, Picture]
    clean: Picture


@dataclass(frozen=True)
class Kept:
    """Pictures chosen for the gallery."""

    pictures: Sequence[Compared]
    count: int
    """Of how many pictures that were evaluated."""
    main: str | None
    """The method the reader cares about most, where one does."""


class GalleryPictures:
    """Keeps pictures for ``umsn report``, one after another: the clean one and what each method made of it.

        kept = GalleryPictures(out, count=8000)
        kept.add(pair, {"blurry": pair.blurry, "mine": restored})
        kept.finish()

    ``count`` is of how many test pictures they are chosen; ``main`` is the method that the gallery begins
    with, None: there is none that matters most. Raises InputError when something cannot be written.
    """

    def __init__(self, out: Path, *, count: int, main: str | None = None) -> None:
        self._out, self._count, self._main = out, count, main
        self._before = _kept_files(out)
        self._folders: dict[str, str] = {}
        self._names: list[str] = []
        self._now: set[Path] = set()
        make_folder(out / _FOLDER)

    def add(self, pair: Pair, restored: Mapping[str, Picture]) -> None:
        """Keep one pair; ``restored`` are uint8 ``[H, W, 3]`` by method, the same methods each time."""
        self._folders = self._folders or _folders(list(restored))
        self._names.append(pair.name)
        versions = {self._folders[method]: picture for method, picture in restored.items()}
        for folder, picture in {**versions, _CLEAN: pair.clean}.items():
            path = self._out / _FOLDER / folder / f"{pair.name}.png"
            make_folder(path.parent)
            write_file(path, encode_png(picture), wait=False)
            self._now.add(path)

    def finish(self) -> Path:
        """Write the list of what was kept and return its path; what an earlier list names is removed."""
        methods = [_Method(name, folder) for name, folder in self._folders.items()]
        listed = msgspec.json.encode(_List(methods, self._names, self._main, self._count))
        write_file(self._out / _FOLDER / _LIST, msgspec.json.format(listed, indent=1) + b"\n")
        for path in self._before - self._now:
            path.unlink(missing_ok=True)
        return self._out / _FOLDER / _LIST


def read_gallery_pictures(folder: Path, most: int) -> Kept:
    """Return at most ``most`` of the kept pictures, and of at most ``MOST_PIXELS``, chosen evenly.

    There are none where an evaluation kept none. Raises InputError when a file is missing, damaged or of
    another size than its clean picture.
    """
    path = folder / _FOLDER / _LIST
    if not path.is_file():
        return Kept([], 0, None)
    listed = _read_list(path)
    names = listed.pictures
    if names and most:
        first = read_picture(folder / _FOLDER / _CLEAN / f"{names[0]}.png")
        pixels = (len(listed.folders) + 1) * first.shape[0] * first.shape[1]
        most = min(most, max(1, MOST_PIXELS // pixels))
    chosen = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    # Neighbours may show one face: every twelve that the reader sees next come from the whole test set.
    step = -(-len(chosen) // AT_A_TIME)
    order = [i for first in range(step) for i in chosen[first::step]]
    return Kept([_read(folder, listed.folders, names[i]) for i in order], listed.count, listed.main)


def _read(folder: Path, folders: Mapping[str, str], name: str) -> Compared:
    clean = read_picture(folder / _FOLDER / _CLEAN / f"{name}.png")
    restored = {}
    for method, subfolder in folders.items():
        path = folder / _FOLDER / subfolder / f"{name}.png"
        restored[method] = read_picture(path)
        if restored[method].shape != clean.shape:
            raise InputError(f"{path}: is of another size than the clean picture; run umsn evaluate again.")
    return Compared(name, restored, clean)


class _Method(Record, frozen=True):
    name: str
    folder: _Plain


class _List(Record, frozen=True):
    methods: list[_Method]
    pictures: list[_Plain]
    main: str | None
    count: Annotated[int, Meta(ge=0)]

    @property
    def folders(self) -> dict[str, str]:
        """The folder of each method."""
        return {method.name: method.folder for method in self.methods}


def _read_list(path: Path) -> _List:
    text = read_bounded(path, _MOST_BYTES)
    try:
        return convert(parse_json(text, str(path)), _List, str(path))
    except InputError as error:
        raise InputError(f"{path}: is not what umsn evaluate writes; run it again.") from error


def _folders(methods: Sequence[str]) -> dict[str, str]:
    """Return a folder for each method: its name, where that can be a folder's, and never that of another."""
    taken = {_CLEAN}
    folders = {}
    for number, method in enumerate(methods, start=1):
        folder = _OTHER.sub("_", method).strip(" ")[:50] or "method"
        while folder.casefold() in taken:
            folder = f"{folder}-{number}"
        taken.add(folder.casefold())
        folders[method] = folder
    return folders


def _kept_files(out: Path) -> set[Path]:
    try:
        listed = _read_list(out / _FOLDER / _LIST)
    except InputError:
        return set()
    folders = [*listed.folders.values(), _CLEAN]
    return {out / _FOLDER / folder / f"{name}.png" for folder in folders for name in listed.pictures}
