"""Datasets and networks small enough that a test can train: drawn blobs, 32 x 32 patches, narrow networks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from blurgen.building.build import build_dataset
from blurgen.dataset.reading import Dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from blurgen.synthesis.camera.settings import Camera

PATCH = 32


def write_blobs(folder: Path, seed: int, count: int = 3, labelled: bool = True) -> None:
    """Write pictures of nested discs in random colours, with their label maps."""
    random = np.random.default_rng(seed)
    for kind in ("images", "labels") if labelled else ("images",):
        (folder / kind).mkdir(parents=True)
    y, x = np.mgrid[:56, :56]
    for number in range(count):
        radius = np.hypot(y - random.uniform(20, 36), x - random.uniform(20, 36))
        labels = np.select([radius < 6, radius < 14, radius < 20], [6, 1, 10], 0).astype(np.uint8)
        texture = gaussian_filter(random.normal(0, 1, (56, 56, 3)), (1, 1, 0)) * 60
        pixels = random.integers(40, 216, (11, 3))[labels] + texture
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        if labelled:
            Image.fromarray(labels).save(folder / "labels" / f"{number}.png")


def build(
    folder: Path,
    seed: int,
    *,
    labelled: bool = True,
    recipe_only: bool = False,
    isolation: Literal["composite", "layered"] = "composite",
    largest: int = 13,
    camera: Camera | None = None,
) -> Dataset:
    """Build a class-isolated dataset (without labels: a plain one) of 24 samples in ``folder/data``.

    The faces are 56 x 56: with kernels of up to 13 pixels the blur finds real pixels everywhere, with larger
    ones it has to mirror.
    """
    write_blobs(folder / "faces", seed, labelled=labelled)
    return build_dataset(
        [parse_source(f"folder:{folder / 'faces'}", min_side=44, patch_size=PATCH)],
        make_bank(count=9, min_size=13, max_size=largest, seed=seed, samples=200),
        folder / "data",
        per_image=8,
        class_isolated=labelled,
        isolation=isolation,
        camera=camera,
        patch_size=PATCH,
        seed=seed,
        shard_size=16,
        recipe_only=recipe_only,
    )
