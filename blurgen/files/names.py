"""File names that stand for one file, and the same one, on every system, and that can be shown."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

_PORTS: Final = {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
_DEVICES: Final = {"con", "prn", "aux", "nul"} | _PORTS
_NOT_ON_WINDOWS: Final = set('<>:"/\\|?*') | {chr(code) for code in range(32)}


def is_portable(name: str) -> bool:
    """Return whether a name is that of a file in a folder on POSIX and on Windows alike.

    It leads nowhere else (no separators, no drive, no ``..``), is not a device of Windows such as ``CON`` or
    ``nul.txt``, and does not end in a dot or a blank, which Windows drops.
    """
    if not name == PurePosixPath(name).name == PureWindowsPath(name).name or set(name) & _NOT_ON_WINDOWS:
        return False
    device = name.partition(".")[0].rstrip(" ").casefold()
    return name[-1:] not in ("", ".", " ") and device not in _DEVICES


def folded(name: str) -> str:
    """Return what two names share if some file system takes them for one: macOS and Windows ignore case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def printable(name: str) -> str:
    """Return ``name`` fit for a message or a table: valid UTF-8, one line, nothing invisible."""
    valid = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in valid)
