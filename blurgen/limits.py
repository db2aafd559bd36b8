"""What sizes and noise are possible: recipes, test sets and the command line have these ranges from here."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

SMALLEST_KERNEL: Final = 3
LARGEST_KERNEL: Final = 101
"""Of the side of a kernel, in pixels; sides are odd."""

SMALLEST_PATCH: Final = 8
LARGEST_PATCH: Final = 1024
"""Of the side of a patch, in pixels."""

MOST_NOISE: Final = 0.2
"""Largest sigma in units of full scale: beyond it a sum would not fit the 24 bits that float32 holds."""

KernelSize = Annotated[int, Meta(ge=SMALLEST_KERNEL, le=LARGEST_KERNEL)]
PatchSize = Annotated[int, Meta(ge=SMALLEST_PATCH, le=LARGEST_PATCH)]
NoiseSigma = Annotated[float, Meta(ge=0, le=MOST_NOISE)]
