"""A real photograph, blurred as a shaking hand would and deblurred by the weights that come with the package.

    pip install scikit-image
    python examples/astronaut.py OUT.png

The photograph is NASA's portrait of Eileen Collins (public domain), as scikit-image carries it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

import blurgen
from umsn.evaluation.strips import Tile, sheet
from umsn.restore.deblur import Deblurrer
from umsn.scoring.metrics import psnr
from umsn.weights import default_checkpoint

FACE = (slice(0, 272), slice(96, 352))
"""Head and shoulders."""

SHAKE = 5
"""Number of the kernel in a bank of nine, 13 to 29 pixels, that no training saw (seed 2026)."""

SIGMA = 0.03


def blurred(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Return the photograph blurred and sharp, uint8 ``[H, W, 3]`` without the rim, and the kernel's size."""
    bank = blurgen.make_kernels(count=9, seed=2026)
    shaken = blurgen.blur(pixels, bank.kernel(SHAKE), sigma=SIGMA, seed=2026)
    rim = slice(bank.max_size // 2, -(bank.max_size // 2))  # where the photograph's end would show
    return shaken[rim, rim], pixels[rim, rim], int(bank.sizes[SHAKE])


def main(out: Path) -> None:
    """Blur, deblur, and draw the three pictures side by side."""
    blurry, clean, size = blurred(astronaut()[FACE])
    sharp = Deblurrer(default_checkpoint("deblur"), "cpu")(blurry)
    tiles = [
        Tile(blurry, f"shaken ({size} pixels), noise {SIGMA}: {psnr(blurry, clean):.1f} dB"),
        Tile(sharp, f"umsn deblur: {psnr(sharp, clean):.1f} dB"),
        Tile(clean, "the photograph"),
    ]
    sheet([tiles], ["before", "after", "truth"]).save(out)
    print("\n".join(tile.caption for tile in tiles))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
