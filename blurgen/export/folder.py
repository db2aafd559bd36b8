"""A folder that appears whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blurgen.errors import InputError
from blurgen.files.atomic import refuse_full_disk, sync_folder
from blurgen.jobs.progress import Reporter, size_text


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it takes that name, else it is removed.

    What earlier runs left when they were killed is removed first. InputError when ``path`` is anything but
    missing or an empty folder, when its parent cannot be written, or when the disk gets full.
    """
    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is not empty; choose a new or empty folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        aside.mkdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another folder.") from None
    lock = _lock(aside)
    try:
        yield aside
        os.rename(aside, path)
        sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            refuse_full_disk(error, path.parent)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def check_room(folder: Path, size: int, reporter: Reporter) -> None:
    """Say how many bytes are to be written; InputError when they do not fit on the disk."""
    free = shutil.disk_usage(folder).free
    reporter.say(f"About {size_text(size)} to write; {size_text(free)} free on the disk.")
    if size > free:
        raise InputError(
            f"{folder.parent}: about {size_text(size)} do not fit on the disk, which has {size_text(free)} "
            "free; free some space, choose another disk, or use --limit."
        )


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary folders of runs that are no more: a living one holds a lock on its own."""
    left = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{16}\.part")
    for folder in path.parent.iterdir():
        if left.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that locks a folder until it is closed; None when another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
