"""Do two collections of faces and kernels share a face, a person or a kernel?

A face is shared when both were made from the same file, byte for byte, or from two files that look the same
(blurgen.comparing.picture_hash). A person is shared when both sources number persons, in the same way, and a
number occurs in both. A kernel is shared when the weights are equal, in place or shifted by whole pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from blurgen.comparing.picture_hash import SAME_PICTURE, WORDS, near_pairs
from blurgen.kernels.bank import KernelBank

_SHOWN = 10
# CelebAMask-HQ's persons are known by CelebA's own list.
_NUMBERED_BY: Final = {"celebamask-hq": "celeba"}


@dataclass(frozen=True)
class SharedFace:
    """Two faces made from the same file, by name."""

    a: str
    b: str
    digest: str

    def __str__(self) -> str:
        return f"{self.a} and {self.b} are the same file"


@dataclass(frozen=True)
class NearFaces:
    """Two faces that look the same, by name, with the bits of 256 that differ.

    Of one face of the first collection at most ``picture_hash.MOST_PAIRS`` are told.
    """

    a: str
    b: str
    distance: int
    mirrored: bool

    def __str__(self) -> str:
        look = "mirror each other" if self.mirrored else "look the same"
        return f"{self.a} and {self.b} {look} ({self.distance} of {64 * WORDS} bits differ)"


@dataclass(frozen=True)
class SharedIdentity:
    """A person who is in both, with the first face of theirs in each."""

    source: str
    identity: int
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.a} and {self.b} show the same person ({self.source} identity {self.identity})"


@dataclass(frozen=True)
class SharedKernel:
    """A kernel that both have: the number of the first of its weights in each, and how many there are.

    ``b`` is ``a`` moved by so many pixels.
    """

    a: int
    b: int
    rows: int
    columns: int
    count_a: int
    count_b: int

    def __str__(self) -> str:
        moved = f", moved by {self.rows} rows and {self.columns} columns" if self.rows or self.columns else ""
        many = (
            f" ({self.count_a:,} and {self.count_b:,} such kernels)"
            if self.count_a * self.count_b > 1
            else ""
        )
        return f"kernels {self.a} and {self.b} are the same{moved}{many}"


@dataclass(frozen=True)
class Audit:
    """What two datasets share; ``a`` is always of the first, ``b`` of the second."""

    faces: list[SharedFace]
    near_faces: list[NearFaces]
    identities: list[SharedIdentity]
    kernels: list[SharedKernel]

    @property
    def clean(self) -> bool:
        """Whether nothing is shared."""
        return next(self.findings(), None) is None

    def findings(self) -> Iterator[SharedFace | NearFaces | SharedIdentity | SharedKernel]:
        """Yield everything that is shared, the gravest first."""
        yield from self.faces
        yield from self.near_faces
        yield from self.identities
        yield from self.kernels

    def to_json(self) -> dict[str, Any]:
        """Return the whole audit, JSON-able."""
        return {"clean": self.clean, **asdict(self)}

    def text(self) -> str:
        """Return the audit for people: counts, and the first few of each kind."""
        kinds = (
            ("faces from the same file", self.faces),
            ("pairs of faces that look the same, from different files", self.near_faces),
            ("identities", self.identities),
            ("kernels", self.kernels),
        )
        lines = []
        for what, found in kinds:
            lines.append(f"shared {what}: {len(found):,}")
            lines += [f"  {one}" for one in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"  and {len(found) - _SHOWN:,} more")
        return "\n".join(lines)


@dataclass(frozen=True)
class Contents:
    """What a dataset or a test set is made of, one entry for each face."""

    names: list[str]
    digests: list[str]
    identities: list[int]
    hashes: NDArray[np.uint64]
    """uint64 ``[faces, 4]``; no rows when near duplicates are not looked for."""
    kernels: KernelBank


def compare(a: Contents, b: Contents, threshold: int = SAME_PICTURE) -> Audit:
    """Return what two contents share; faces of the same file are not told again as looking the same."""
    place = {digest: i for i, digest in reversed(list(enumerate(b.digests)))}
    faces = [
        SharedFace(a.names[i], b.names[place[digest]], digest)
        for i, digest in enumerate(a.digests)
        if digest in place
    ]
    near = [
        NearFaces(a.names[i], b.names[j], distance, bool(mirrored))
        for i, j, distance, mirrored in near_pairs(a.hashes, b.hashes, threshold).tolist()
        if a.digests[i] != b.digests[j]
    ]
    return Audit(faces, near, _shared_identities(a, b), _shared_kernels(a.kernels, b.kernels))


def _shared_identities(a: Contents, b: Contents) -> list[SharedIdentity]:
    ours, theirs = _persons(a), _persons(b)
    return [
        SharedIdentity(source, identity, a.names[ours[source, identity]], b.names[theirs[source, identity]])
        for source, identity in sorted(ours.keys() & theirs.keys())
    ]


def _persons(contents: Contents) -> dict[tuple[str, int], int]:
    """Return the first face of each person."""
    found: dict[tuple[str, int], int] = {}
    for i, (name, identity) in enumerate(zip(contents.names, contents.identities, strict=True)):
        source = name.partition(":")[0]
        if identity >= 0:
            found.setdefault((_NUMBERED_BY.get(source, source), identity), i)
    return found


def _shared_kernels(a: KernelBank, b: KernelBank) -> list[SharedKernel]:
    ours, theirs = _shapes(a), _shapes(b)
    shared = []
    for shape in ours.keys() & theirs.keys():
        (i, here), (j, there) = ours[shape][0], theirs[shape][0]
        counts = len(ours[shape]), len(theirs[shape])
        shared.append(SharedKernel(i, j, there[0] - here[0], there[1] - here[1], *counts))
    return sorted(shared, key=lambda one: one.a)


def _shapes(bank: KernelBank) -> dict[bytes, list[tuple[int, tuple[int, int]]]]:
    """Return the kernels of each shape: their numbers, and where the shape lies from the centre."""
    radius = bank.max_size // 2
    boxes = [_span(np.any(bank.weights, axis=axis)) for axis in (2, 1)]
    found = defaultdict(list)
    for i, weights in enumerate(bank.weights):
        (top, bottom), (left, right) = boxes[0][i], boxes[1][i]
        shape = np.ascontiguousarray(weights[top:bottom, left:right], "<u2")
        key = xxhash.xxh3_128_digest(shape.tobytes()) + bytes(shape.shape)
        found[key].append((i, (int(top) - radius, int(left) - radius)))
    return found


def _span(used: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return first and past-the-end place that is used in each row of bool ``[n, M]``, ``[n, 2]``."""
    return np.stack([used.argmax(1), used.shape[1] - used[:, ::-1].argmax(1)], axis=1)
