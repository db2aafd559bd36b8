"""A picture is written whole, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from blurgen.errors import InputError
from blurgen.files.png import save_picture


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_a_picture_comes_back(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    save_picture(tmp_path / "array.png", picture)
    save_picture(tmp_path / "image.png", Image.fromarray(picture))
    for name in ("array.png", "image.png"):
        with Image.open(tmp_path / name) as found:
            assert found.format == "PNG" and (np.asarray(found) == picture).all()


def test_what_cannot_be_written_leaves_nothing_and_what_was_there(tmp_path):
    path = tmp_path / "a.png"
    save_picture(path, np.zeros((2, 2), np.uint8))
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save_picture(path, np.zeros((2, 2), np.uint8), exif=3)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="choose another folder"):
        save_picture(tmp_path / "none" / "a.png", np.zeros((2, 2), np.uint8))
