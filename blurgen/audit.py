"""``blurgen audit``: what two datasets or test sets in folders share."""

from __future__ import annotations

from pathlib import Path

from blurgen.comparing.contents import Audit, compare
from blurgen.comparing.picture_hash import SAME_PICTURE
from blurgen.jobs.progress import Reporter
from blurgen.testset.contents import read_contents


def audit(
    a: str | Path,
    b: str | Path,
    *,
    near: bool = True,
    threshold: int = SAME_PICTURE,
    progress: Reporter | None = None,
) -> Audit:
    """Compare the datasets or test sets in two folders.

    ``near`` also looks for faces that look the same, in at most ``threshold`` of 256 bits. InputError when a
    folder holds neither.
    """
    first, second = (read_contents(Path(path), near=near, progress=progress) for path in (a, b))
    return compare(first, second, threshold)
