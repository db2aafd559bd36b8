"""Files below a folder: find them in a fixed order, never leave the folder, read each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

import xxhash

from blurgen.errors import InputError
from blurgen.files.bounded import read_bounded
from blurgen.files.names import printable

MAX_FILE_BYTES = 1 << 30
"""A picture of more bytes than this is not read."""

_MAX_LIST_BYTES = 64 << 20  # CelebA's are of 6 MB and 200,000 lines
_MAX_LINES = 2_000_000
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def existing_folder(path: str, remedy: str) -> str:
    """Return the real path of a folder; InputError naming it, with the ``remedy``, if there is none."""
    if not os.path.isdir(path):
        problem = "is a file, not a folder" if os.path.exists(path) else "does not exist"
        raise InputError(f"{printable(path)} {problem}; {remedy}.")
    return os.path.realpath(path)


def folder_inside(root: str, name: str, remedy: str) -> str:
    """Return the real path of the folder ``name`` in ``root``, which must not lead out of ``root``."""
    found = existing_folder(os.path.join(root, name), remedy)
    if not _is_inside(found, root):
        where = printable(os.path.join(root, name))
        raise InputError(f"{where} is a link that leads out of the folder; put the files there.")
    return found


def find_files(root: str, suffixes: Sequence[str], leave_out: Sequence[str] = ()) -> list[str]:
    """Return the files in and below ``root`` with one of ``suffixes`` (lower case), sorted, relative.

    Separators are those of POSIX on every system: the names are stored.

    Hidden files and folders are passed over, and so are the folders ``leave_out`` directly in ``root``.
    A link to a folder is listed as if it were a file, so that reading it tells of it by name.
    Raises InputError for a folder that cannot be read.
    """
    found: list[str] = []
    for folder, subfolders, files in os.walk(root, onerror=_unreadable_folder):
        links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]
        hidden = {name for name in subfolders if name.startswith(".")}
        left_out = {*leave_out} if folder == root else set()
        subfolders[:] = sorted({*subfolders} - hidden - left_out - {*links})
        pictures = [name for name in files if os.path.splitext(name)[1].lower() in suffixes]
        wanted = {name for name in (*pictures, *links) if not name.startswith(".")} - left_out
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        found += [name if below == "." else f"{below}/{name}" for name in wanted]
    return sorted(found)


def read_inside(root: str, file: str, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of ``file``, relative to ``root`` (a real path).

    Raises InputError for a link that leads out of ``root``, anything but a regular file (a pipe would
    never end), a file of more than ``most_bytes`` and one that cannot be read.
    """
    path = os.path.join(root, file)
    real = os.path.realpath(path)
    if not _is_inside(real, root):
        raise InputError(f"{printable(path)} is a link that leads out of the folder; copy the file there.")
    return read_bounded(real, most_bytes, printable(path))


def read_lines(root: str, file: str, errors: str = "replace") -> list[str]:
    """Return the lines of a list, as UTF-8 without a mark at its start; see ``read_inside``.

    ``errors`` says what becomes of bytes that are none, as for ``bytes.decode``. InputError also for more
    than two million lines.
    """
    text = read_inside(root, file, _MAX_LIST_BYTES).decode("utf-8", errors)
    if sum(map(text.count, _LINE_ENDS)) > _MAX_LINES:  # each takes far more memory than its bytes
        raise InputError(f"{printable(os.path.join(root, file))}: has more than {_MAX_LINES:,} lines.")
    return text.removeprefix("\ufeff").splitlines()


def read_table(root: str, file: str, line: str, example: str, headings: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield the groups of the pattern ``line`` for each line of a list that is not empty.

    The first ``headings`` lines are passed over. InputError naming another line, and what was expected.
    """
    pattern = re.compile(line)
    for row, text in enumerate(read_lines(root, file)[headings:], start=headings + 1):
        match = pattern.fullmatch(text.strip())
        if match:
            yield match.groups()
        elif text.strip():
            where = printable(os.path.join(root, file))
            raise InputError(f"{where}, line {row}: expected '{example}'.")


def listing_digest(root: str, files: Iterable[str]) -> str:
    """Return the XXH3-128 of names and sizes, 32 hexadecimal digits: it changes when the folder does.

    A file that is not there counts with size -1, so that its coming is noticed as well.
    """
    digest = xxhash.xxh3_128()
    for file in files:
        try:
            size = os.stat(os.path.join(root, file)).st_size
        except OSError:
            size = -1
        digest.update(os.fsencode(file.replace(os.sep, "/")) + b"\0%d\0" % size)
    return digest.hexdigest()


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _unreadable_folder(error: OSError) -> None:
    raise InputError(f"{printable(error.filename)} cannot be read: {error.strerror}; check its permissions.")
