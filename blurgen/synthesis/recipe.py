"""Everything that defines a dataset, in a few hundred bytes, and what each sample is made of.

FORMAT.md section 2: a sample number alone says which face, which crop and which kernel, so any part
of a dataset can be made anywhere, in any order.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from blurgen.compiling.njit import njit
from blurgen.errors import Argument, ArgumentError, InputError, check_range, check_seed
from blurgen.files.strict_json import Checked, Digest, convert
from blurgen.kernels.bank import KernelBank
from blurgen.limits import NoiseSigma, PatchSize
from blurgen.randomness.philox import Stream, below, block_words
from blurgen.synthesis.camera.settings import Camera

INDEX_DTYPE: Final = np.dtype(
    [("sample", "<u8"), ("image", "<u4"), ("top", "<i4"), ("left", "<i4"), ("kernel", "<u4")]
)
"""One row per triplet, packed, 24 bytes: sample number, face number, corner of the crop, kernel number."""

Isolation = Literal["composite", "layered"]
ISOLATIONS: Final[tuple[str, ...]] = get_args(Isolation)
LEAST_SHARE: Final = 200
"""A sample is in the set of a class when at least 1/200 (0.5 %) of its pixels are of that class."""

_KERNEL_STREAM = np.uint32(Stream.KERNEL)
_CROP_STREAM = np.uint32(Stream.CROP)


class FacesUsed(Checked, frozen=True):
    """The faces a dataset is made from: how many, the digest of ``faces.h5``, what each source is."""

    count: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    digest: Digest
    sources: list[dict[str, Any]]


class KernelsUsed(Checked, frozen=True):
    """The kernel bank a dataset is made with: how many kernels, their largest size, the bank's digest."""

    count: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    max_size: Annotated[int, Meta(ge=1, le=255)]
    digest: Digest

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_size % 2 == 0:
            raise ArgumentError(Argument("max_size"), f" must be odd, not {self.max_size}.")

    @classmethod
    def of(cls, bank: KernelBank) -> KernelsUsed:
        """Return what a recipe says of a bank."""
        return cls(len(bank), bank.max_size, bank.digest)


class Recipe(Checked, frozen=True):
    """What a dataset is made of; two datasets of one recipe have the same arrays, to the bit.

    ``seed`` 0 to 2^64 - 1; ``count`` triplets; ``patch_size`` in pixels; ``noise_sigma`` in units of full
    scale, 0 to 0.2; ``shard_size`` rows a shard; ``class_isolated`` whether there is a set per class
    (paper, section IV-A.2a) and ``isolation`` how the class is blurred. ``camera`` takes the pictures as a
    camera does; None: the paper's formation, section IV-A. With a camera, whose noise is that of its sensor,
    ``noise_sigma`` is 0 and ``patch_size`` even. Raises ValueError out of range.
    """

    seed: Annotated[int, Meta(ge=0)]
    count: Annotated[int, Meta(ge=1, le=10**12)]
    patch_size: PatchSize
    noise_sigma: NoiseSigma
    shard_size: Annotated[int, Meta(ge=1, le=2**20)]
    class_isolated: bool
    isolation: Isolation
    faces: FacesUsed
    kernels: KernelsUsed
    camera: Camera | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seed(self.seed)
        if self.camera is not None and self.noise_sigma != 0:
            raise ArgumentError(Argument("noise_sigma"), " must be 0 with a camera: its sensor has its own.")
        if self.camera is not None and self.patch_size % 2:
            raise ArgumentError(
                Argument("patch_size"), f" must be even with a camera, not {self.patch_size}."
            )

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
            raise ArgumentError(
                Argument("heights"), f" must have {self.faces.count} entries, not {len(rows)}."
            )
        check_range("heights", min(rows.min(), columns.min()), self.patch_size)
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
        tree: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return tree if self.camera else {name: tree[name] for name in tree if name != "camera"}

    @classmethod
    def from_json(cls, value: object, where: str = "recipe") -> Recipe:
        """Return the recipe that ``to_json`` wrote.

        InputError, which begins with ``where``, on an unknown or missing key, a wrong type or a value out of
        range.
        """
        recipe = convert(value, cls, where)
        if recipe.to_json() != value:
            raise InputError(f"{where}: camera must have all of {', '.join(Camera.__struct_fields__)}.")
        return recipe

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
        raise ArgumentError(Argument("samples"), f" must be whole numbers [n], not {samples!r:.60}.")
    if numbers.size:
        check_range("samples", numbers.min(), 0)
    return numbers.astype(np.uint64)


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": entry for inner, entry in value.items()})
        else:
            flat[name] = value
    return flat


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
