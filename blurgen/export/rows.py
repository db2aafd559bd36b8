"""The rows of one set as PNG files in memory, a piece at a time, in this process or in others."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from blurgen.dataset.reading import Dataset
from blurgen.export.jpeg import through_jpeg
from blurgen.files.png import encode_png
from blurgen.jobs.parallel import Workers, run_in_order

_Result = TypeVar("_Result")

PICTURES: Final = ("clean", "blurry", "mask")

_BATCH = 32  # rows read or made at a time
_SAMPLED = 16
_OVERHEAD = 4096  # most bytes that a picture takes beside its own: a block, a page or a tar header


@dataclass(frozen=True)
class EncodedRow:
    """One row, ready to be written."""

    key: str
    """Sample number, in digits of one length, so that keys sort as numbers do."""
    pictures: tuple[bytes, bytes, bytes]
    """PNG files in the order of PICTURES: RGB, RGB, and label numbers as grey."""
    facts: dict[str, Any]
    """What it is made of: ``sample``, ``face`` (name), ``top``, ``left``, ``kernel``, ``kernel_size``."""


@dataclass(frozen=True)
class Rows:
    """The first ``count`` rows of a set, cut into pieces of ``piece`` rows."""

    pickled: str
    """File with the dataset, written by this process."""
    set_name: str
    count: int
    piece: int
    jpeg_quality: int | None = None
    """Of the JPEG that blurry pictures go through, before they are written as PNG."""

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return -(-self.count // self.piece)

    def each_piece(self, write: Callable[..., _Result], workers: Workers, *more: Any) -> Iterator[_Result]:
        """Call ``write(rows, number, *more)`` for each piece in workers; yield the results in order."""
        return run_in_order(write, [(self, number, *more) for number in range(self.pieces)], workers)

    def dataset(self) -> Dataset:
        """Return the dataset that the rows are of."""
        return _load(self.pickled)

    def read(self, number: int) -> Iterator[EncodedRow]:
        """Yield the rows of piece ``number``."""
        first = number * self.piece
        end = min(first + self.piece, self.count)
        dataset = self.dataset()
        for start in range(first, end, _BATCH):
            yield from _encode(dataset, self.set_name, start, min(start + _BATCH, end), self.jpeg_quality)


def row_size(dataset: Dataset, set_name: str, count: int, jpeg_quality: int | None) -> int:
    """Return how many bytes a row takes, from a few spread over the first ``count``."""
    sampled = np.unique(np.linspace(0, count - 1, _SAMPLED).astype(int))
    rows = [row for i in sampled.tolist() for row in _encode(dataset, set_name, i, i + 1, jpeg_quality)]
    return sum(len(data) + _OVERHEAD for row in rows for data in row.pictures) // len(rows)


@lru_cache(maxsize=1)
def _load(pickled: str) -> Dataset:
    # Written by the export itself, in a folder of its own.
    dataset: Dataset = pickle.loads(Path(pickled).read_bytes())
    return dataset


def _encode(
    dataset: Dataset, set_name: str, first: int, end: int, jpeg_quality: int | None
) -> Iterator[EncodedRow]:
    batch = dataset.batch(slice(first, end), set_name)
    digits = max(9, len(str(dataset.recipe.count - 1)))
    for clean, blurry, mask, index in zip(*batch.parts(), strict=True):
        sample, image, kernel = int(index["sample"]), int(index["image"]), int(index["kernel"])
        facts = {
            "sample": sample,
            "face": dataset.faces.name(image),
            "top": int(index["top"]),
            "left": int(index["left"]),
            "kernel": kernel,
            "kernel_size": int(dataset.bank.sizes[kernel]),
        }
        shown = blurry if jpeg_quality is None else through_jpeg(blurry, jpeg_quality)
        pictures = (encode_png(clean), encode_png(shown), encode_png(mask))
        yield EncodedRow(f"{sample:0{digits}d}", pictures, facts)
