"""Datasets and networks small enough that a test can train: drawn blobs, 32 x 32 patches, narrow networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from blurgen.build import build_dataset
from blurgen.dataset import Dataset
from blurgen.faces import parse_source
from blurgen.kernels import make_bank

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
    folder: Path, seed: int, *, labelled: bool = True, per_image: int = 8, recipe_only: bool = False
) -> Dataset:
    """Build a class-isolated dataset (without labels: a plain one) in ``folder/data``."""
    write_blobs(folder / "faces", seed, labelled=labelled)
    return build_dataset(
        [parse_source(f"folder:{folder / 'faces'}", min_side=44, patch_size=PATCH)],
        make_bank(count=8, min_size=13, max_size=13, seed=seed, samples=200),
        folder / "data",
        per_image=per_image,
        class_isolated=labelled,
        patch_size=PATCH,
        seed=seed,
        shard_size=16,
        recipe_only=recipe_only,
    )
