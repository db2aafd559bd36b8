"""Which faces a test set is made of, and the part of each that its pictures are made from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from blurgen.comparing.picture_hash import picture_hash, to_text
from blurgen.errors import Argument, InputError
from blurgen.faces import Face, FaceSource
from blurgen.faces.decode import check_patch_fits
from blurgen.files.names import folded, is_portable
from blurgen.jobs.progress import Reporter
from blurgen.labels import Label
from blurgen.randomness.philox import Stream, words
from blurgen.testset.manifest import TakenFace

_LONGEST_STEM = 48


@dataclass(frozen=True)
class Cut:
    """A face, and the part of it that its pictures are made from: the crop and what the blur reads around."""

    face: TakenFace
    pixels: NDArray[np.uint8]
    """uint8 ``[h, w, 3]``, RGB."""
    labels: NDArray[np.uint8]
    """uint8 ``[h, w]``, unknown where the face has none."""
    top: int
    """Where the crop begins in this part, pixels."""
    left: int


def cut_faces(
    source: FaceSource, count: int, seed: int, patch_size: int, reach: int, reporter: Reporter
) -> list[Cut]:
    """Return the first ``count`` usable faces in the order drawn by ``seed``, in the order of the source.

    Around a patch of ``patch_size`` the blur reads half of ``reach`` pixels. InputError when there are fewer
    faces; what cannot be used is told to the ``reporter`` and passed over.
    """
    order = np.argsort([words(seed, Stream.CHOICE, i, 1)[0] for i in range(len(source))], kind="stable")
    cuts: dict[int, Cut] = {}
    known: set[str] = set()
    with reporter.bar("Decoding faces", min(count, len(source)), "faces") as bar:
        for i in order.tolist():
            if len(cuts) == count:
                break
            try:
                face = source.read(i)
                check_patch_fits(face.pixels, face.name, patch_size)
            except InputError as error:
                reporter.say(f"Skipped: {error}")
                continue
            if face.digest in known:
                reporter.say(f"Skipped: {face.name} is the same as a face before it")
                continue
            known.add(face.digest)
            cuts[i] = _cut(face, patch_size, reach // 2)
            bar.advance()
    if len(cuts) < count:
        raise InputError(
            f"{source.spec} has {len(cuts)} usable faces, {count} are wanted; use ",
            Argument("face_count", len(cuts)),
            " or fewer, or another ",
            Argument("split"),
            ".",
        )
    ordered = [cuts[i] for i in sorted(cuts)]
    stems = _stems([cut.face for cut in ordered])
    named = [msgspec.structs.replace(cut.face, file=stem) for cut, stem in zip(ordered, stems, strict=True)]
    return [replace(cut, face=face) for cut, face in zip(ordered, named, strict=True)]


def _cut(face: Face, patch: int, radius: int) -> Cut:
    height, width = face.pixels.shape[:2]
    middle = _middle(face)
    top, left = _corner(middle[0], height, patch, radius), _corner(middle[1], width, patch, radius)
    rows = slice(max(0, top - radius), min(height, top + patch + radius))
    columns = slice(max(0, left - radius), min(width, left + patch + radius))
    # The part ends where the blur ends or where the picture ends, so mirroring at its edges is the same.
    labels = np.full((height, width), Label.UNKNOWN, np.uint8) if face.labels is None else face.labels
    taken = TakenFace(
        file="",
        id=face.id,
        name=face.name,
        digest=face.digest,
        identity=face.identity,
        top=top,
        left=left,
        labelled=face.labels is not None,
        picture_hash=to_text(picture_hash(face.pixels)),
    )
    pixels, labels = (np.ascontiguousarray(whole[rows, columns]) for whole in (face.pixels, labels))
    return Cut(taken, pixels, labels, top - rows.start, left - columns.start)


def _middle(face: Face) -> tuple[int, int]:
    """Return the pixel (row, column) in the middle of the face: of its labels, else of the picture."""
    if face.labels is not None:
        rows, columns = np.nonzero((face.labels >= Label.SKIN) & (face.labels <= Label.LOWER_LIP))
        if rows.size:
            return int(rows.sum()) // rows.size, int(columns.sum()) // columns.size
    return face.pixels.shape[0] // 2, face.pixels.shape[1] // 2


def _corner(middle: int, side: int, patch: int, radius: int) -> int:
    """Return where a patch around ``middle`` begins, within the limits of FORMAT.md, section 2."""
    least = radius if side >= patch + 2 * radius else 0
    return min(max(middle - patch // 2, least), side - patch - least)


def _stems(faces: Sequence[TakenFace]) -> list[str]:
    """Return for each face the stem of its files: its id where that makes a name, and is the only one."""
    plain = [re.sub(r"[^\w.-]", "_", face.id).lstrip(".") for face in faces]
    times = Counter(folded(stem) for stem in plain)
    return [
        stem
        if is_portable(f"{stem}.png") and stem and len(stem) <= _LONGEST_STEM and times[folded(stem)] == 1
        else f"{stem[:_LONGEST_STEM]}-{face.digest[:12]}"
        for stem, face in zip(plain, faces, strict=True)
    ]
