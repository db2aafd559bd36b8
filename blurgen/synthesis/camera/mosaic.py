"""The sensor's picture: one colour to a pixel, red, green / green, blue (Bayer, US patent 3971065).

A mosaic is int16 [Q, 2, H]: of its Q rows the even columns, then the odd ones, with room up to a multiple of
SEGMENT. Row 0 has red in its even columns and green in its odd ones, row 1 green and blue, and so on. Only
the colour that a pixel has is ever blurred, a third of the work.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from blurgen.compiling.njit import njit
from blurgen.synthesis.camera.window import RIM
from blurgen.synthesis.convolve import Taps, pair_taps, window_stride

SEGMENT: Final = 80
"""Pixels of half a row that are blurred together: those of a patch of 128 pixels, with its rim."""

_CHANNELS = 3
_VECTOR = 16
_HALF = 16384  # of Q15


class Shape(NamedTuple):
    """Sizes of a patch's pictures, in pixels."""

    patch: int
    radius: int
    """How far the blur reads."""
    side: int
    """Of the window of light."""
    stride: int
    """Of a row of the window in memory."""
    rows: int
    """Of the mosaic: Q."""
    half: int
    """Of half a row of the mosaic in memory: H."""


def shape_of(patch: int, max_size: int) -> Shape:
    """Return the sizes for patches of an even number of pixels and kernels up to ``max_size`` pixels."""
    radius, rows = max_size // 2, patch + 2 * RIM
    half = -(-(rows // 2) // SEGMENT) * SEGMENT
    # The last segment of a row reads inside the window's memory.
    return Shape(patch, radius, rows + 2 * radius, 2 * radius + 2 * half + _VECTOR, rows, half)


def plane_taps(weights: NDArray[np.uint16], sizes: NDArray[np.uint8], shape: Shape) -> Taps:
    """Return the taps of a bank (see ``pair_taps``) for windows that are planes of one colour.

    ``offset`` is in pixels of a window of ``shape``, the two pixels of a pair being neighbours.
    """
    stride = window_stride(shape.patch, weights.shape[-1])
    taps = pair_taps(weights, sizes, stride)
    row, column = np.divmod(taps.offset, stride)
    return taps._replace(offset=(row * shape.stride + column // _CHANNELS).astype(np.int32))


@njit(cache=True)
def sharp_mosaic(light, shape, mosaic):
    """Write the mosaic of an unmoved camera: the middle of the window ``light`` [3, side, stride]."""
    for y in range(shape.rows):
        first = y & 1
        for x in range(shape.rows // 2):
            column = shape.radius + 2 * x
            mosaic[y, 0, x] = light[first, shape.radius + y, column]
            mosaic[y, 1, x] = light[first + 1, shape.radius + y, column + 1]


@njit(cache=True)
def blurred_mosaic(light, shape, taps, kernel, mosaic):
    """Write the mosaic of a scene that one kernel of a bank blurs.

    ``light`` int16 is [3, side, stride], or [1, side, stride] where all colours are the same.
    """
    plane = shape.side * shape.stride if light.shape[0] == _CHANNELS else 0
    flat = light.reshape(-1)
    even, odd = np.empty(shape.half, np.int32), np.empty(shape.half, np.int32)
    for y in range(shape.rows):
        first = (y & 1) * plane + y * shape.stride
        even[:] = _HALF
        odd[:] = _HALF
        add_taps(flat, first, first + plane + 1, taps, kernel, even, odd)
        for x in range(shape.half):
            mosaic[y, 0, x] = np.int16(even[x] >> np.int32(15))
        for x in range(shape.half):
            mosaic[y, 1, x] = np.int16(odd[x] >> np.int32(15))


def add_taps(light, first, second, taps, kernel, even, odd):
    """Add to half rows of sums, int32, what one kernel's taps make of every other pixel of ``light``.

    ``even`` from the pixel ``first`` on, ``odd`` from ``second`` on; whole segments. This is the definition;
    compiled code does it in vectors.
    """
    for t in range(taps.first[kernel], taps.first[kernel + 1]):
        for sums, start in ((even, first), (odd, second)):
            for j in range(len(sums)):
                place = start + taps.offset[t] + 2 * j
                sums[j] += int(light[place]) * (int(taps.weights[t]) & 0xFFFF)
                sums[j] += int(light[place + 1]) * (int(taps.weights[t]) >> 16)


@overload(add_taps, inline="always")
def _overload_add_taps(light, first, second, taps, kernel, even, odd):
    def compiled(light, first, second, taps, kernel, even, odd):
        two, end = taps.first[kernel], taps.first[kernel + 1]
        for at in range(0, even.size, SEGMENT):
            _add_tap_pairs(  # type: ignore[call-arg]  # numba passes the typing context
                (light, first + 2 * at), (light, second + 2 * at), taps.offset, taps.weights, (two, end),
                (even, at), (odd, at),
            )  # fmt: skip

    return compiled


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_SUMS = ir.VectorType(_I32, _VECTOR)
_LIGHT, _PRODUCTS = (ir.VectorType(ir.IntType(bits), 2 * _VECTOR) for bits in (16, 32))


@intrinsic
def _add_tap_pairs(typing_context, first, second, offset, weights, tap_pairs, even, odd):
    """Write the loop over tap pairs as LLVM vectors (see ``blurgen.synthesis.convolve``)."""
    return types.void(first, second, offset, weights, tap_pairs, even, odd), _write_loop


def _write_loop(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    def data(position: int) -> Any:
        kind, value = signature.args[position], arguments[position]
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, builder, value).data
        array = context.make_array(kind[0])(context, builder, builder.extract_value(value, 0))
        return builder.gep(array.data, [builder.extract_value(value, 1)])

    first, second, offset, weights, even, odd = map(data, (0, 1, 2, 3, 5, 6))
    two, end = cgutils.unpack_tuple(builder, arguments[4])
    steps = range(0, SEGMENT, _VECTOR)
    places = [
        builder.bitcast(builder.gep(sums, [_I64(step)]), _SUMS.as_pointer())
        for sums in (even, odd)
        for step in steps
    ]
    totals = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
    undefined = ir.Constant(_SUMS, ir.Undefined), ir.Constant(_PRODUCTS, ir.Undefined)
    lower, upper = (ir.Constant(_SUMS, list(range(start, 2 * _VECTOR, 2))) for start in (0, 1))
    with cgutils.for_range_slice(builder, two, end, ir.Constant(two.type, 1)) as (now, _):
        factor = builder.insert_element(undefined[0], builder.load(builder.gep(weights, [now])), _I32(0))
        factor = builder.shuffle_vector(factor, undefined[0], ir.Constant(_SUMS, [0] * _VECTOR))
        factor = builder.sext(builder.bitcast(factor, _LIGHT), _PRODUCTS)
        place = builder.sext(builder.load(builder.gep(offset, [now])), _I64)
        loads = [
            builder.bitcast(builder.gep(source, [builder.add(place, _I64(2 * step))]), _LIGHT.as_pointer())
            for source in (first, second)
            for step in steps
        ]
        for total, load in zip(totals, loads, strict=True):
            products = builder.mul(builder.sext(builder.load(load, align=2), _PRODUCTS), factor)
            firsts = builder.shuffle_vector(products, undefined[1], lower)
            seconds = builder.shuffle_vector(products, undefined[1], upper)
            builder.store(builder.add(builder.load(total), builder.add(firsts, seconds)), total)
    for total, place in zip(totals, places, strict=True):
        builder.store(builder.load(total), place, align=4)
    return context.get_dummy_value()
