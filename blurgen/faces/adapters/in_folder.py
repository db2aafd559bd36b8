"""What the adapters share: faces that are pictures in a folder. An adapter adds the layout of its dataset."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.faces.adapters.label_folder import LabelFolder
from blurgen.faces.adapters.listing import MAX_FILE_BYTES, listing_digest, printable, read_inside
from blurgen.faces.crop import FacePoints
from blurgen.faces.cut import cut_face
from blurgen.faces.decode import check_patch_fits, decode_picture, sha256
from blurgen.faces.source import Face, SourceOptions


@dataclass(frozen=True)
class FacesInFolder(ABC):
    """A source (``blurgen.faces.FaceSource``) whose faces are pictures below one folder."""

    spec: str
    root: str
    options: SourceOptions
    pictures: tuple[str, ...]
    """File of each face, relative to ``root``."""

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def kind(self) -> str:
        return self.spec.partition(":")[0]

    def name(self, i: int) -> str:
        return f"{self.kind}:{printable(self.pictures[i])}"

    def read(self, i: int) -> Face:
        data, where = self.load(self.pictures[i])
        pixels, labels = self.decode(i, data, where)
        check_patch_fits(pixels, where, self.options.patch_size)
        return Face(
            pixels,
            labels,
            id=printable(self.id(i)),
            name=self.name(i),
            digest=sha256(data),
            identity=self.identity(i),
        )

    def describe(self) -> dict[str, Any]:
        return {
            "source": self.kind,
            "count": len(self),
            **self.options.describe(),
            "listing": self.listing(),
        }

    @abstractmethod
    def decode(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return picture and label map of face ``i`` as they are used; ``data`` is its picture's file."""

    def files(self, i: int) -> list[str]:
        """Return the files that face ``i`` is made of, relative to ``root``, there or not."""
        return [self.pictures[i]]

    def stem(self, i: int) -> str:
        """Return the name of the picture without folders and suffix."""
        return os.path.splitext(os.path.basename(self.pictures[i]))[0]

    def id(self, i: int) -> str:
        return self.stem(i)

    def identity(self, i: int) -> int:
        return -1

    def listing(self) -> str:
        """Return a digest of names and sizes of all files."""
        return listing_digest(self.root, (file for i in range(len(self)) for file in self.files(i)))

    def load(self, file: str, most_bytes: int = MAX_FILE_BYTES) -> tuple[bytes, str]:
        """Return the bytes of a file, and its name for messages."""
        return read_inside(self.root, file, most_bytes), printable(os.path.join(self.root, file))


class CutOutFaces(FacesInFolder):
    """Labelled photographs, out of which the faces are cut at the scale of the paper's aligned faces."""

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        first = {name: described[name] for name in ("source", "count")}
        return {**first, "min_side": self.options.min_side, **described}

    def decode(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pixels, labels = self.photograph(i, data, where)
        return cut_face(pixels, labels, self.points(i, labels, where), self.options, where)

    @abstractmethod
    def photograph(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the whole picture and its label map, whose left and right are the person's own."""

    def points(self, i: int, labels: NDArray[np.uint8], where: str) -> FacePoints:
        """Return where the face is; InputError naming the picture if nothing tells."""
        points = FacePoints.from_labels(labels)
        if points is None:
            raise InputError(f"{where} has no labelled eyes and mouth to crop it by.")
        return points


@dataclass(frozen=True)
class WholePictures(FacesInFolder):
    """Pictures that are used as they are, with a folder of label maps or without labels."""

    labels: LabelFolder | None

    def describe(self) -> dict[str, Any]:
        stems = [self.stem(i) for i in range(len(self))]
        return {**super().describe(), "label_listing": self.labels.digest(stems) if self.labels else None}

    def decode(self, i: int, data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        pixels = decode_picture(data, where)
        return pixels, self.labels.read(self.stem(i), pixels.shape) if self.labels else None
