"""Patches to batches on the device, in an order that is a pure function of (seed, position).

The walk over the data is endless: epoch after epoch, each in its own random order. One number, how many
samples have been used, says where a training stands in it. Pixels travel as uint8 and become floats on
the device.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blurgen.errors import InputError
from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL, NO_CLASS
from blurgen.randomness.philox import Stream, words

# Streams of random numbers of a training. Its seed and a recipe's may be equal: these numbers are not
# among those of FORMAT.md.
_ORDER_STREAM: Final = cast(Stream, 101)
_FLIP_STREAM: Final = cast(Stream, 103)

FULL: Final = "full"

_ONE: Final = 32768  # 1 in Q15


class Patches(NamedTuple):
    """Patches as the format has them, channels last."""

    clean: Tensor
    """uint8 ``[N, P, P, 3]``."""
    blurry: Tensor
    """uint8 ``[N, P, P, 3]``; float32 in grey levels, and beyond 0 to 255, where it was not made 8 bits."""
    labels: Tensor
    """uint8 ``[N, P, P]``, values of ``blurgen.labels.Label``."""
    kernels: Tensor
    """int32 ``[N, M, M]`` in Q15, as in the bank."""


class PatchSource(Protocol):
    """Numbered patches: shards, or patches made on the device."""

    patch_size: int
    endless: bool
    """Whether there are rows beyond the length, each new: then rows are taken in order, each once."""

    def __len__(self) -> int: ...

    def read(self, rows: NDArray[np.int64]) -> Patches:
        """Return the patches of the given rows, in their order."""


@dataclass(frozen=True)
class Batch:
    """What a network trains on, on the device."""

    clean: Tensor
    """float32 ``[N, 3, H, W]`` in [0, 1]."""
    blurry: Tensor
    """float32 ``[N, 3, H, W]`` in [0, 1]; beyond it where noise was not clipped."""
    classes: Tensor
    """int64 ``[N, H, W]``: 0 to 3, 255 where unknown."""
    kernels: Tensor
    """float32 ``[N, M, M]``, of sum 1: what each picture was blurred with."""
    known: Tensor | None = None
    """Of processes that train together: ``count_known``, the mean over all of them; None for one alone."""

    @property
    def masks(self) -> Tensor:
        """float32 ``[N, 4, H, W]``, one-hot; all zero where the class is unknown."""
        return one_hot(self.classes)

    def count_known(self) -> Tensor:
        """Return the number of pixels whose class is known, a float32 scalar."""
        return (self.classes != NO_CLASS).sum().float()


def one_hot(classes: Tensor) -> Tensor:
    """Return float32 masks ``[N, 4, H, W]`` of int64 class maps ``[N, H, W]``; unknown pixels are in none.

    As in pictures, the channels are last in memory.
    """
    numbers = torch.arange(len(CLASS_NAMES), device=classes.device)
    return (classes.unsqueeze(-1) == numbers).float().permute(0, 3, 1, 2)


class ShardPatches:
    """The rows of one set of a dataset (``blurgen.open_dataset``), read or made on the host."""

    endless = False

    def __init__(self, dataset: Any, set_name: str = FULL) -> None:
        self._dataset, self._set_name = dataset, set_name
        self._length = len(dataset) if set_name == FULL else len(dataset.open_set(set_name))
        self.patch_size = dataset.recipe.patch_size
        if not self._length:
            raise InputError(f"The set '{set_name}' of the dataset has no rows; build it from more faces.")

    def __len__(self) -> int:
        return self._length

    def read(self, rows: NDArray[np.int64]) -> Patches:
        """Return the patches of the given rows, on the CPU."""
        triplets = self._dataset.batch(rows, set_name=self._set_name)
        kernels = self._dataset.bank.weights[triplets.index["kernel"]].astype(np.int32)
        # Maps of files are read-only, which a tensor cannot be: hence a copy where the batch is one.
        return Patches(
            *(
                torch.from_numpy(np.require(array, requirements=["C", "W", "O"]))
                for array in (triplets.clean, triplets.blurry, triplets.mask, kernels)
            )
        )


class Order:
    """An endless walk over ``length`` rows; each epoch visits every row once, in its own random order."""

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed = length, seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def rows(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the rows at positions ``first .. first + count - 1`` of the walk."""
        positions = np.arange(first, first + count)
        epochs, within = np.divmod(positions, self._length)
        return np.array([self._epoch(int(e))[i] for e, i in zip(epochs, within, strict=True)], np.int64)

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        rows = self._epochs.get(epoch)
        if rows is None:
            keys = words(self._seed, _ORDER_STREAM, epoch, self._length)
            rows = np.argsort(keys, kind="stable").astype(np.int64)
            # A batch may end one epoch and begin the next; older ones do not come back.
            self._epochs = {e: r for e, r in self._epochs.items() if e == epoch - 1} | {epoch: rows}
        return rows


class Batches:
    """Batches of a source for one process of a training, read ahead by background threads.

    ``batch_size`` is that of all processes together, of which this is number ``rank`` of ``ranks``.
    With ``flips`` one patch in two, at random, is mirrored left to right. ``waited`` counts the seconds the
    training stood still for data.
    """

    def __init__(
        self,
        source: PatchSource,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        flips: bool = False,
        rank: int = 0,
        ranks: int = 1,
        threads: int = 1,
    ) -> None:
        if batch_size % ranks:
            raise ValueError(
                f"Argument 'batch_size' must be a multiple of {ranks} processes, not {batch_size}."
            )
        self._source, self._order = source, None if source.endless else Order(len(source), seed)
        self._batch_size, self._share, self._rank = batch_size, batch_size // ranks, rank
        self._seed, self._device, self._threads, self._flips = seed, device, threads, flips
        self.waited = 0.0

    def starting_at(self, iteration: int) -> Generator[Batch]:
        """Yield the batches of iterations ``iteration``, ``iteration + 1``, ..., counted from 0, for ever."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="patches") as pool:
            ahead: deque[Future[Patches]] = deque()
            try:
                while True:
                    while len(ahead) <= 2 * self._threads:
                        ahead.append(pool.submit(self._read, iteration))
                        iteration += 1
                    start = time.perf_counter()
                    patches = ahead.popleft().result()
                    self.waited += time.perf_counter() - start
                    yield to_device(patches, self._device)
            finally:
                for future in ahead:
                    future.cancel()

    def at(self, iteration: int) -> Batch:
        """Return the batch of one iteration."""
        return to_device(self._read(iteration), self._device)

    def _read(self, iteration: int) -> Patches:
        first = iteration * self._batch_size + self._rank * self._share
        rows = (
            np.arange(first, first + self._share)
            if self._order is None
            else self._order.rows(first, self._share)
        )
        patches = self._source.read(rows)
        if self._flips:
            patches = self._mirrored(patches, first)
        on_its_way = self._device.type == "cuda" and patches.clean.device.type == "cpu"
        return Patches(*(t.pin_memory() for t in patches)) if on_its_way else patches

    def _mirrored(self, patches: Patches, first: int) -> Patches:
        """Mirror each patch or not, left to right, by the seed and the position in the walk."""
        flipped = [bool(words(self._seed, _FLIP_STREAM, first + i, 1)[0] & 1) for i in range(self._share)]
        return Patches(
            *(torch.stack([p.flip(1) if f else p for p, f in zip(t, flipped, strict=True)]) for t in patches)
        )


class PatchDataset(torch.utils.data.Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Any source as a map-style dataset of PyTorch, for a training loop and a network of your own.

    Item ``i`` is (blurry, clean, classes): float32 ``[3, P, P]`` in [0, 1] twice, and int64 ``[P, P]``, 0 to
    3 or 255. A ``DataLoader`` may have any number of workers over ``ShardPatches``, and none over
    ``DevicePatches``.
    """

    def __init__(self, source: PatchSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.__getitems__([i])[0]

    def __getitems__(self, rows: list[int]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return several items at once, as ``DataLoader`` asks for a batch."""
        patches = self._source.read(np.array(rows, np.int64))
        batch = to_device(patches, patches.clean.device)
        return list(zip(batch.blurry, batch.clean, batch.classes, strict=True))


def to_device(patches: Patches, device: torch.device) -> Batch:
    """Move patches to the device as uint8 and turn them into what networks take."""
    clean, blurry, labels, kernels = (t.to(device, non_blocking=True) for t in patches)
    classes = _class_table(device)[labels.long()]
    return Batch(as_image(clean), as_image(blurry), classes, kernels.float() / _ONE)


@lru_cache
def _class_table(device: torch.device) -> Tensor:
    return torch.from_numpy(CLASS_OF_LABEL.astype(np.int64)).to(device)


def as_image(pixels: Tensor) -> Tensor:
    """Return grey levels ``[N, H, W, 3]`` as the networks take them: float32 ``[N, 3, H, W]`` in [0, 1].

    The channels stay last in memory, as convolutions want them.
    """
    return pixels.permute(0, 3, 1, 2).float() / 255


def as_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return an image batch ``[N, 3, H, W]`` as a file would hold it: uint8 ``[N, H, W, 3]``, rounded."""
    pixels = image.detach().float().clamp(0, 1).mul(255).round().byte()
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def to_image(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return a picture uint8 ``[H, W, 3]`` as the networks take it, float32 ``[1, 3, H, W]`` in [0, 1]."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"Argument 'pixels' must be uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}."
        )
    return as_image(torch.tensor(pixels, device=device)[None])
