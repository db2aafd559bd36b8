"""Paths that stay inside the folder a user named."""

from __future__ import annotations

import os
from pathlib import Path

from blurgen.errors import InputError


def inside(root: Path, relative: str) -> Path:
    """Return ``root/relative``; InputError when a link on the way leads out of the folder."""
    path = root / relative
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise InputError(f"{path}: leads out of the folder {root}; put the file itself there.")
    return path
