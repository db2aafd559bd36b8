"""Blurry pictures with their ground truth: from a dataset, or from folders as test sets are published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.decode import PICTURE_SUFFIXES, decode_labels, decode_picture

_KERNEL_SIZE: Final = re.compile(r"_blur_k(\d+)$")
_BLUR_NAME: Final = re.compile(r"_ker\d+_blur_k\d+$")


@dataclass(frozen=True)
class Pair:
    """One picture to restore and what it should become."""

    name: str
    """Unique, and fit to be the stem of a file."""
    face: str
    """Which clean picture it was made from; rows of one face are not independent."""
    blurry: NDArray[np.uint8]
    """uint8 ``[H, W, 3]``, RGB."""
    clean: NDArray[np.uint8]
    """uint8 ``[H, W, 3]``, RGB."""
    labels: NDArray[np.uint8] | None
    """uint8 ``[H, W]``, values of ``blurgen.labels.Label``; None when there are none."""
    kernel_size: int | None
    """Side of the blur kernel in pixels, None when unknown."""


class Pairs(Protocol):
    """A numbered list of pairs, each made or read when it is asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pair]: ...


class DatasetPairs:
    """The triplets of a dataset (``blurgen.open_dataset``), at most ``limit`` of them."""

    def __init__(self, dataset: Any, limit: int | None = None) -> None:
        self._dataset = dataset
        self._length = len(dataset) if limit is None else min(limit, len(dataset))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Pair]:
        sizes = self._dataset.bank.sizes
        for row in range(self._length):
            triplet = self._dataset[row]
            labels = np.array(triplet.mask)
            yield Pair(
                name=f"sample{row:07d}",
                face=f"image{int(triplet.index['image']):06d}",
                blurry=np.array(triplet.blurry),
                clean=np.array(triplet.clean),
                labels=labels if (labels != 255).any() else None,
                kernel_size=int(sizes[int(triplet.index["kernel"])]),
            )


class FolderPairs:
    """Blurry pictures in one folder, clean ones in another, matched by name.

    A blurry ``<id>_ker<NN>_blur_k<SS>.png`` belongs to the clean ``<id>``; any other belongs to the clean
    picture of its own name. Label maps are PNGs named like the clean pictures. Raises InputError for a folder
    that is missing or holds no picture, for a blurry picture without a clean one, and for two of different
    sizes.
    """

    def __init__(self, blurry: Path, clean: Path, labels: Path | None = None) -> None:
        self._clean = _by_stem(clean)
        self._labels = None if labels is None else _by_stem(labels)
        self._files: list[tuple[Path, str]] = []
        for stem, path in _by_stem(blurry).items():
            face = _BLUR_NAME.sub("", stem)
            face = face if face in self._clean else stem
            if face not in self._clean:
                raise InputError(f"{path}: {clean} holds no clean picture of that name; expected {face}.png.")
            if self._labels is not None and face not in self._labels:
                raise InputError(f"{path}: {labels} holds no label map for it; expected {face}.png.")
            self._files.append((path, face))

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Pair]:
        for path, face in self._files:
            blurry, clean = _read(path), _read(self._clean[face])
            if blurry.shape != clean.shape:
                raise InputError(
                    f"{path}: is {blurry.shape[1]} x {blurry.shape[0]}, but {self._clean[face]} "
                    f"is {clean.shape[1]} x {clean.shape[0]}; the two must be equal."
                )
            size = _KERNEL_SIZE.search(path.stem)
            labels = None if self._labels is None else _read_labels(self._labels[face], clean)
            yield Pair(path.stem, face, blurry, clean, labels, int(size[1]) if size else None)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
            if path.stem in found:
                raise InputError(f"{path}: {found[path.stem].name} has the same name; keep one of the two.")
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder}: holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    return found


def _read(path: Path) -> NDArray[np.uint8]:
    return decode_picture(_bytes(path), str(path))


def _read_labels(path: Path, clean: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return decode_labels(_bytes(path), str(path), clean.shape)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
