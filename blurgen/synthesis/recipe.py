"""Everything that defines a dataset, in a few hundred bytes, and what each sample is made of.

FORMAT.md section 2: a sample number alone says which face, which crop and which kernel, so any part
of a dataset can be made anywhere, in any order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurgen.compiling.njit import njit
from blurgen.errors import InputError
from blurgen.files import strict_json
from blurgen.randomness.philox import Stream, below, block_words
from blurgen.synthesis.camera.settings import Camera

INDEX_DTYPE: Final = np.dtype(
    [("sample", "<u8"), ("image", "<u4"), ("top", "<i4"), ("left", "<i4"), ("kernel", "<u4")]
)
"""One row per triplet, packed, 24 bytes: sample number, face number, corner of the crop, kernel number."""

ISOLATIONS: Final = ("composite", "layered")
LEAST_SHARE: Final = 200
"""A sample is in the set of a class when at least 1/200 (0.5 %) of its pixels are of that class."""

_MOST_SAMPLES = 10**12
_KERNEL_STREAM = np.uint32(Stream.KERNEL)
_CROP_STREAM = np.uint32(Stream.CROP)


@dataclass(frozen=True)
class FacesUsed:
    """The faces a dataset is made from: how many, the digest of ``faces.h5``, what each source is."""

    count: int
    digest: str
    sources: list[dict[str, Any]]

    def __post_init__(self) -> None:
        _check_whole("faces.count", self.count, 1, 2**32 - 1)
        _check_digest("faces.digest", self.digest)
        if not isinstance(self.sources, list) or not all(isinstance(s, dict) for s in self.sources):
            raise ValueError("Argument 'faces.sources' must be a list of objects.")


@dataclass(frozen=True)
class KernelsUsed:
    """The kernel bank a dataset is made with: how many kernels, their largest size, the bank's digest."""

    count: int
    max_size: int
    digest: str

    def __post_init__(self) -> None:
        _check_whole("kernels.count", self.count, 1, 2**32 - 1)
        _check_whole("kernels.max_size", self.max_size, 1, 255)
        if self.max_size % 2 == 0:
            raise ValueError(f"Argument 'kernels.max_size' must be odd, not {self.max_size}.")
        _check_digest("kernels.digest", self.digest)


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made of; two datasets of one recipe have the same arrays, to the bit.

    ``seed`` 0 to 2^64 - 1; ``count`` triplets; ``patch_size`` in pixels; ``noise_sigma`` in units of full
    scale, 0 to 0.2; ``shard_size`` rows a shard; ``class_isolated`` whether there is a set per class
    (paper, section IV-A.2a) and ``isolation`` how the class is blurred. ``camera`` takes the pictures as a
    camera does; None: the paper's formation, section IV-A. With a camera, whose noise is that of its sensor,
    ``noise_sigma`` is 0 and ``patch_size`` even. Raises ValueError out of range.
    """

    seed: int
    count: int
    patch_size: int
    noise_sigma: float
    shard_size: int
    class_isolated: bool
    isolation: Literal["composite", "layered"]
    faces: FacesUsed
    kernels: KernelsUsed
    camera: Camera | None = None

    def __post_init__(self) -> None:
        _check_whole("seed", self.seed, 0, 2**64 - 1)
        _check_whole("count", self.count, 1, _MOST_SAMPLES)
        _check_whole("patch_size", self.patch_size, 8, 1024)
        _check_whole("shard_size", self.shard_size, 1, 2**20)
        sigma = self.noise_sigma
        if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 <= sigma <= 0.2:
            raise ValueError(f"Argument 'noise_sigma' must be between 0 and 0.2, not {sigma!r}.")
        object.__setattr__(self, "noise_sigma", float(sigma))
        if not isinstance(self.class_isolated, bool):
            raise ValueError(f"Argument 'class_isolated' must be true or false, not {self.class_isolated!r}.")
        if self.isolation not in ISOLATIONS:
            raise ValueError(f"Argument 'isolation' must be one of {ISOLATIONS}, not {self.isolation!r}.")
        if self.camera is not None and self.noise_sigma != 0:
            raise ValueError("Argument 'noise_sigma' must be 0 with a camera: its sensor has its own.")
        if self.camera is not None and self.patch_size % 2:
            raise ValueError(f"Argument 'patch_size' must be even with a camera, not {self.patch_size}.")

    @property
    def shard_count(self) -> int:
        """How many shards the full set has."""
        return -(-self.count // self.shard_size)

    def shard_samples(self, shard: int) -> tuple[int, int]:
        """Return the samples ``(first, end)`` that shard number ``shard`` is made from."""
        first = shard * self.shard_size
        return first, min(first + self.shard_size, self.count)

    def plan(self, samples: ArrayLike, heights: ArrayLike, widths: ArrayLike) -> NDArray[np.void]:
        """Return what each sample is made of, INDEX_DTYPE ``[n]`` (FORMAT.md, section 2).

        ``samples`` are sample numbers ``[n]``; ``heights`` and ``widths`` the sizes of all faces in pixels,
        ``[faces.count]``, each at least ``patch_size``. Raises ValueError otherwise, and for samples that are
        not whole numbers from 0 on.
        """
        numbers = _sample_numbers(samples)
        rows, columns = (np.ascontiguousarray(side, np.int64) for side in (heights, widths))
        if len(rows) != self.faces.count or len(columns) != self.faces.count:
            raise ValueError(f"Argument 'heights' must have {self.faces.count} entries, not {len(rows)}.")
        smallest = min(rows.min(), columns.min())
        if smallest < self.patch_size:
            raise ValueError(f"Argument 'heights' must be at least {self.patch_size}, not {smallest}.")
        index = np.empty(len(numbers), INDEX_DTYPE)
        _plan(
            np.uint64(self.seed),
            numbers,
            rows,
            columns,
            self.patch_size,
            (self.kernels.max_size - 1) // 2,
            self.kernels.count,
            index["image"],
            index["top"],
            index["left"],
            index["kernel"],
        )
        index["sample"] = numbers
        return index

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as it stands in ``dataset.json``; without ``camera`` where there is none."""
        tree = asdict(self)
        if self.camera is None:
            del tree["camera"]
        return tree

    @classmethod
    def from_json(cls, value: object, where: str = "recipe") -> Recipe:
        """Return the recipe that ``to_json`` wrote.

        InputError, which begins with ``where``, on an unknown or missing key, a wrong type or a value out of
        range.
        """
        required = tuple(name for name in _names(cls) if name != "camera")
        top = strict_json.fields(value, where, required, optional=("camera",))
        faces = strict_json.fields(top["faces"], f"{where}.faces", _names(FacesUsed))
        kernels = strict_json.fields(top["kernels"], f"{where}.kernels", _names(KernelsUsed))
        try:
            parts = {"faces": FacesUsed(**faces), "kernels": KernelsUsed(**kernels)}
            if "camera" in top:
                parts["camera"] = Camera(
                    **strict_json.fields(top["camera"], f"{where}.camera", _names(Camera))
                )
            return cls(**{**top, **parts})
        except ValueError as error:
            raise InputError(f"{where}: {str(error).replace('Argument ', '')}") from None

    def differences(self, other: Recipe) -> list[str]:
        """Return what sets this recipe apart from ``other``, one "name: ours, there theirs" each."""
        ours, theirs = _flat(self.to_json()), _flat(other.to_json())
        return [
            f"{name} {ours.get(name)!r}, there {theirs.get(name)!r}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]


def _sample_numbers(samples: ArrayLike) -> NDArray[np.uint64]:
    numbers = np.asarray(samples)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(f"Argument 'samples' must be whole numbers [n], not {samples!r:.60}.")
    if numbers.size and numbers.min() < 0:
        raise ValueError(f"Argument 'samples' must be at least 0, not {numbers.min()}.")
    return numbers.astype(np.uint64)


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": entry for inner, entry in value.items()})
        else:
            flat[name] = value
    return flat


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"Argument '{name}' must be a whole number from {low} to {high}, not {value!r}.")


def _check_digest(name: str, value: object) -> None:
    if not isinstance(value, str) or len(value) != 32 or set(value) - set("0123456789abcdef"):
        raise ValueError(f"Argument '{name}' must be 32 hexadecimal digits, not {value!r}.")


@njit(cache=True, inline="always")
def _corner(word, side, patch, radius):
    # Where the face is large enough, every pixel the blur reads is real; else some are mirrored.
    room = side - patch - 2 * radius
    if room >= 0:
        return radius + below(word, room + 1)
    return below(word, side - patch + 1)


@njit(cache=True)
def _plan(seed, samples, heights, widths, patch, radius, kernels, image, top, left, kernel):
    for i in range(len(samples)):
        sample = samples[i]
        face = np.int64(sample % np.uint64(len(heights)))
        choice = block_words(seed, _KERNEL_STREAM, sample, np.uint32(0))
        crop = block_words(seed, _CROP_STREAM, sample, np.uint32(0))
        image[i] = face
        kernel[i] = below(choice[0], kernels)
        top[i] = _corner(crop[0], heights[face], patch, radius)
        left[i] = _corner(crop[1], widths[face], patch, radius)
