"""``blurgen verify``: whatever is wrong with a dataset or a test set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blurgen.building.verify import verify as verify_dataset
from blurgen.dataset.manifest import MANIFEST
from blurgen.jobs.progress import Reporter
from blurgen.testset.manifest import TESTSET
from blurgen.testset.verify import verify_testset


def is_testset(root: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a test set, and not a dataset."""
    return (Path(root) / TESTSET).exists() and not (Path(root) / MANIFEST).exists()


def verify(root: str | os.PathLike[str], *, jobs: int = 1, progress: Reporter | None = None) -> Sequence[Any]:
    """Read every byte of the dataset or test set in ``root`` and return its problems; none when all is well.

    ``str`` of a problem names the file and what is wrong with it. ``jobs`` processes share the work. Raises
    InputError when the folder holds neither.

    >>> blurgen.verify(small_dataset)
    []
    """
    check = verify_testset if is_testset(root) else verify_dataset
    return check(Path(root), jobs=jobs, progress=progress)
