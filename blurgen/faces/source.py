"""What every source of faces offers: a numbered list of faces, each read on its own.

Opening a source lists its files and decodes nothing; reading face ``i`` touches only the files of
face ``i``. So a source can be sent to worker processes, and a broken file costs one face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Face:
    """One decoded face."""

    pixels: NDArray[np.uint8]
    """uint8 ``[H, W, 3]``, RGB."""
    labels: NDArray[np.uint8] | None
    """uint8 ``[H, W]``, values of ``blurgen.labels.Label``; None when unlabelled."""
    id: str
    """The source's own name of the face."""
    name: str
    """``SOURCE:FILE``, unique within a source and printable."""
    digest: str
    """SHA-256 of the source file, 64 hexadecimal digits; for drawn faces, of pixels and labels."""
    identity: int = -1
    """Number of the person, -1 where the source does not say."""


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be read; the same for every kind of source."""

    patch_size: int
    """Faces lower or narrower than this many pixels cannot be used."""
    min_side: int
    """Patch size plus largest kernel size minus 1: sources which rescale keep the short side above it."""
    seed: int = 0
    """Chooses the faces that ``limit`` leaves."""
    split: str = "all"
    limit: int | None = None
    labels: str | None = None
    """Folder of label maps, for sources that have none of their own."""
    align: bool = False
    """Turn faces upright and onto the template (blurgen.faces.align), not only cut them out."""

    def describe(self) -> dict[str, Any]:
        """Return what decides which faces are taken and how; what is not used is left out or None."""
        described: dict[str, Any] = {
            "split": self.split,
            "limit": self.limit,
            "seed": None if self.limit is None else self.seed,
        }
        if self.align:
            described |= {"align": True, "min_side": self.min_side}
        return described


class FaceSource(Protocol):
    """A numbered list of faces. Must be picklable: faces are read in worker processes."""

    spec: str
    """What the user typed, such as ``facesynthetics:/data/fs``."""

    def __len__(self) -> int: ...

    def name(self, i: int) -> str:
        """Return ``SOURCE:FILE`` of face ``i`` without reading it, for messages."""

    def read(self, i: int) -> Face:
        """Read and decode face ``i``; InputError naming the file when it cannot be used."""

    def describe(self) -> dict[str, Any]:
        """Return what the recipe records, JSON-able, without decoding anything.

        Keys: ``source`` (the kind), ``count``, the options that matter, and ``listing``, a digest of
        the names and sizes of the files, so that a changed folder is noticed.
        """
