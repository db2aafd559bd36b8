"""Reading and writing an open file at an offset, on every system: Windows has neither pread nor pwrite.

The file's own position moves, so an open file belongs to one thread.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path


def open_to_read(path: str | os.PathLike[str], *, follow_link: bool = True) -> io.FileIO:
    """Open a file for reading, without a buffer; with ``follow_link=False`` a link is refused (OSError)."""
    path = Path(path)
    if follow_link:
        return open(path, "rb", buffering=0)
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return open(path, "rb", buffering=0, opener=_open_no_link)


def read_at(file: io.FileIO, offset: int, size: int) -> bytes:
    """Return up to ``size`` bytes from ``offset``: fewer only where the file ends."""
    buffer = bytearray(size)
    return bytes(buffer[: read_into(file, memoryview(buffer), offset)])


def read_into(file: io.FileIO, buffer: memoryview, offset: int) -> int:
    """Fill a buffer of bytes from ``offset``; return how many there were before the file ended."""
    file.seek(offset)
    done = 0
    while done < len(buffer):
        read = file.readinto(buffer[done:])
        if not read:
            break
        done += read
    return done


def write_at(file: io.FileIO, content: memoryview, offset: int) -> None:
    """Write all bytes of ``content`` at ``offset``; OSError when the disk does not take them."""
    file.seek(offset)
    done = 0
    while done < len(content):
        written = file.write(content[done:])
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += written


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
