"""How published test sets were made: how many faces and kernels, how much noise, what is past the border."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from blurgen.errors import Argument, ArgumentError, check_choice
from blurgen.files.strict_json import Checked
from blurgen.limits import KernelSize, NoiseSigma

MOST_PICTURES: Final = 10**7
"""How many blurry pictures a test set may have: far more than any has, and few enough to list."""

Border = Literal["real", "mirrored"]
"""What the blur reads around a picture: the photograph it was cut from, or the picture mirrored."""


class Protocol(Checked, frozen=True):
    """Numbers of a protocol. Raises ArgumentError for one out of range."""

    face_count: Annotated[int, Meta(ge=1)]
    sizes: tuple[KernelSize, ...]
    """Of the kernels, pixels, ascending."""
    per_size: Annotated[int, Meta(ge=1)]
    """Kernels of each size."""
    noise_sigma: NoiseSigma
    """In units of full scale."""
    border: Border

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            wanted = " must be different sizes in ascending order"
            raise ArgumentError(Argument("sizes"), f"{wanted}, not {list(self.sizes)}.")
        if (pictures := self.face_count * len(self.sizes) * self.per_size) > MOST_PICTURES:
            raise ArgumentError(
                Argument("face_count"), f" asks for {pictures} pictures; the most are {MOST_PICTURES}."
            )

    @property
    def reach(self) -> int:
        """Side of the square of the photograph that a pixel is blurred from, in pixels."""
        return max(self.sizes) if self.border == "real" else 1


_SIZES = tuple(range(13, 28, 2))

PROTOCOLS: Final = {
    # Shen et al., "Deep semantic face deblurring", CVPR 2018: 100 faces. The paper that this project follows
    # uses their pictures and does not say how much noise these have: here it is that of its training data.
    "shen": Protocol(face_count=100, sizes=_SIZES, per_size=10, noise_sigma=0.03, border="real"),
    # Lee et al., "MSPL: Exploiting facial semantics and progressive learning", 2020.
    "mspl": Protocol(face_count=80, sizes=_SIZES, per_size=10, noise_sigma=0.0, border="mirrored"),
}
"""By name."""


def protocol_with(name: str, **changes: Any) -> Protocol:
    """Return the protocol of this name, with those of ``changes`` that are not None."""
    check_choice("protocol", name, PROTOCOLS)
    given = {field: value for field, value in changes.items() if value is not None}
    return msgspec.structs.replace(PROTOCOLS[name], **given)
