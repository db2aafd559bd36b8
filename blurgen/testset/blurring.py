"""The blurry pictures of one face of a test set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurgen.kernels.bank import KernelBank
from blurgen.synthesis.engine import Degrader
from blurgen.synthesis.recipe import INDEX_DTYPE
from blurgen.testset.manifest import TestsetManifest


def blur_face(
    manifest: TestsetManifest,
    kernels: KernelBank,
    number: int,
    pixels: NDArray[np.uint8],
    top: int = 0,
    left: int = 0,
) -> NDArray[np.uint8]:
    """Return the blurry pictures of face ``number``, uint8 ``[kernels, P, P, 3]``.

    ``pixels`` is uint8 ``[h, w, 3]``: the part of the face around its crop, which begins at ``top`` and
    ``left``. Where it ends it is mirrored.
    """
    degrader = Degrader.of_picture(
        pixels,
        kernels.weights,
        kernels.sizes,
        patch_size=manifest.patch_size,
        noise_sigma=manifest.noise_sigma,
        seed=manifest.seed,
    )
    index = np.zeros(len(kernels), INDEX_DTYPE)
    index["sample"] = number * len(kernels) + np.arange(len(kernels), dtype=np.int64)
    index["kernel"] = np.arange(len(kernels))
    index["top"], index["left"] = top, left
    return degrader.degrade(index).blurry
