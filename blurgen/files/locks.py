"""Files that lock: one process at a time holds one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from blurgen.errors import InputError


@contextmanager
def hold(path: Path, busy: str, *, timeout: float = 0) -> Iterator[None]:
    """Hold the lock file ``path`` in this context; InputError saying ``busy`` when another process has it.

    ``timeout`` is how many seconds it is waited for, -1 for ever. InputError also when the file cannot be
    made, or is a link: to lock a file empties it, and a link could lead anywhere.
    """
    if path.is_symlink():
        raise InputError(f"{path}: is a link; remove it.")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise InputError(busy) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be locked ({error.strerror}); choose another folder.") from None
    try:
        yield
    finally:
        lock.release()  # the file stays: removing it would let two processes hold two files of one name
