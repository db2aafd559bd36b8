"""Files that appear whole or not at all: the one way in which this project writes a file.

What is written goes to a temporary name in the same folder and takes its own name in one step, so that
neither a killed process nor two processes at once ever leave half a file under that name.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from blurgen.errors import DiskLost, InputError

PART: Final = re.compile(r"\..+\.[0-9a-f]{16}\.part")
"""Names of temporary files: ``.NAME.<16 digits>.part``. A killed process leaves them behind."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a full disk
# Of a disk or a file server that is gone or came back without the file; not every system has all of them.
_LOST: Final = {
    getattr(errno, name, None) for name in ("EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "EHOSTDOWN")
} - {None}
_NO_SYNC: Final = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)  # of a folder, on some network file systems
_IS_WINDOWS: Final = os.name == "nt"
_SYNCS_AT_ONCE: Final = 16  # a file system writes many small files together if it is asked for many


def part_of(path: Path) -> Path:
    """Return a new temporary name beside ``path``, one that PART matches."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


@contextmanager
def write_aside(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes that name, whole and on disk.

    The temporary file exists, is empty, and lies in the same folder under a name that PART matches. When the
    body raises, it is removed and ``path`` stays as it was. With ``wait=False`` nobody waits for the disk,
    and only a machine that goes down can tear the file: for many small files, before whose collection is
    declared complete ``sync_files`` or ``sync_tree`` is called.

    Raises InputError when the folder cannot be written, the disk is full or another program holds the file,
    DiskLost when the disk or its server fails or the temporary file is taken away.
    """
    path = Path(path)
    aside = _new_part(path)
    try:
        yield aside
        if wait:
            sync(aside)
        _take_name(aside, path)
        if wait:
            sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # the first error is the one to tell
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise InputError(
                f"No room left in {path.parent.absolute()} for {path.name}; "
                "free some space or choose another folder."
            ) from error
        if isinstance(error, OSError) and (error.errno in _LOST or _is_gone(aside, error)):
            raise DiskLost(
                f"Cannot write {path}: {error.strerror} (the disk or its server failed, or another process "
                "removed the file); run the same command again."
            ) from error
        raise


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise InputError where a file cannot be written: before the work for it, not after."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: cannot be written, a folder is in its place; remove that.")
    _new_part(path).unlink(missing_ok=True)


def _new_part(path: Path) -> Path:
    """Make an empty temporary file beside ``path``; InputError where that cannot be."""
    aside = part_of(path)
    try:
        # Not tempfile: its files are private to the user, and these are to have the usual permissions.
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}; choose another folder.") from error
    return aside


def write_file(path: str | os.PathLike[str], content: bytes | str, *, wait: bool = True) -> None:
    """Write a file in one piece, text as UTF-8 with the line ends it has; see ``write_aside``."""
    with write_aside(path, wait=wait) as aside:
        aside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def refuse_full_disk(error: OSError, folder: Path) -> None:
    """Raise InputError if ``error`` says that there is no room left in ``folder``."""
    if error.errno in _NO_ROOM:
        raise InputError(
            f"No room left in {folder.absolute()}; free some space and run the same command again."
        ) from None


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file is on disk."""
    # Windows syncs only what is open for writing; elsewhere that may not be allowed, nor is it needed.
    descriptor = os.open(path, os.O_RDWR if _IS_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Wait until the names in a folder are on disk, where its file system can do that. Windows cannot."""
    if _IS_WINDOWS:
        return
    try:
        sync(path)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_files(files: Iterable[Path]) -> None:
    """Wait until files and their names in their folders are on disk; nothing else is waited for."""
    paths = list(files)
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        for _ in pool.map(sync, paths):
            pass
    for folder in sorted({path.parent for path in paths}):
        sync_folder(folder)


def sync_tree(root: Path) -> None:
    """Wait until all files in and below a folder are on disk, and the names of all of them."""
    folders = [Path(folder) for folder, _, _ in os.walk(root)]
    sync_files(path for folder in folders for path in folder.iterdir() if _is_file(path))
    for folder in folders:
        sync_folder(folder)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _take_name(aside: Path, path: Path) -> None:
    try:
        os.replace(aside, path)
    except IsADirectoryError as error:
        raise InputError(f"{path}: cannot be written, a folder is in its place; remove that.") from error
    except PermissionError as error:
        what = "a folder is in its place; remove that" if path.is_dir() else "is it open in another program?"
        raise InputError(f"{path}: cannot be written, {what}.") from error


def _is_gone(path: Path, error: OSError) -> bool:
    return isinstance(error, FileNotFoundError) and str(error.filename) == str(path)
