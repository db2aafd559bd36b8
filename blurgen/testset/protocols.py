"""How published test sets were made: how many faces and kernels, how much noise, what is past the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Border = Literal["real", "mirrored"]
BORDERS: Final = ("real", "mirrored")
"""What the blur reads around a picture: the photograph it was cut from, or the picture mirrored."""


@dataclass(frozen=True)
class Protocol:
    """Numbers of a published protocol."""

    face_count: int
    sizes: tuple[int, ...]
    """Of the kernels, pixels."""
    per_size: int
    """Kernels of each size."""
    noise_sigma: float
    """In units of full scale."""
    border: Border


_SIZES = tuple(range(13, 28, 2))

PROTOCOLS: Final = {
    # Shen et al., "Deep semantic face deblurring", CVPR 2018: 100 faces. The paper that this project follows
    # uses their pictures and does not say how much noise these have: here it is that of its training data.
    "shen": Protocol(face_count=100, sizes=_SIZES, per_size=10, noise_sigma=0.03, border="real"),
    # Lee et al., "MSPL: Exploiting facial semantics and progressive learning", 2020.
    "mspl": Protocol(face_count=80, sizes=_SIZES, per_size=10, noise_sigma=0.0, border="mirrored"),
}
"""By name."""
