"""Folders for what a command writes."""

from __future__ import annotations

from pathlib import Path

from blurgen.errors import InputError


def make_folder(path: Path) -> None:
    """Make a folder, and those it lies in, where there is none. Raises InputError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another folder.") from error
