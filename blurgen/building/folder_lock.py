"""Who may work on a dataset's folder: one build of the whole, or several of disjoint slices.

The whole build holds ``.lock`` from start to end. A slice holds a lock named after its shards; what
concerns the folder as a whole (faces, kernels, ``dataset.json``) happens under ``.update.lock``, which
everyone holds for a moment only. Each takes its own lock first and looks at the others' afterwards, so
of two that start together at least one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from blurgen.files.locks import hold

WHOLE: Final = ".lock"
UPDATE: Final = ".update.lock"
_MOMENT: Final = 2.0  # seconds: far longer than another slice holds ``.lock`` to look at it
_FOR_EVER: Final = -1.0
_SLICE = re.compile(r"\.slice-(\d+)-(\d+)\.lock")


def is_lock(name: str) -> bool:
    """Return whether a file of this name in a dataset's folder is one of these locks."""
    return name in {WHOLE, UPDATE} or _SLICE.fullmatch(name) is not None


@contextmanager
def lock_whole(root: Path) -> Iterator[None]:
    """Hold the folder for a build of the whole dataset; InputError at once when another build is at work."""
    with _take(root / WHOLE, root):
        for path in root.iterdir():
            if _SLICE.fullmatch(path.name):
                _check_free(path, root)
        yield


@contextmanager
def lock_slice(root: Path, first: int, end: int) -> Iterator[None]:
    """Hold shards ``first`` to ``end - 1``; InputError when another build works on one."""
    own = root / f".slice-{first}-{end}.lock"
    with _take(own, root):
        _check_free(root / WHOLE, root, _MOMENT)
        for path in root.iterdir():
            other = _SLICE.fullmatch(path.name)
            if other and path != own and int(other[1]) < end and first < int(other[2]):
                _check_free(path, root)
        yield


def lock_update(root: Path) -> AbstractContextManager[None]:
    """Return the lock (a context manager, waits) under which ``dataset.json`` and the like are changed."""
    return _take(root / UPDATE, root, _FOR_EVER)


def _take(path: Path, root: Path, timeout: float = 0) -> AbstractContextManager[None]:
    busy = f"{root}: another build is at work in this folder; wait until it is done."
    return hold(path, busy, timeout=timeout)


def _check_free(path: Path, root: Path, timeout: float = 0) -> None:
    if path.exists():
        with _take(path, root, timeout):
            pass
