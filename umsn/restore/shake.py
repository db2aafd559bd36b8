"""The estimated shake as a small picture: what the network took the camera's movement to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.files.png import save_picture
from umsn.restore.deblur import Deblurrer
from umsn.restore.files import Restore

_ENLARGED: Final = 6


def kernel_picture(kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a kernel ``[k, k]`` as a picture uint8 ``[6 k, 6 k, 3]``; white is its largest weight."""
    # The root shows where the camera went fast, too.
    grey = np.round(255 * np.sqrt(kernel / kernel.max())).astype(np.uint8)
    return grey.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)[..., None].repeat(3, 2)


def showing_kernels(
    network: Deblurrer, out: Path, make: Callable[[Callable[[NDArray[np.uint8]], NDArray[np.uint8]]], Restore]
) -> Restore:
    """Return ``make(network)`` that also writes ``out/<stem>_kernel.png``: the kernel, or one for each face.

    ``make`` is ``files.whole`` or ``photographs.face_by_face`` of some faces. Raises InputError for a network
    that estimates no kernel.
    """
    network.require_kernel()
    kernels: list[NDArray[np.uint8]] = []

    def deblur(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        kernels.append(kernel_picture(network.kernel(pixels)))
        return network(pixels)

    restore = make(deblur)

    def restore_and_show(path: Path, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        kernels.clear()
        result = restore(path, pixels)
        save_picture(out / f"{path.stem}_kernel.png", np.concatenate(kernels, axis=1))
        return result

    return restore_and_show
