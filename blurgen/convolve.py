"""Exact convolution of 8-bit RGB with Q15 kernels: sparse, and two taps to a multiplication.

Weights sum to 32768 and pixels are at most 255, so every partial sum is an integer below 2^24 and the order
of summation is free (FORMAT.md, section 3). That freedom is spent three times:

- most weights of a camera-shake kernel are zero, and only the others (the taps) are visited, in *groups* of
  up to four neighbours in a row;
- a *lane* of 32 bits holds an element and the same channel of the next three pixels, so that one load serves
  a group. Two of them at a time become 16-bit halves, because every processor multiplies two pairs of 16-bit
  numbers and adds the products in one instruction;
- the sums of a segment of 128 elements stay in registers while all taps go by.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

UNIT: Final = 32768
"""What the weights of a kernel sum to."""

SEGMENT: Final = 128
"""Elements (a pixel has three) whose sums are made together."""

_VECTOR = 16
_CHANNELS = 3
_GROUP = 4


class Taps(NamedTuple):
    """The non-zero weights of a bank in groups, kernel after kernel.

    Groups ``first[k]`` to ``first[k + 1]`` belong to kernel ``k``. A group is applied to the lane ``offset``
    lanes after the one of the top left element of the window. The Q15 weights of pixels 0 and 1 are the low
    and the high half of ``near``, those of pixels 2 and 3 the halves of ``far``. ``reach[k]`` is how far from
    its centre, in pixels, the kernel reads.
    """

    first: NDArray[np.int64]  # [K + 1]
    offset: NDArray[np.int32]  # [groups]
    near: NDArray[np.int32]  # [groups]
    far: NDArray[np.int32]  # [groups]
    reach: NDArray[np.int64]  # [K]


def lane_stride(patch_size: int, max_size: int) -> int:
    """Return the lanes in a row of a window, so that the last segment of a row also reads inside it."""
    segments = -(-_CHANNELS * patch_size // SEGMENT)
    return segments * SEGMENT + _CHANNELS * (max_size - 1)


def group_taps(weights: NDArray[np.uint16], sizes: NDArray[np.uint8], stride: int) -> Taps:
    """Return the taps of every kernel for windows with ``stride`` lanes a row.

    ``weights`` uint16 ``[K, M, M]`` in Q15 as in a bank, ``sizes`` uint8 ``[K]``. Raises ValueError for a
    kernel that does not sum to 32768 or has a weight outside its size: its sums might not be exact.
    """
    if weights.dtype != np.uint16 or weights.ndim != 3 or weights.shape[1] != weights.shape[2]:
        raise ValueError(
            f"Argument 'weights' must be uint16 [K, M, M], not {weights.dtype} {list(weights.shape)}."
        )
    count, side, _ = weights.shape
    if side % 2 == 0 or count == 0:
        raise ValueError(f"Argument 'weights' must hold kernels of odd size, not {list(weights.shape)}.")
    reach = np.asarray(sizes).astype(np.int64) // 2
    if reach.shape != (count,) or (np.asarray(sizes) % 2 == 0).any() or reach.max() > side // 2:
        raise ValueError(f"Argument 'sizes' must hold {count} odd numbers up to {side}.")
    weights = np.ascontiguousarray(weights)
    first = np.zeros(count + 1, np.int64)
    unfit = _count_groups(weights, reach, first)
    if unfit >= 0:
        raise ValueError(f"Kernel {unfit} does not sum to {UNIT} within its size of {sizes[unfit]}.")
    offset, near, far = (np.zeros(first[-1], np.int32) for _ in range(3))
    _write_groups(weights, reach, first, stride, offset, near, far)
    return Taps(first, offset, near, far, reach)


@njit(cache=True)
def _weights_from(row, column, low):
    """Return the weights of ``column`` and the three before it, zero before ``low``."""
    return (
        np.int32(row[column]),
        np.int32(row[column - 1]) if column - 1 >= low else np.int32(0),
        np.int32(row[column - 2]) if column - 2 >= low else np.int32(0),
        np.int32(row[column - 3]) if column - 3 >= low else np.int32(0),
    )


@njit(cache=True)
def _count_groups(weights, reach, first):
    """Set where each kernel's groups begin; return the first unfit kernel, -1 if all are fit."""
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        total = np.int64(0)
        groups = 0
        for y in range(low, high + 1):
            column = high
            while column >= low:
                a, b, c, d = _weights_from(weights[k, y], column, low)
                if a == 0:
                    column -= 1
                    continue
                total += a + b + c + d
                groups += 2 if a == UNIT else 1
                column -= _GROUP
        if total != UNIT or np.sum(weights[k]) != UNIT:
            return k
        first[k + 1] = first[k] + groups
    return -1


@njit(cache=True)
def _write_groups(weights, reach, first, stride, offset, near, far):
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        n = first[k]
        # True convolution turns the kernel by half a turn: its last row and column come first in the window.
        for y in range(high, low - 1, -1):
            column = high
            while column >= low:
                a, b, c, d = _weights_from(weights[k, y], column, low)
                if a == 0:
                    column -= 1
                    continue
                offset[n] = (side - 1 - y) * stride + (side - 1 - column) * _CHANNELS
                near[n] = a | b << 16
                far[n] = c | d << 16
                n += 1
                column -= _GROUP
                if a == UNIT:
                    # A half is signed and ends at 32767: the kernel that is one point goes in twice.
                    offset[n] = offset[n - 1]
                    near[n - 1] = near[n] = UNIT // 2


@njit(cache=True)
def fill_window(pixels, face, top, left, patch, radius, reach, stride, lanes):
    """Write the lanes of every pixel that a kernel of ``reach`` needs around the patch at ``top``, ``left``.

    ``face`` is (first pixel, height, width); outside of it pixels are mirrored. Lane 0 belongs to the pixel
    ``radius`` rows above and columns left of the patch. Lanes farther out than ``reach`` are left alone.
    """
    columns = patch + 2 * reach
    line = np.zeros(3 * (columns + _GROUP - 1), np.uint8)
    for y in range(-reach, patch + reach):
        _read_line(pixels, face, top + y, left - reach, columns, 3, line)
        _pack(line, 3 * columns, lanes, (radius + y) * stride + 3 * (radius - reach))


@njit(cache=True)
def fill_layer_window(
    pixels, labels, face, low, high, top, left, patch, radius, reach, stride, lanes, shares
):  # fmt: skip
    """As ``fill_window``, but with pixels black whose label is not from ``low`` to ``high``.

    ``shares`` gets lanes that are 1 where ``lanes`` has a pixel of the class, and 0 elsewhere.
    """
    columns = patch + 2 * reach
    line = np.zeros(3 * (columns + _GROUP - 1), np.uint8)
    share = np.zeros(3 * (columns + _GROUP - 1), np.uint8)
    kinds = np.zeros(columns, np.uint8)
    for y in range(-reach, patch + reach):
        _read_line(pixels, face, top + y, left - reach, columns, 3, line)
        _read_line(labels, face, top + y, left - reach, columns, 1, kinds)
        for x in range(columns):
            member = low <= kinds[x] <= high
            for e in range(3 * x, 3 * x + 3):
                share[e] = np.uint8(member)
                line[e] = line[e] if member else np.uint8(0)
        place = (radius + y) * stride + 3 * (radius - reach)
        _pack(line, 3 * columns, lanes, place)
        _pack(share, 3 * columns, shares, place)


@njit(cache=True)
def _read_line(source, face, y, left, columns, channels, line):
    offset, height, width = face
    row = offset + _mirrored(y, height) * width
    if left >= 0 and left + columns <= width:
        start = (row + left) * channels
        for e in range(columns * channels):
            line[e] = source[np.uint64(start + e)]
        return
    for x in range(columns):
        start = (row + _mirrored(left + x, width)) * channels
        for c in range(channels):
            line[x * channels + c] = source[start + c]


@njit(cache=True)
def _mirrored(coordinate, side):
    """Return where a coordinate lands, mirrored about the outermost pixels as often as needed."""
    if 0 <= coordinate < side:
        return coordinate
    if side == 1:
        return 0
    period = 2 * (side - 1)
    within = coordinate % period
    return min(within, period - within)


@njit(cache=True)
def _pack(line, size, lanes, place):
    """Join each element and the same channel of the next three pixels; ``line`` ends in three black ones."""
    for e in range(size):
        lanes[np.uint64(place + e)] = (
            np.uint32(line[e])
            | np.uint32(line[e + 3]) << np.uint32(16)
            | np.uint32(line[e + 6]) << np.uint32(8)
            | np.uint32(line[e + 9]) << np.uint32(24)
        )


def add_kernel(lanes, start, taps, kernel, sums):
    """Add to ``sums`` int32 [SEGMENT] what one kernel's taps make of the lanes from ``start`` on.

    This is the definition; compiled code takes the same sums in vectors (``_add_groups``).
    """
    for t in range(taps.first[kernel], taps.first[kernel + 1]):
        for j in range(SEGMENT):
            lane = int(lanes[start + taps.offset[t] + j])
            sums[j] += (lane & 0xFF) * (int(taps.near[t]) & 0xFFFF)
            sums[j] += (lane >> 16 & 0xFF) * (int(taps.near[t]) >> 16)
            sums[j] += (lane >> 8 & 0xFF) * (int(taps.far[t]) & 0xFFFF)
            sums[j] += (lane >> 24) * (int(taps.far[t]) >> 16)


@overload(add_kernel)
def _overload_add_kernel(lanes, start, taps, kernel, sums):
    def compiled(lanes, start, taps, kernel, sums):
        first, end = taps.first[kernel], taps.first[kernel + 1]
        _add_groups(  # type: ignore[call-arg]  # numba passes the typing context
            lanes, start, taps.offset, taps.near, taps.far, first, end, sums
        )

    return compiled


@intrinsic
def _add_groups(typing_context, lanes, start, offset, near, far, first, end, sums):
    """Write the loop over taps as LLVM vectors, which numba has no way to say.

    Nothing in it is of one processor: LLVM turns the multiplication of 16-bit pairs and the addition of
    neighbours into its instruction for that, or into several where there is none.
    """
    return types.void(lanes, types.intp, offset, near, far, types.intp, types.intp, sums), _vector_loop


def _vector_loop(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    i64 = ir.IntType(64)
    vector = ir.VectorType(ir.IntType(32), _VECTOR)
    halves = ir.VectorType(ir.IntType(16), 2 * _VECTOR)
    wide = ir.VectorType(ir.IntType(32), 2 * _VECTOR)
    even = ir.Constant(vector, list(range(0, 2 * _VECTOR, 2)))
    odd = ir.Constant(vector, list(range(1, 2 * _VECTOR, 2)))
    even_bytes = ir.Constant(vector, [0x00FF00FF] * _VECTOR)
    eight = ir.Constant(halves, [8] * 2 * _VECTOR)

    def undefined(kind: ir.Type) -> ir.Constant:
        return ir.Constant(kind, ir.Undefined)

    def data(position: int) -> Any:
        kind = signature.args[position]
        return context.make_array(kind)(context, builder, arguments[position]).data

    def vectors(base: Any) -> list[Any]:
        steps = range(0, SEGMENT, _VECTOR)
        return [builder.bitcast(builder.gep(base, [i64(step)]), vector.as_pointer()) for step in steps]

    def factors(weights: Any, group: Any) -> Any:
        pair = builder.load(builder.gep(weights, [group]))
        pair = builder.insert_element(undefined(vector), pair, ir.IntType(32)(0))
        pair = builder.shuffle_vector(pair, undefined(vector), ir.Constant(vector, [0] * _VECTOR))
        return builder.sext(builder.bitcast(pair, halves), wide)

    def multiply_add(total: Any, pixels: Any, weights: Any) -> Any:
        products = builder.mul(builder.zext(pixels, wide), weights)
        firsts = builder.shuffle_vector(products, undefined(wide), even)
        seconds = builder.shuffle_vector(products, undefined(wide), odd)
        return builder.add(total, builder.add(firsts, seconds))

    window = builder.gep(data(0), [arguments[1]])
    offset, near, far = (data(position) for position in (2, 3, 4))
    first, end = arguments[5:7]
    destination = vectors(data(7))
    initial = [builder.load(place, align=4) for place in destination]

    before = builder.block
    head = builder.append_basic_block("groups")
    body = builder.append_basic_block("group")
    after = builder.append_basic_block("groups.end")
    builder.branch(head)

    builder.position_at_end(head)
    group = builder.phi(i64)
    group.add_incoming(first, before)
    totals = [builder.phi(vector) for _ in initial]
    for total, value in zip(totals, initial, strict=True):
        total.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", group, end), body, after)

    builder.position_at_end(body)
    near_weights, far_weights = factors(near, group), factors(far, group)
    source = builder.gep(window, [builder.sext(builder.load(builder.gep(offset, [group])), i64)])
    for total, place in zip(totals, vectors(source), strict=True):
        lane = builder.load(place, align=4)
        near_pixels = builder.bitcast(builder.and_(lane, even_bytes), halves)
        far_pixels = builder.lshr(builder.bitcast(lane, halves), eight)
        summed = multiply_add(multiply_add(total, near_pixels, near_weights), far_pixels, far_weights)
        total.add_incoming(summed, body)
    group.add_incoming(builder.add(group, i64(1)), body)
    builder.branch(head)

    builder.position_at_end(after)
    for total, place in zip(totals, destination, strict=True):
        builder.store(total, place, align=4)
    return context.get_dummy_value()
