"""What restores blurry pictures: a trained network, another method's pictures in a folder, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from blurgen.errors import InputError
from umsn.nets import KERNEL_GUIDED
from umsn.restore.deblur import Deblurrer
from umsn.scoring.measures import Picture
from umsn.scoring.pairs import Pair, pictures_by_stem, read_picture

Method = Callable[[Pair], Picture]
"""From a pair to the restored picture, uint8 of the blurry one's shape."""

TITLES: Final = {
    "bnet": "B-Net",
    "masks": "B-Net + semantic maps",
    "nested": "B-Net + semantic maps + nested residuals",
    "umsn-no-confidence": "UMSN without L_c",
    "umsn": "UMSN",
    KERNEL_GUIDED: KERNEL_GUIDED,
}
"""What the rows of tables are called: by the paper in Table VI, and the network that is not in it."""


def blurry(pair: Pair) -> Picture:
    """Return the blurry picture itself: what doing nothing scores."""
    return pair.blurry


class Network:
    """A trained deblurring network, which sees the blurry picture alone.

    Raises InputError when the checkpoint holds no such network.
    """

    def __init__(self, path: Path, device: str) -> None:
        self.deblur = Deblurrer(path, device)

    def __call__(self, pair: Pair) -> Picture:
        return self.deblur(pair.blurry)

    def batch(self, pairs: Sequence[Pair]) -> Picture:
        """Return what becomes of pairs of one size, uint8 ``[N, H, W, 3]``."""
        return self.deblur.batch(np.stack([pair.blurry for pair in pairs]))


class Pictures:
    """The pictures any other method made, in a folder, named like the blurry ones.

    Raises InputError when the folder lacks one of ``names``; on use, when a picture cannot be read or is of
    another size.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._files = pictures_by_stem(folder)
        missing = [name for name in names if name not in self._files]
        if missing:
            more = f" (and {len(missing) - 1:,} more)" if len(missing) > 1 else ""
            raise InputError(
                f"{folder}: has no picture {missing[0]}.png{more}; "
                "results are named like the blurry pictures."
            )

    def __call__(self, pair: Pair) -> Picture:
        path = self._files[pair.name]
        picture = read_picture(path)
        if picture.shape != pair.blurry.shape:
            height, width = picture.shape[:2]
            wanted_height, wanted_width = pair.blurry.shape[:2]
            raise InputError(
                f"{path}: is {width} x {height}, but the blurry picture is {wanted_width} x {wanted_height}."
            )
        return picture
