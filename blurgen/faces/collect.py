"""Decode every face of some sources, in parallel and in order, and sort out what can be kept.

Faces wait in files: how many pixels there are in all is known only at the end, and memory must not
depend on it. Each task writes one pair of files, so the pixels never travel between processes.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from blurgen.errors import InputError
from blurgen.faces.source import Face, FaceSource
from blurgen.jobs.parallel import Workers, run_in_order
from blurgen.jobs.progress import Reporter
from blurgen.labels import Label

_MOST_FACES_PER_TASK = 32


@dataclass(frozen=True)
class FaceRecord:
    """What the table of the store says of a face."""

    height: int
    width: int
    id: str
    name: str
    identity: int
    labelled: bool
    digest: str


@dataclass(frozen=True)
class Skipped:
    """A face that is not in the store."""

    name: str
    reason: str


@dataclass(frozen=True)
class Part:
    """Faces of one task that wait in two files, RGB and labels, one after another."""

    path: Path
    """Of the RGB; ``labels_path`` says where the labels are."""
    rows: tuple[FaceRecord, ...]
    kept: tuple[bool, ...]
    """False for a face that waits in the files but is a duplicate."""


def labels_path(path: Path) -> Path:
    """Return the file with the labels of a part whose RGB is in ``path``."""
    return path.with_name(path.name + ".labels")


@dataclass
class Collected:
    """All faces of some sources, and what happened to the rest."""

    per_source: list[int]
    """Faces kept of each source."""
    parts: list[Part] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    first_reasons: dict[int, str] = field(default_factory=dict)
    """Why the first face of a source that was skipped was, by source number."""
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, number: int, path: Path, outcome: list[FaceRecord | Skipped]) -> None:
        """Take what became of the next faces of source ``number``, which wait in ``path``."""
        rows: list[FaceRecord] = []
        kept: list[bool] = []
        for one in outcome:
            if isinstance(one, Skipped):
                self._skip(number, one)
                continue
            rows.append(one)
            kept.append(one.digest not in self._known)
            if not kept[-1]:
                self._skip(number, Skipped(one.name, f"{one.name} is the same as {self._known[one.digest]}."))
            self._known.setdefault(one.digest, one.name)
        self.parts.append(Part(path, tuple(rows), tuple(kept)))
        self.per_source[number] += sum(kept)

    def rows(self) -> list[FaceRecord]:
        """Return the faces kept, in order."""
        return [row for part in self.parts for row, kept in zip(part.rows, part.kept, strict=True) if kept]

    def _skip(self, number: int, one: Skipped) -> None:
        self.skipped.append(one)
        self.first_reasons.setdefault(number, one.reason)


def collect(
    sources: Sequence[FaceSource],
    folder: Path,
    *,
    jobs: int,
    on_error: str,
    reporter: Reporter,
) -> Collected:
    """Decode all faces into files in ``folder``, which is empty and the caller's to remove.

    A face with the digest of an earlier one is a duplicate and skipped. With ``on_error="fail"`` the
    first face, in order, that cannot be used raises its InputError. So does a source without any
    usable face. WorkerDied when a worker process is killed.
    """
    # A source may list 200,000 files: workers load it once instead of being sent it with each task.
    pickled = folder / "sources"
    pickled.write_bytes(pickle.dumps(list(sources)))
    calls = [
        (str(pickled), number, faces, folder / f"{number:04}-{faces.start:09}", on_error == "fail")
        for number, source in enumerate(sources)
        for faces in _tasks(len(source))
    ]
    collected = Collected(per_source=[0] * len(sources))
    with (
        reporter.bar("Decoding faces", sum(map(len, sources)), "faces") as bar,
        closing(run_in_order(_decode_part, calls, Workers(jobs), alone_first=True)) as outcomes,
    ):
        for (_, number, faces, path, _), outcome in zip(calls, outcomes, strict=True):
            failed = [one for one in outcome if isinstance(one, Skipped)]
            if failed and on_error == "fail":
                raise InputError(failed[0].reason)
            collected.add(number, path, outcome)
            bar.advance(len(faces))
    for number, source in enumerate(sources):
        if not collected.per_source[number]:
            reason = collected.first_reasons.get(number, "it is empty.")
            raise InputError(f"{source.spec} has no face that can be used: {reason}")
    return collected


def _tasks(count: int) -> Iterator[range]:
    """Yield the faces of each task: few at first, so that it is soon seen how long faces take."""
    first, size = 0, 1
    while first < count:
        yield range(first, min(first + size, count))
        first, size = first + size, min(2 * size, _MOST_FACES_PER_TASK)


def _decode_part(
    pickled: str, number: int, faces: range, path: Path, stop: bool
) -> list[FaceRecord | Skipped]:
    """Decode some faces of source ``number`` into the files of a part; with ``stop``, until one fails."""
    source = _load_sources(pickled)[number]
    outcome: list[FaceRecord | Skipped] = []
    with path.open("wb") as pixels, labels_path(path).open("wb") as labels:
        for i in faces:
            try:
                face = source.read(i)
            except InputError as error:
                outcome.append(Skipped(source.name(i), str(error)))
                if stop:
                    break
            else:
                outcome.append(_append(pixels, labels, face))
    return outcome


@lru_cache(maxsize=1)
def _load_sources(pickled: str) -> list[FaceSource]:
    with open(pickled, "rb") as file:  # written by collect, in a folder of its own
        loaded: list[FaceSource] = pickle.load(file)
    return loaded


def _append(pixels_file: BinaryIO, labels_file: BinaryIO, face: Face) -> FaceRecord:
    height, width = face.pixels.shape[:2]
    labels = np.full((height, width), Label.UNKNOWN, np.uint8) if face.labels is None else face.labels
    if face.pixels.shape != (height, width, 3) or labels.shape != (height, width):
        raise ValueError(f"{face.name}: pixels {face.pixels.shape} and labels {labels.shape} do not agree.")
    if face.pixels.dtype != np.uint8 or labels.dtype != np.uint8:
        raise ValueError(f"{face.name}: pixels and labels must be uint8.")
    pixels_file.write(np.ascontiguousarray(face.pixels).data)
    labels_file.write(np.ascontiguousarray(labels).data)
    labelled = face.labels is not None
    return FaceRecord(height, width, face.id, face.name, face.identity, labelled, face.digest)
