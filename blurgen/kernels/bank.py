"""Kernel banks: make, save, load; and the camera path behind every kernel.

A kernel is a point spread function in fixed point: whole numbers that sum to exactly 32768 (FORMAT.md,
section 4). Every kernel made here is not negative, fits its odd size and touches the border of it on at least
one side, and no two of a bank are alike. With ``center="mass"`` (the default) its centre of mass lies on the
centre pixel, within half a pixel and usually within a hundredth; with ``center="box"`` its bounding box is
centred instead, the convention of Boracchi and Foi and of Shen et al.

Kernel number ``i`` of a bank has size ``sizes[i mod len(sizes)]`` of the odd sizes in ascending order: equal
shares, and a longer bank of the same seed begins with the shorter one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from blurgen.errors import Argument, ArgumentError, InputError, check_choice, check_range, check_seed
from blurgen.files.atomic import write_aside
from blurgen.files.hdf5 import create_plain, json_attribute, open_plain, plain_dataset, read_all
from blurgen.jobs.progress import Reporter, Silent, counted
from blurgen.kernels.paths import LANES, MODELS, MOST_ATTEMPTS, MOST_SAMPLES, Paths, walk
from blurgen.kernels.raster import UNIT, place, raster
from blurgen.limits import LARGEST_KERNEL, SMALLEST_KERNEL

FORMAT: Final = "blurgen-kernels"
VERSION: Final = 1
CENTERS: Final = ("mass", "box")

_RECIPE = ("count", "min_size", "max_size", "model", "center", "seed", "samples", "exposure")
_MOST_KERNELS = 1 << 24
_SPAN = 64 * LANES  # kernels a thread takes at a time


@dataclass(frozen=True, eq=False, repr=False)
class KernelBank:
    """Kernels of one or several sizes, with what they were made with.

    ``weights`` uint16 [K, M, M], Q15, each kernel centred in the largest size M (odd) and summing to 32768;
    ``sizes`` uint8 [K], the odd size each kernel fits; ``made_with``, JSON-able.

    >>> small_bank.save(f"{small_dataset}.kernels.h5")
    >>> bank = blurgen.KernelBank.load(f"{small_dataset}.kernels.h5")
    >>> bank == small_bank, bank[-1].shape
    (True, (5, 5))
    """

    weights: NDArray[np.uint16]
    sizes: NDArray[np.uint8]
    made_with: dict[str, Any]

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        model = self.made_with.get("model", "imported")
        kernels = counted(len(self), f"{model} kernel")
        return f"KernelBank({kernels}, {self.sizes.min()} to {self.sizes.max()} pixels)"

    def __eq__(self, other: object) -> bool:
        """Whether the kernels are the same; what they were made with is not asked."""
        if not isinstance(other, KernelBank):
            return NotImplemented
        return self.weights.shape == other.weights.shape and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __getitem__(self, i: int) -> NDArray[np.uint16]:
        """Return kernel ``i``, from the end where it is negative, as ``kernel`` does."""
        return self.kernel(range(len(self))[i])

    def _repr_png_(self) -> bytes:
        from blurgen.files.png import encode_png  # noqa: PLC0415
        from blurgen.kernels.pictures import gallery  # noqa: PLC0415

        return encode_png(np.asarray(gallery(self)))

    @property
    def max_size(self) -> int:
        """M, the side of the square every kernel is stored in."""
        return self.weights.shape[1]

    def size_counts(self) -> dict[str, int]:
        """Return how many kernels there are of each size, small to large."""
        sizes, counts = np.unique(self.sizes, return_counts=True)
        return {str(size): int(count) for size, count in zip(sizes, counts, strict=True)}

    @cached_property
    def digest(self) -> str:
        """XXH3-128 of the bytes of the weights followed by those of the sizes, 32 hexadecimal digits."""
        state = xxhash.xxh3_128()
        state.update(np.ascontiguousarray(self.weights, "<u2").data)
        state.update(np.ascontiguousarray(self.sizes).data)
        return state.hexdigest()

    def kernel(self, i: int) -> NDArray[np.uint16]:
        """Return kernel ``i`` in its own size, uint16 [size, size], a view, or raise IndexError."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"There is no kernel {i}: the bank has {counted(len(self), 'kernel')}.")
        size = int(self.sizes[i])
        margin = (self.max_size - size) // 2
        return self.weights[i, margin : margin + size, margin : margin + size]

    @classmethod
    def of_kernels(cls, kernels: Sequence[NDArray[np.uint16]], made_with: dict[str, Any]) -> KernelBank:
        """Return a bank of kernels, each uint16 ``[s, s]`` in Q15 with an odd side of its own.

        How many there are and their sizes are added to ``made_with``.
        """
        sizes = np.array([len(kernel) for kernel in kernels], np.uint8)
        facts = {"count": len(sizes), "min_size": int(sizes.min()), "max_size": int(sizes.max())}
        margins = [(facts["max_size"] - len(kernel)) // 2 for kernel in kernels]
        weights = np.stack([np.pad(kernel, margin) for kernel, margin in zip(kernels, margins, strict=True)])
        return cls(weights, sizes, made_with | facts)

    @classmethod
    def joined(cls, banks: Sequence[KernelBank]) -> KernelBank:
        """Return the kernels of several banks, one bank after the other, each centred in the largest size.

        Kernels that two banks share stay twice. A joined bank has no camera paths; ``made_with`` holds those
        of its parts, as ``joined``. Raises ValueError when there is no bank.

        >>> blurgen.KernelBank.joined([small_bank, blurgen.make_kernels(2, 13, 13, seed=1)]).sizes.max()
        np.uint8(13)
        """
        if not banks:
            raise ArgumentError(Argument("banks"), " must hold at least one bank.")
        kernels = [bank.kernel(i) for bank in banks for i in range(len(bank))]
        return cls.of_kernels(kernels, {"joined": [bank.made_with for bank in banks]})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank as ``kernels.h5``; the name appears when the file is whole and on disk."""
        with write_aside(path) as aside, create_plain(aside, FORMAT, VERSION) as file:
            file.attrs["made_with"] = json.dumps(self.made_with, sort_keys=True)
            file.create_dataset("kernels", data=np.ascontiguousarray(self.weights, "<u2"))
            file.create_dataset("size", data=self.sizes)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KernelBank:
        """Read a bank and check every kernel. Raises InputError on anything that is not as FORMAT.md says."""
        with open_plain(path, FORMAT, VERSION) as file:
            made_with = json_attribute(file, "made_with")
            weights = plain_dataset(file, "kernels", "<u2", (None, None, None))
            count, largest, width = weights.shape
            if not 1 <= count <= _MOST_KERNELS or largest != width or not _is_size(largest):
                raise InputError(
                    f"{path}: /kernels has shape {weights.shape}, "
                    f"expected (count, size, size) with an odd size from 3 to {LARGEST_KERNEL}."
                )
            sizes = plain_dataset(file, "size", "u1", (count,))
            bank = cls(read_all(weights).astype(np.uint16, copy=False), read_all(sizes), made_with)
        bank._check(path)
        return bank

    def is_in(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a file holds these kernels, and can be read."""
        try:
            return KernelBank.load(path).digest == self.digest
        except InputError:
            return False

    def _check(self, path: str | os.PathLike[str]) -> None:
        sums = self.weights.sum(axis=(1, 2), dtype=np.int64)
        if (sums != UNIT).any():
            i = int(np.argmax(sums != UNIT))
            raise InputError(f"{path}: kernel {i} sums to {sums[i]}, not {UNIT}; make the bank again.")
        for size in np.unique(self.sizes):
            if not _is_size(int(size)) or size > self.max_size:
                raise InputError(f"{path}: a kernel has size {size}, expected odd, 3 to {self.max_size}.")
            margin = (self.max_size - int(size)) // 2
            inside = slice(margin, self.max_size - margin)
            of_size = np.flatnonzero(self.sizes == size)
            if (self.weights[of_size, inside, inside].sum(axis=(1, 2), dtype=np.int64) != UNIT).any():
                raise InputError(
                    f"{path}: a kernel of size {size} has weights outside it; make the bank again."
                )


@dataclass(frozen=True)
class CameraPath:
    """The camera path behind one kernel, in pixels from the centre pixel of the kernel.

    ``x`` and ``y`` float64 [n] (right and down), ``weight`` float64 [n] (sum 1): the light of each sample.
    ``parameters`` are what the model drew for this kernel, by name (its module in ``blurgen.kernels.paths``).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    parameters: dict[str, float]

    @property
    def length(self) -> float:
        """Length of the path in pixels."""
        return float(np.hypot(np.diff(self.x), np.diff(self.y)).sum())


def make_bank(
    count: int = 25000,
    min_size: int = 13,
    max_size: int = 29,
    model: str = "camera3d",
    center: str = "mass",
    seed: int = 0,
    threads: int = 1,
    *,
    samples: int = 2000,
    exposure: float = 1.0,
    progress: Reporter | None = None,
) -> KernelBank:
    """Make ``count`` camera-shake kernels of every odd size from ``min_size`` to ``max_size`` in turn.

    >>> bank = blurgen.make_kernels(6, 13, 17, seed=3)
    >>> bank, int(bank[0].sum()), bank == blurgen.make_kernels(6, 13, 17, seed=3)
    (KernelBank(6 camera3d kernels, 13 to 17 pixels), 32768, True)

    ``model`` is one of ``blurgen.kernels.paths.MODELS``. A whole path has ``samples`` samples, of which the
    share ``exposure`` (0.01 to 1) from the start is seen; what is seen fills the size. ``threads`` threads
    share the work and change nothing in the result; ``progress`` is told how far they are.

    A kernel that would break a promise of this module, or equal an earlier one, is drawn again from other
    random numbers (attempt 1, 2, ...), so the result still depends on the arguments alone. Raises ValueError
    for wrong arguments, also when there are not as many different kernels as asked for.
    """
    made_with: dict[str, Any] = {
        "model": model,
        "seed": seed,
        "count": count,
        "min_size": min_size,
        "max_size": max_size,
        "center": center,
        "samples": samples,
        "exposure": exposure,
    }
    _check_recipe(made_with)
    if threads < 1 and threads != -1:
        raise ArgumentError(Argument("threads"), f" must be at least 1, or -1 for all cores, not {threads}.")
    draw = _Draw(model, seed, center, samples, _seen(samples, exposure), max_size)
    all_sizes = np.arange(min_size, max_size + 1, 2, dtype=np.uint8)
    sizes = all_sizes[np.arange(count) % len(all_sizes)]
    weights = np.empty((count, max_size, max_size), np.uint16)

    def make(first: int) -> int:
        numbers = np.arange(first, min(first + _SPAN, count))
        weights[numbers[0] : numbers[-1] + 1] = draw.kernels(numbers, sizes[numbers])
        return len(numbers)

    with (
        (progress or Silent()).bar("Making kernels", count, "kernels") as bar,
        ThreadPoolExecutor(threads if threads > 0 else os.cpu_count()) as pool,
    ):
        for done in pool.map(make, range(0, count, _SPAN)):
            bar.advance(done)
    _redraw_twins(draw, weights, sizes)
    return KernelBank(weights, sizes, made_with)


def remake_bank(path: str | os.PathLike[str], count: int, max_size: int, threads: int = 1) -> KernelBank:
    """Make a bank again of which only the recipe in its file can still be read.

    Raises InputError when that cannot be read either, is none of ``make_bank``, or is not that of ``count``
    kernels of up to ``max_size`` pixels.
    """
    with open_plain(path, FORMAT, VERSION) as file:
        made = json_attribute(file, "made_with")
    is_room = os.path.getsize(path) >= 2 * count * max_size**2  # a file that lies shall not take the memory
    if (made.get("count"), made.get("max_size")) != (count, max_size) or not is_room:
        raise InputError(f"{path}: does not say how its {count} kernels were made; restore the file.")
    try:
        bank = make_bank(threads=threads, **{name: made[name] for name in _RECIPE})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: does not say how its kernels were made ({error}).") from None
    return KernelBank(bank.weights, bank.sizes, made)


def has_paths(bank: KernelBank) -> bool:
    """Whether a bank was made by ``make_bank``, so that ``trajectory`` works, and not imported."""
    made = bank.made_with
    try:
        _check_recipe(made)
    except (KeyError, TypeError, ValueError):
        return False
    return len(bank) <= made["count"] and bank.max_size == made["max_size"]


def trajectory(bank: KernelBank, i: int) -> CameraPath:
    """Return the camera path that became kernel ``i`` of ``bank``, made again from the bank's recipe.

    Raises ValueError when the bank was imported and has no paths, or does not hold what its recipe makes.
    """
    check_range("i", i, 0, len(bank) - 1)
    made = bank.made_with
    if not has_paths(bank):
        raise ArgumentError(Argument("bank"), " must be made by make_bank; this one has no camera paths.")
    seen = _seen(made["samples"], made["exposure"])
    draw = _Draw(made["model"], made["seed"], made["center"], made["samples"], seen, bank.max_size)
    for attempt in range(MOST_ATTEMPTS):
        kernel, fits, path = draw.attempt(i, int(bank.sizes[i]), attempt)
        if fits and (kernel == bank.weights[i]).all():
            return path
    raise ArgumentError(Argument("bank"), f" does not hold at {i} what its recipe makes; it was changed.")


@dataclass(frozen=True)
class _Draw:
    """Draws kernels of one bank by number."""

    model: str
    seed: int
    center: str
    samples: int
    seen: int
    largest: int

    def kernels(self, numbers: NDArray[np.int64], sizes: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return kernels [len(numbers), M, M], each from its first attempt that keeps the promises."""
        out = np.empty((len(numbers), self.largest, self.largest), np.uint16)
        paths = Paths.empty(self.model, self.seen)
        waiting = [(k, 0) for k in range(len(numbers))]
        while waiting:
            turn, waiting = waiting[:LANES], waiting[LANES:]
            which = np.array([k for k, _ in turn])
            attempts = np.array([attempt for _, attempt in turn])
            kernels, fits = self._lanes(numbers[which], attempts, sizes[which], paths)
            out[which] = kernels
            again = [(k, attempt + 1) for (k, attempt), fit in zip(turn, fits, strict=True) if not fit]
            if any(attempt == MOST_ATTEMPTS for _, attempt in again):
                raise ArgumentError(
                    Argument("samples"), " or ", Argument("exposure"), " is too small: paths have no extent."
                )
            waiting = again + waiting
        return out

    def attempt(self, number: int, size: int, attempt: int) -> tuple[NDArray[np.uint16], bool, CameraPath]:
        """Return one kernel [M, M] from one given attempt, whether it keeps the promises, and its path."""
        paths = Paths.empty(self.model, self.seen)
        kernels, fits = self._lanes(np.array([number]), np.array([attempt]), np.array([size]), paths)
        offset_x, offset_y, scale = np.empty(LANES), np.empty(LANES), np.empty(LANES)
        radii = np.full(LANES, (size - 1) / 2)
        place(paths.x, paths.y, paths.weight, radii, self.center == "mass", offset_x, offset_y, scale)
        path = CameraPath(
            x=(paths.x[:, 0] - offset_x[0]) * scale[0],
            y=(paths.y[:, 0] - offset_y[0]) * scale[0],
            weight=paths.weight[:, 0] / paths.weight[:, 0].sum(),
            parameters=dict(zip(MODELS[self.model].parameters, paths.parameters[:, 0].tolist(), strict=True)),
        )
        return kernels[0], bool(fits[0]), path

    def _lanes(
        self, numbers: NDArray[Any], attempts: NDArray[Any], sizes: NDArray[Any], paths: Paths
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        # Lanes that are left over repeat the first kernel and are thrown away.
        n = len(numbers)
        full = [np.concatenate([a, np.full(LANES - n, a[0])]) for a in (numbers, attempts, sizes)]
        walk(self.model, self.seed, full[0].astype(np.uint64), full[1].astype(np.uint32), self.samples, paths)
        grid = np.empty((LANES, self.largest + 1, self.largest + 1))
        kernels = np.empty((LANES, self.largest, self.largest), np.uint16)
        fits = np.empty(LANES, np.bool_)
        by_mass = self.center == "mass"
        raster(paths.x, paths.y, paths.weight, full[2].astype(np.int64), by_mass, grid, kernels, fits)
        return kernels[:n], fits[:n]


def _redraw_twins(draw: _Draw, weights: NDArray[np.uint16], sizes: NDArray[np.uint8]) -> None:
    """Draw every kernel again that equals one before it, until all differ; each keeps the promises."""
    seen: set[bytes] = set()
    for i in range(len(weights)):
        attempt, fits = 0, True
        while (key := xxhash.xxh3_128_digest(weights[i].data)) in seen or not fits:
            attempt += 1
            if attempt == MOST_ATTEMPTS:
                different = f"{len(weights)} different kernels of model {draw.model} in these sizes."
                raise ArgumentError(Argument("count"), f" must be smaller: there are not {different}")
            weights[i], fits, _ = draw.attempt(i, int(sizes[i]), attempt)
        seen.add(key)


def _seen(samples: int, exposure: float) -> int:
    """Number of samples seen: ``exposure * samples`` rounded to the nearest, at least two."""
    return max(2, int(exposure * samples + 0.5))


def _is_size(size: int) -> bool:
    return size % 2 == 1 and SMALLEST_KERNEL <= size <= LARGEST_KERNEL


def _check_recipe(recipe: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless a bank can be made with this; KeyError where something is missing."""
    check_range("count", recipe["count"], 1, _MOST_KERNELS)
    min_size, max_size = recipe["min_size"], recipe["max_size"]
    for name, size in (("min_size", min_size), ("max_size", max_size)):
        if not _is_size(size):
            wanted = f" must be odd, {SMALLEST_KERNEL} to {LARGEST_KERNEL}, not {size}."
            raise ArgumentError(Argument(name), wanted)
    if min_size > max_size:
        above = f" ({max_size}), not {min_size}."
        raise ArgumentError(Argument("min_size"), " must not be above ", Argument("max_size"), above)
    check_choice("model", recipe["model"], MODELS)
    check_choice("center", recipe["center"], CENTERS)
    check_seed(recipe["seed"])
    check_range("samples", recipe["samples"], 50, MOST_SAMPLES)
    check_range("exposure", recipe["exposure"], 0.01, 1)
