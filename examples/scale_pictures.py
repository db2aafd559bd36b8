"""Scale a folder of pictures, and its label maps, to one short side.

    python scale_pictures.py FOLDER OUT SIDE [train|test]

FOLDER holds pictures, or images/ and labels/. With ``train`` or ``test`` only the pictures of that part are
taken, as by ``blurgen build-dataset --split``: by the digest of the file as it was before scaling, so
that a picture is on one side at all scales.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurgen.errors import InputError
from blurgen.faces.decode import decode_labels, sha256
from blurgen.faces.selection import SPLITS, in_split
from umsn.scoring.pairs import pictures_by_stem, read_picture


def main(folder: Path, out: Path, side: int, split: str) -> None:
    labelled = (folder / "labels").is_dir()
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    to = out / "images" if labelled else out
    to.mkdir(parents=True, exist_ok=True)
    if labelled:
        (out / "labels").mkdir(exist_ok=True)
    for stem, path in pictures_by_stem(pictures).items():
        if not in_split(sha256(path.read_bytes()), split):
            continue
        picture = read_picture(path)
        _scaled(picture, side, Image.Resampling.LANCZOS).save(to / f"{stem}.png")
        if labelled:
            map_ = folder / "labels" / f"{stem}.png"
            labels = decode_labels(map_.read_bytes(), str(map_), picture.shape)
            _scaled(labels, side, Image.Resampling.NEAREST).save(out / "labels" / map_.name)


def _scaled(pixels: NDArray[np.uint8], side: int, by: Image.Resampling) -> Image.Image:
    picture = Image.fromarray(pixels)
    scale = side / min(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), by)


if __name__ == "__main__":
    split = sys.argv[4] if len(sys.argv) == 5 else "all"
    if (
        len(sys.argv) not in (4, 5)
        or not sys.argv[3].isdecimal()
        or int(sys.argv[3]) < 1
        or split not in SPLITS
    ):
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), split)
    except InputError as error:
        sys.exit(f"Error: {error}")
