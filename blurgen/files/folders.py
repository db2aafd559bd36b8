"""Folders that hold what one command made, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blurgen.errors import InputError
from blurgen.files.atomic import PART


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there; InputError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another folder.") from None


def refuse_others(folder: Path, is_ours: Callable[[str], bool], what: str) -> None:
    """Raise InputError when the folder holds a file whose name is not one of ours, those of ``what``."""
    for path in sorted(folder.iterdir()):
        if not is_ours(path.name):
            raise InputError(
                f"{folder}: holds '{path.name}', which is no part of {what}; choose a new or empty folder."
            )


def remove_parts(folder: Path) -> None:
    """Remove the files that killed processes left half written; nobody else may be writing there."""
    for path in folder.glob(".*.part"):
        if PART.fullmatch(path.name):
            path.unlink(missing_ok=True)
