"""Pictures of known persons, and the names by which probes and pictures are matched to persons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blurgen.errors import InputError
from umsn.scoring.pairs import Pair, pictures_by_stem

_NUMBERED: Final = re.compile(r"(.+)_\d+$")


@dataclass(frozen=True)
class Gallery:
    """The pictures of a gallery in a fixed order, and the person on each."""

    files: tuple[Path, ...]
    identities: tuple[str, ...]
    table: Mapping[str, str]
    """Picture name without suffix to person, from an identities file; may be empty."""

    def identity_of(self, pair: Pair) -> str:
        """Return the person on a probe; InputError when that is unknown or not in the gallery.

        From the identities file, where there is one; else as the data says; else from the name of the clean
        picture: ``<identity>_<n>`` or ``<identity>``.
        """
        if self.table:
            if pair.face not in self.table:
                raise InputError(f"{pair.name}: the identities file has no line for {pair.face}.")
            known = self.table[pair.face]
        elif pair.identity is not None:
            known = pair.identity
        else:
            known = pair.face if pair.face in self.identities else _without_number(pair.face)
        if known not in self.identities:
            raise InputError(
                f"{pair.name}: the gallery has no picture of person '{known}'; a gallery has one sub-folder "
                "for each person, or pictures named <identity>_<n>, or comes with a file of identities."
            )
        return known


def open_gallery(folder: Path, identities: Path | None = None) -> Gallery:
    """Read which pictures a gallery has and who is on them.

    ``folder`` has one sub-folder for each person, or holds pictures named ``<identity>_<n>.png``, or pictures
    that ``identities`` names: lines ``<file> <identity>``, as CelebA's ``identity_CelebA.txt``. Raises
    InputError for anything else.
    """
    table = {} if identities is None else _read_identities(identities)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    try:
        subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error
    found: list[tuple[Path, str]] = []
    if subfolders and not table:
        for person in subfolders:
            found += [(path, person.name) for path in pictures_by_stem(person).values()]
    else:
        for stem, path in pictures_by_stem(folder).items():
            if table and stem not in table:
                raise InputError(f"{path}: {identities} has no line for it.")
            if not table and not _NUMBERED.match(stem):
                raise InputError(
                    f"{path}: does not say who it shows; name it <identity>_<n>{path.suffix}, use a "
                    "sub-folder for each person, or give a file of identities."
                )
            found.append((path, table[stem] if table else _without_number(stem)))
    return Gallery(tuple(path for path, _ in found), tuple(identity for _, identity in found), table)


def _read_identities(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    table: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise InputError(f"{path}: line {number} is not '<file> <identity>', as in identity_CelebA.txt.")
        table[Path(words[0]).stem] = words[1]
    if not table:
        raise InputError(f"{path}: is empty; expected lines '<file> <identity>'.")
    return table


def _without_number(stem: str) -> str:
    found = _NUMBERED.match(stem)
    return found[1] if found else stem
