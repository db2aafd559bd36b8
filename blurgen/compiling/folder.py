"""Where compiled code is kept: a folder of the user's own, with a few versions of each module.

Compiled code is loaded and run, so nobody else may be able to write there.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import numba
import platformdirs

_settings: Any = numba.config
_KEPT: Final = 10  # versions of a module: of other environments, branches or machines that share the folder


@cache
def version_folder(module: str, digest: str) -> Path | None:
    """Return the folder of one version of a module, made if need be; None where nothing can be kept."""
    root = _root()
    if root is None:
        return None
    folder = root / module / digest
    try:
        if folder.is_dir():
            os.utime(folder)  # last used now
        else:
            folder.mkdir(parents=True)
            _remove_older(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


@cache
def _root() -> Path | None:
    """Return NUMBA_CACHE_DIR's or the user's cache folder; else a private one among temporary files."""
    if _settings.CACHE_DIR:
        wanted = Path(_settings.CACHE_DIR) / "blurgen"
    else:
        wanted = platformdirs.user_cache_path("blurgen", appauthor=False) / "compiled"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=wanted).close()
    except OSError:
        return _private_temporary()
    return wanted


def _private_temporary() -> Path | None:
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"blurgen-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    # Anyone may make a folder of that name first, or put a link in its place.
    is_private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_private else None


def _remove_older(fresh: Path) -> None:
    """Remove all but the versions of a module used last. A process at work with one only compiles again."""
    with suppress(OSError):
        used = {path: path.stat().st_mtime for path in fresh.parent.iterdir() if path != fresh}
        for path in sorted(used, key=lambda path: used[path])[: max(0, len(used) + 1 - _KEPT)]:
            shutil.rmtree(path, ignore_errors=True)
