"""A labelled face that tests can put into any dataset's layout."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

MIN_SIDE = 156
"""Patches of 128 pixels blurred by kernels of up to 29."""


def face_labels(height: int, width: int, centre_x: int, eyes_y: int, scale: int = 1) -> np.ndarray:
    """A label map, uint8 ``[height, width]``, with all 11 labels.

    ``scale`` times as large as the faces of the paper: the eyes are 38 * scale apart, the mouth lies
    41 * scale below them. Right is the person's right, so the right eye lies to the left.
    """
    labels = np.zeros((height, width), np.uint8)

    def block(label: int, x: int, y: int, half_width: int, half_height: int) -> None:
        rows = slice(max(0, eyes_y + (y - half_height) * scale), max(0, eyes_y + (y + half_height) * scale))
        columns = slice(
            max(0, centre_x + (x - half_width) * scale), max(0, centre_x + (x + half_width) * scale)
        )
        labels[rows, columns] = label

    block(10, 0, -30, 55, 40)  # hair
    block(1, 0, 12, 42, 60)  # skin
    block(3, -19, -12, 9, 2)
    block(2, 19, -12, 9, 2)
    block(5, -19, 0, 6, 3)
    block(4, 19, 0, 6, 3)
    block(6, 0, 16, 7, 10)
    block(8, 0, 41, 14, 5)
    block(7, 0, 38, 14, 2)
    block(9, 0, 44, 14, 2)
    return labels


def face_pixels(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """A picture to go with a label map, uint8 ``[H, W, 3]``: a colour for each label, and noise."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(30, 226, (256, 3))
    noise = rng.integers(-30, 31, (*labels.shape, 3))
    return (colours[labels] + noise).astype(np.uint8)


def write_picture(path: Path, array: np.ndarray, **options) -> bytes:
    """Write an array as a picture, its folders as well, and return the bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **{"compress_level": 1, **options})
    return path.read_bytes()


def as_decoded(data: bytes) -> np.ndarray:
    """Pixels of a picture file, for files that were saved with loss."""
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
