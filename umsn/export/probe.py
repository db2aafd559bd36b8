"""Drawn faces, blurred: pictures to calibrate an export with and to measure what it loses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.faces.procedural import draw_face
from blurgen.kernels.bank import make_bank
from blurgen.synthesis.blur import blur

SIDE = 128
_SIGMA = 0.03


def probe_pictures(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``count`` blurry and clean pictures, float32 ``[count, 3, 128, 128]`` in [0, 1].

    Procedural faces, ``camera3d`` kernels, noise of sigma 0.03; a pure function of the seed. They are the
    middle of larger faces, so that nothing is mirrored.
    """
    bank = make_bank(count=count, seed=seed)
    rim = bank.max_size // 2
    middle = slice(rim, rim + SIDE)
    faces = [draw_face(i, seed=seed, size=SIDE + 2 * rim)[0] for i in range(count)]
    shaken = [blur(face, bank.kernel(i), sigma=_SIGMA, seed=i) for i, face in enumerate(faces)]
    blurry, clean = ([whole[middle, middle] for whole in pictures] for pictures in (shaken, faces))
    return _scaled(blurry), _scaled(clean)


def _scaled(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
