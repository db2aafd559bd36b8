"""Drawn faces as a source: ``procedural:N`` or ``procedural:N:SEED``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from blurgen.errors import InputError
from blurgen.faces.crop import FacePoints
from blurgen.faces.cut import cut_face
from blurgen.faces.decode import sha256
from blurgen.faces.procedural.drawn import MAX_SIZE, draw_face
from blurgen.faces.selection import choose, in_split
from blurgen.faces.source import Face, SourceOptions

DRAWING = 1
"""Version of the drawing: another number means other pixels for the same face."""

USUAL_SIZE = 256
_MAX_COUNT = 100_000_000
_USAGE = "write procedural:N or procedural:N:SEED, such as procedural:1000"


@dataclass(frozen=True)
class Procedural:
    """Faces ``numbers`` of ``seed``, each ``size`` pixels wide and high."""

    spec: str
    seed: int
    size: int
    options: SourceOptions
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, i: int) -> str:
        return _name(self.seed, self.numbers[i])

    def read(self, i: int) -> Face:
        """Draw face ``i``. Its digest is that of the bytes of the pixels, then of the labels."""
        number = self.numbers[i]
        pixels, labels = draw_face(number, self.seed, self.size)
        if self.options.align:
            points = FacePoints.from_labels(labels)
            if points is None:
                raise InputError(f"{self.name(i)} does not show the eyes and the mouth to align it by.")
            pixels, labels = cut_face(pixels, labels, points, self.options, self.name(i))
        digest = sha256(pixels.tobytes() + labels.tobytes())
        return Face(pixels, labels, id=f"{self.seed}-{number:06d}", name=self.name(i), digest=digest)

    def describe(self) -> dict[str, Any]:
        listing = xxhash.xxh3_128("\n".join(self.name(i) for i in range(len(self))).encode())
        return {
            "source": "procedural",
            "count": len(self),
            **self.options.describe(),
            "drawing": DRAWING,
            "drawing_seed": self.seed,
            "size": self.size,
            "listing": listing.hexdigest(),
        }


def open_source(argument: str, options: SourceOptions) -> Procedural:
    """Open ``N`` or ``N:SEED``: the first N drawn faces of a seed (0 if not given).

    Faces are drawn 256 pixels wide, wider only if ``options.min_side`` asks for it. The ``train`` and
    ``test`` parts go by the SHA-256 of the face's name in place of its digest, because that takes no
    drawing. Raises InputError for anything that is not of this form.
    """
    spec = f"procedural:{argument}"
    count_text, colon, seed_text = argument.partition(":")
    count = _whole(count_text, spec)
    seed = _whole(seed_text, spec) if colon else 0
    if not 1 <= count <= _MAX_COUNT:
        raise InputError(f"{spec} asks for {count} faces; N must be from 1 to {_MAX_COUNT}.")
    if seed >= 2**64:
        raise InputError(f"{spec} has a seed that is too large; it must be below 2^64.")
    if options.min_side > MAX_SIZE:
        raise InputError(f"{spec} cannot be drawn {options.min_side} pixels wide; {MAX_SIZE} is the most.")
    numbers = _part(count, seed, options.split, spec)
    if options.limit is not None and options.limit < len(numbers):
        numbers = [numbers[i] for i in choose(len(numbers), options.limit, options.seed)]
    return Procedural(spec, seed, max(USUAL_SIZE, options.min_side), options, numbers)


def _whole(text: str, spec: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise InputError(f"{spec!r} does not say how many faces to draw; {_USAGE}.")
    return int(text)


def _part(count: int, seed: int, split: str, spec: str) -> Sequence[int]:
    if split == "all":
        return range(count)
    if split not in ("train", "test"):
        raise InputError(f"{spec} comes without a {split} part; use train or test.")
    numbers = [n for n in range(count) if in_split(sha256(_name(seed, n).encode()), split)]
    if not numbers:
        raise InputError(f"{spec} has no face in its {split} part; ask for more faces.")
    return numbers


def _name(seed: int, number: int) -> str:
    return f"procedural:{seed}/{number:06d}"
