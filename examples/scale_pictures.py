"""Scale the pictures of a folder to one short side: python scale_pictures.py FOLDER OUT SIDE."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from blurgen.errors import InputError
from blurgen.files.png import save_picture
from umsn.scoring.pairs import pictures_by_stem, read_picture


def main(folder: Path, out: Path, side: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for stem, path in pictures_by_stem(folder).items():
        picture = Image.fromarray(read_picture(path))
        scale = side / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        save_picture(out / f"{stem}.png", picture.resize(size, Image.Resampling.LANCZOS))


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[3].isdecimal() or int(sys.argv[3]) < 1:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except InputError as error:
        sys.exit(f"Error: {error}")
