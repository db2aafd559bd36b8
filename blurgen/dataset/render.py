"""The triplets of one dataset, made from its faces, its kernels and its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurgen.dataset.manifest import FACES, FULL, ISOLATED, KERNELS, MANIFEST
from blurgen.dataset.shards import ShardArrays
from blurgen.errors import Argument, InputError
from blurgen.faces.store import FaceStore
from blurgen.files.inside import inside
from blurgen.kernels.bank import KernelBank
from blurgen.synthesis.camera.engine import CameraDegrader
from blurgen.synthesis.engine import Degrader, Triplets, class_pixels
from blurgen.synthesis.recipe import LEAST_SHARE, KernelsUsed, Recipe


class Renderer:
    """Makes any triplet of the dataset in ``root``; opens the files there once, and may be shared by threads.

    InputError when the faces or kernels in the folder are missing, damaged or not those of the recipe.
    """

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self.recipe = recipe
        self._store = open_faces(root, recipe)
        bank = open_kernels(root, recipe)
        make = Degrader if recipe.camera is None else partial(CameraDegrader, camera=recipe.camera)
        self._degrader = make(
            self._store.pixels,
            self._store.labels,
            self._store.offsets,
            self._store.heights,
            self._store.widths,
            bank.weights,
            bank.sizes,
            patch_size=recipe.patch_size,
            noise_sigma=recipe.noise_sigma,
            seed=recipe.seed,
            isolation=recipe.isolation,
        )

    def plan(self, samples: ArrayLike) -> NDArray[np.void]:
        """Return what each sample is made of, INDEX_DTYPE ``[n]``."""
        return self.recipe.plan(samples, self._store.heights, self._store.widths)

    def members(self, index: NDArray[np.void]) -> NDArray[np.bool_]:
        """Return which samples belong to the set of which class, bool ``[n, 4]``."""
        counts = class_pixels(
            self._store.labels,
            self._store.offsets,
            self._store.heights,
            self._store.widths,
            index,
            self.recipe.patch_size,
        )
        return LEAST_SHARE * counts.astype(np.int64) >= self.recipe.patch_size**2

    def rows_by_set(self, index: NDArray[np.void]) -> dict[str, NDArray[np.intp]]:
        """Return for every set of the recipe which rows of ``index`` belong to it."""
        rows = {FULL: np.arange(len(index))}
        if self.recipe.class_isolated:
            members = self.members(index)
            rows |= {name: np.flatnonzero(members[:, c]) for c, name in enumerate(ISOLATED)}
        return rows

    def render(
        self, index: NDArray[np.void], *, isolated: bool = False, out: Triplets | None = None
    ) -> Triplets:
        """Return the triplets of ``index`` (see ``Degrader.degrade``)."""
        return self._degrader.degrade(index, isolated=isolated, out=out)

    def batches(
        self, index: NDArray[np.void], size: int, *, isolated: bool = False
    ) -> Iterator[tuple[int, Triplets]]:
        """Yield the triplets of ``index``, ``size`` at a time, and the row of the first.

        The next ones overwrite them: memory that is used again costs far less than new.
        """
        buffers: Triplets | None = None
        for start in range(0, len(index), size):
            batch = index[start : start + size]
            if buffers is not None and len(batch) < size:
                buffers = None
            buffers = self.render(batch, isolated=isolated, out=buffers)
            yield start, buffers

    def rows(self, index: NDArray[np.void], set_name: str = FULL) -> ShardArrays:
        """Return rows of one set as its shards hold them; every row must belong to the set."""
        return rows_of_set(self.render(index, isolated=set_name != FULL), index, set_name)

    def stages(self, index: NDArray[np.void]) -> dict[str, NDArray[np.uint8]]:
        """Return how the picture of one sample, ``index`` [1], comes about (see ``CameraDegrader.stages``).

        InputError when the recipe has no camera.
        """
        if not isinstance(self._degrader, CameraDegrader):
            raise InputError("No camera took these pictures, so there are no stages of theirs.")
        return self._degrader.stages(index)

    def close(self) -> None:
        """Close the faces."""
        self._store.close()


def rows_of_set(
    triplets: Triplets, index: NDArray[np.void], set_name: str, rows: NDArray[np.intp] | None = None
) -> ShardArrays:
    """Return ``rows`` of rendered triplets (all, uncopied) as the shards of the set hold them."""
    blurry = triplets.blurry
    if set_name != FULL:
        if triplets.isolated is None:
            raise ValueError("Argument 'triplets' must have been rendered with isolated=True.")
        blurry = triplets.isolated[:, ISOLATED.index(set_name)]
    if rows is None:
        return ShardArrays(triplets.clean, blurry, triplets.mask, index)
    return ShardArrays(triplets.clean[rows], blurry[rows], triplets.mask[rows], index[rows])


def open_faces(root: Path, recipe: Recipe) -> FaceStore:
    """Open the dataset's ``faces.h5``; InputError when there are not as many faces as the recipe says."""
    path = inside(root, FACES)
    store = FaceStore(path)
    if len(store) != recipe.faces.count:
        raise InputError(f"{path}: has {len(store)} faces, but the recipe says {recipe.faces.count}.")
    if (smallest := min(store.heights.min(), store.widths.min())) < recipe.patch_size:
        raise InputError(
            f"{path}: has a face of {smallest} pixels, but patches are {recipe.patch_size}; "
            "use larger faces or a smaller ",
            Argument("patch_size"),
            ".",
        )
    return store


def open_kernels(root: Path, recipe: Recipe) -> KernelBank:
    """Load the dataset's ``kernels.h5``; InputError when it is not the recipe's bank."""
    path = inside(root, KERNELS)
    bank = KernelBank.load(path)
    if KernelsUsed.of(bank) != recipe.kernels:
        raise InputError(
            f"{path}: is not the kernel bank of the recipe in {MANIFEST}; restore the right one."
        )
    return bank


def sources_of(faces: FaceStore) -> list[dict[str, Any]] | None:
    """Return the descriptions of the sources a store was made from, as they stand in a recipe."""
    sources = faces.made_with.get("sources")
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        return None
    return [{name: value for name, value in source.items() if name != "faces"} for source in sources]
