"""Small faces, kernels and datasets for the tests of everything that makes or reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from blurgen.building.build import build_dataset
from blurgen.faces import parse_source
from blurgen.kernels.bank import KernelBank, make_bank

PATCH, LARGEST = 24, 9
MIN_SIDE = PATCH + LARGEST - 1


def write_photos(folder: Path, count: int = 6, *, labelled: bool = True, seed: int = 0) -> Path:
    """Write photographs of noise, of many sizes, and labels in blobs; face 2 has no hair."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i in range(count):
        height, width = (int(side) for side in random.integers(MIN_SIDE, 60, 2))
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{i:03d}.png")
        if labelled:
            blobs = random.integers(0, 10 if i == 2 else 11, (height // 8 + 1, width // 8 + 1), np.uint8)
            labels = blobs.repeat(8, 0).repeat(8, 1)[:height, :width]
            Image.fromarray(labels).save(folder / f"labels/{i:03d}.png")
    if not labelled:
        (folder / "labels").rmdir()
    return folder


def small_bank(seed: int = 0) -> KernelBank:
    """Return seven kernels of 5 to 9 pixels."""
    return make_bank(count=7, min_size=5, max_size=LARGEST, seed=seed)


def sources(*folders: Path):
    """Return the photographs of each folder as a source of faces."""
    return [parse_source(f"folder:{folder}", min_side=MIN_SIDE, patch_size=PATCH) for folder in folders]


def build(folder: Path, out: Path, **options):
    """Make a small dataset with class sets; ``options`` as for ``build_dataset``."""
    wanted = {"per_image": 7, "class_isolated": True, "patch_size": PATCH, "shard_size": 10, "seed": 3}
    return build_dataset(sources(folder), small_bank(), out, **(wanted | options))


def files_of(root: Path) -> dict[str, bytes]:
    """Return the contents of all files of a dataset except its locks."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def command(*words, **options) -> subprocess.Popen[str]:
    """Start ``blurgen`` in a process, and a session, of its own; what workers it needs start at once."""
    program = (
        "import blurgen.jobs.parallel as p; p._SECONDS_ALONE = 0; import blurgen_cli.blurgen as b; b.main()"
    )
    folder = tempfile.gettempdir()  # not shared memory: a killed process cannot tidy up
    environment = os.environ | {"COLUMNS": "200", "JOBLIB_TEMP_FOLDER": folder}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **options,
    )
