"""Blurry pictures with their ground truth: from a dataset, or from folders as test sets are published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from blurgen.dataset.manifest import KERNELS
from blurgen.dataset.reading import Dataset, open_dataset
from blurgen.errors import InputError
from blurgen.faces.decode import PICTURE_SUFFIXES, decode_labels, decode_picture
from blurgen.files.inside import inside
from blurgen.kernels.bank import KernelBank
from blurgen.labels import Label
from blurgen.testset.manifest import read_testset

SMALLEST_SIDE: Final = 17
"""Of a picture that can be scored: SSIM needs 11 pixels, and the shift of up to 3 takes 3 at each side."""

_UNIT: Final = 32768
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
    kernel: NDArray[np.float64] | None = None
    """float64 ``[size, size]``, sum 1: what the clean picture was convolved with; None when unknown."""
    identity: str | None = None
    """The person, where the data names persons."""


class Pairs(Protocol):
    """A numbered list of pairs, each made or read when it is asked for."""

    knows_kernels: bool
    """Whether its pairs have kernels."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pair]: ...

    def names(self) -> list[str]:
        """Return the names of all pairs, in order, without reading them."""


class DatasetPairs:
    """The triplets of a dataset (``blurgen.open_dataset``), at most ``limit`` of them.

    Raises InputError when its patches are too small to be scored.
    """

    knows_kernels = True

    def __init__(self, dataset: Dataset, limit: int | None = None) -> None:
        side = dataset.recipe.patch_size
        if side < SMALLEST_SIDE:
            raise InputError(f"{dataset.root}: {_too_small(side, side)}")
        self._dataset = dataset
        self._length = len(dataset) if limit is None else min(limit, len(dataset))

    def __len__(self) -> int:
        return self._length

    def names(self) -> list[str]:
        """Return ``sample0000000`` and so on."""
        return [_sample_name(row) for row in range(self._length)]

    def __iter__(self) -> Iterator[Pair]:
        bank, identities = self._dataset.bank, self._dataset.faces.table["identity"]
        for row in range(self._length):
            triplet = self._dataset[row]
            labels = np.array(triplet.mask)
            image, kernel = int(triplet.index["image"]), int(triplet.index["kernel"])
            identity = int(identities[image])
            yield Pair(
                name=_sample_name(row),
                face=f"image{image:06d}",
                blurry=np.array(triplet.blurry),
                clean=np.array(triplet.clean),
                labels=labels if (labels != Label.UNKNOWN).any() else None,
                kernel_size=int(bank.sizes[kernel]),
                kernel=bank.kernel(kernel) / _UNIT,
                identity=str(identity) if identity >= 0 else None,
            )


class FolderPairs:
    """Blurry pictures in one folder, clean ones in another, matched by name.

    A blurry ``<id>_ker<NN>_blur_k<SS>.png`` belongs to the clean ``<id>``; any other belongs to the clean
    picture of its own name. Label maps are PNGs named like the clean pictures. ``kernels`` (uint16
    ``[size, size]``, sum 32768) go by the name of the blurry picture, ``identities`` by the clean one's.
    Raises InputError for a folder that is missing or holds no picture, for a blurry picture without a clean
    one, and for two of different sizes.
    """

    def __init__(
        self,
        blurry: Path,
        clean: Path,
        labels: Path | None = None,
        limit: int | None = None,
        *,
        kernels: Mapping[str, NDArray[np.uint16]] | None = None,
        identities: Mapping[str, str] | None = None,
    ) -> None:
        self.knows_kernels = kernels is not None
        self._kernels, self._identities = kernels or {}, identities or {}
        self._clean = pictures_by_stem(clean)
        self._labels = None if labels is None else pictures_by_stem(labels)
        self._files: list[tuple[Path, str]] = []
        for stem, path in list(pictures_by_stem(blurry).items())[:limit]:
            made_from = _BLUR_NAME.sub("", stem)
            face = made_from if made_from in self._clean else stem
            if face not in self._clean:
                raise InputError(f"{path}: {clean} holds no clean picture for it; expected {made_from}.png.")
            if self._labels is not None and face not in self._labels:
                raise InputError(f"{path}: {labels} holds no label map for it; expected {face}.png.")
            self._files.append((path, face))

    def __len__(self) -> int:
        return len(self._files)

    def names(self) -> list[str]:
        """Return the stems of the blurry pictures."""
        return [path.stem for path, _ in self._files]

    def __iter__(self) -> Iterator[Pair]:
        for path, face in self._files:
            blurry, clean = read_picture(path), read_picture(self._clean[face])
            if blurry.shape != clean.shape:
                raise InputError(
                    f"{path}: is {_size(blurry)}, but {self._clean[face]} is {_size(clean)}; "
                    "the two must be equal."
                )
            if min(clean.shape[:2]) < SMALLEST_SIDE:
                raise InputError(f"{path}: {_too_small(*clean.shape[:2])}")
            size = _KERNEL_SIZE.search(path.stem)
            kernel = self._kernels.get(path.stem)
            yield Pair(
                name=path.stem,
                face=face,
                blurry=blurry,
                clean=clean,
                labels=None if self._labels is None else _read_labels(self._labels[face], clean),
                kernel_size=int(size[1]) if size else None,
                kernel=None if kernel is None else kernel / _UNIT,
                identity=self._identities.get(face),
            )


def testset_pairs(root: Path, limit: int | None = None) -> FolderPairs:
    """Return the pairs of a test set made by ``blurgen build-testset``, with their kernels and persons.

    Raises InputError when it is damaged or not finished.
    """
    manifest = read_testset(root)
    if not manifest.complete:
        raise InputError(f"{root}: is not finished; run the same 'blurgen build-testset' again.")
    bank = KernelBank.load(inside(root, KERNELS))
    if bank.digest != manifest.kernels.digest:
        raise InputError(f"{root}: kernels.h5 is not the one that testset.json names; make the set again.")
    return FolderPairs(
        inside(root, manifest.blurry_folder),
        inside(root, manifest.clean_folder),
        None if manifest.labels_folder is None else inside(root, manifest.labels_folder),
        limit,
        kernels={
            Path(manifest.blurry_name(face, number)).stem: bank.kernel(number)
            for face in range(len(manifest.faces))
            for number in range(len(bank))
        },
        identities={face.file: str(face.identity) for face in manifest.faces if face.identity >= 0},
    )


def open_pairs(
    *,
    shards: Path | None = None,
    testset: Path | None = None,
    blurry: Path | None = None,
    clean: Path | None = None,
    labels: Path | None = None,
    limit: int | None = None,
) -> Pairs:
    """Open the test pictures: a dataset, a test set of ours, or the folders ``blurry`` and ``clean``.

    At most ``limit`` of them. Raises InputError when they cannot be used, ValueError for arguments that do
    not go together.
    """
    folders = (blurry, clean, labels) != (None, None, None)
    if shards is not None and testset is None and not folders:
        return DatasetPairs(open_dataset(shards), limit)
    if testset is not None and shards is None and not folders:
        return testset_pairs(testset, limit)
    if shards is None and testset is None and blurry is not None and clean is not None:
        return FolderPairs(blurry, clean, labels, limit)
    raise ValueError(
        "Argument 'shards' or 'testset' must be given alone, or 'blurry' and 'clean' together, "
        "perhaps with 'labels'."
    )


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by name without suffix, in order of their file names.

    Raises InputError when it is missing, unreadable, holds no picture or two of one name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    found: dict[str, Path] = {}
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error
    for path in files:
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
            if path.stem in found:
                raise InputError(f"{path}: {found[path.stem].name} has the same name; keep one of the two.")
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder}: holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    return found


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture file as RGB uint8 ``[H, W, 3]``; InputError when it cannot be read."""
    return decode_picture(_bytes(path), str(path))


def _sample_name(row: int) -> str:
    return f"sample{row:07d}"


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"


def _too_small(height: int, width: int) -> str:
    return f"pictures of {width} x {height} are too small to score; at least {SMALLEST_SIDE} each way."


def _read_labels(path: Path, clean: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return a label map; None where it says of every pixel that its label is unknown."""
    labels = decode_labels(_bytes(path), str(path), clean.shape)
    return labels if (labels != Label.UNKNOWN).any() else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
