"""Which axes of an array, in any order, are those of kernels, and which one counts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import Argument, ArgumentError
from blurgen.limits import LARGEST_KERNEL, SMALLEST_KERNEL


def kernel_axis(shape: tuple[int, ...], *, last: bool) -> int | None:
    """Return the axis that counts kernels of [h, w], of the axes longer than 1; -1 if there is one kernel.

    It is the one whose removal leaves a square; when there are several, the ``last`` or the first of them.
    None when this is not the shape of kernels.
    """
    sides = _sides(shape)
    if len(sides) == 2:
        return -1 if _are_sides(*sides) else None
    if len(sides) != 3:
        return None
    left = [sides[:axis] + sides[axis + 1 :] for axis in range(3)]
    axes = [axis for axis in range(3) if _are_sides(*left[axis])]
    square = [axis for axis in axes if left[axis][0] == left[axis][1]]
    candidates = square or [axis for axis in axes if axis in (0, 2)]
    return None if not candidates else candidates[-1 if last else 0]


def kernels_in(array: NDArray[Any], *, last: bool) -> Iterator[NDArray[np.float64]]:
    """Yield the kernels [h, w] of an array of numbers whose shape has a ``kernel_axis``, one at a time."""
    axis = kernel_axis(array.shape, last=last)
    array = array.reshape(_sides(array.shape))
    if axis is None:
        raise ArgumentError(Argument("array"), f" must have the shape of kernels, not {array.shape}.")
    for kernel in [array] if axis < 0 else np.moveaxis(array, axis, 0):
        yield np.array(kernel, np.float64)


def kernel_count(shape: tuple[int, ...], *, last: bool) -> int:
    """Return how many kernels an array of that shape holds; 0 when it is not the shape of kernels."""
    axis = kernel_axis(shape, last=last)
    if axis is None:
        return 0
    return 1 if axis < 0 else _sides(shape)[axis]


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its axes of length 1, where it has more than two axes."""
    return shape if len(shape) <= 2 else tuple(side for side in shape if side != 1)


def _are_sides(height: int, width: int) -> bool:
    return min(height, width) >= 1 and SMALLEST_KERNEL <= max(height, width) <= LARGEST_KERNEL
