"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blurgen.errors import Argument, InputError
from blurgen.files.atomic import part_of, refuse_full_disk, sync_folder
from blurgen.files.locks import hold
from blurgen.jobs.progress import Reporter, size_text

_LOCK = ".lock"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it takes that name, else it is removed.

    What earlier runs left when they were killed is removed first. InputError when ``path`` is anything but
    missing or an empty folder, when its parent cannot be written, or when the disk gets full.
    """
    path = path.absolute()
    if path.is_symlink():
        raise InputError(f"{path}: is a link; name the folder itself.")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is not empty; choose a new or empty folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); choose another folder.") from None
    aside = part_of(path)
    with _locked(aside):
        try:
            aside.mkdir()
            yield aside
            if path.is_dir():
                path.rmdir()  # or Windows would not let another take its name
            os.rename(aside, path)
            sync_folder(path.parent)
        except BaseException as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(error, OSError):
                refuse_full_disk(error, path.parent)
            raise


def check_room(folder: Path, size: int, reporter: Reporter) -> None:
    """Say how many bytes are to be written; InputError when they do not fit on the disk."""
    free = shutil.disk_usage(folder).free
    reporter.say(f"About {size_text(size)} to write; {size_text(free)} free on the disk.")
    if size > free:
        raise InputError(
            f"{folder.parent}: about {size_text(size)} do not fit on the disk, which has {size_text(free)} "
            "free; free some space, choose another disk, or use ",
            Argument("limit"),
            ".",
        )


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary folders of runs that are no more: a living one holds a lock."""
    left = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{16}\.part")
    names = {entry.name.removesuffix(_LOCK) for entry in path.parent.iterdir()}
    for aside in [path.with_name(name) for name in names if left.fullmatch(name)]:
        with suppress(InputError), _locked(aside):
            if aside.is_dir() and not aside.is_symlink():
                shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _locked(aside: Path) -> Iterator[None]:
    """Hold the lock of a temporary folder, which lies beside it and goes with it; InputError if it is held.

    Another run that takes it in the moment before it is removed finds that there is no such folder any more.
    """
    lock = aside.with_name(aside.name + _LOCK)
    with ExitStack() as later, hold(lock, f"{aside}: another export is at work there."):
        later.callback(lock.unlink, missing_ok=True)
        yield
