"""Exact convolution of 8-bit RGB with Q15 kernels: sparse, and two taps to a multiplication.

Weights sum to 32768 and pixels are at most 255, so every partial sum is an integer below 2^24 and the order
of summation is free (FORMAT.md, section 3). That freedom is spent three times:

- most weights of a camera-shake kernel are zero, and only the others (the taps) are visited;
- two horizontally adjacent pixels travel as the 16-bit halves of one 32-bit *lane*, because every
  processor multiplies two pairs of 16-bit numbers and adds the products in one instruction;
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


class Taps(NamedTuple):
    """The non-zero weights of a bank, in pairs, kernel after kernel.

    Pairs ``first[k]`` to ``first[k + 1]`` belong to kernel ``k``. A pair is applied to the lane ``offset``
    lanes after the lane of the top left element of the window; its two Q15 weights are the low and the
    high half of ``weights``. ``reach[k]`` is the farthest a tap of the kernel is from the centre, in pixels.
    """

    first: NDArray[np.int64]  # [K + 1]
    offset: NDArray[np.int32]  # [pairs]
    weights: NDArray[np.int32]  # [pairs]
    reach: NDArray[np.int64]  # [K]


def lane_stride(patch_size: int, max_size: int) -> int:
    """Return the lanes in a row of a window, so that the last segment of a row also reads inside it."""
    segments = -(-_CHANNELS * patch_size // SEGMENT)
    return segments * SEGMENT + _CHANNELS * (max_size - 1)


def pair_taps(weights: NDArray[np.uint16], sizes: NDArray[np.uint8], stride: int) -> Taps:
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
    unfit = _count_pairs(weights, reach, first)
    if unfit >= 0:
        raise ValueError(f"Kernel {unfit} does not sum to {UNIT} within its size of {sizes[unfit]}.")
    offset = np.empty(first[-1], np.int32)
    pairs = np.empty(first[-1], np.int32)
    _write_pairs(weights, reach, first, stride, offset, pairs)
    return Taps(first, offset, pairs, reach)


@njit(cache=True)
def _count_pairs(weights, reach, first):
    """Set where each kernel's pairs begin; return the first unfit kernel, -1 if all are fit."""
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        total = np.int64(0)
        pairs = 0
        for row in range(low, high + 1):
            column = high
            while column >= low:
                weight = np.int64(weights[k, row, column])
                if weight == 0:
                    column -= 1
                    continue
                pairs += 2 if weight == UNIT else 1
                total += weight
                if column > low:
                    total += np.int64(weights[k, row, column - 1])
                column -= 2
        if total != UNIT or np.sum(weights[k]) != UNIT:
            return k
        first[k + 1] = first[k] + pairs
    return -1


@njit(cache=True)
def _write_pairs(weights, reach, first, stride, offset, pairs):
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        n = first[k]
        # True convolution turns the kernel by half a turn: its last row and column come first in the window.
        for row in range(high, low - 1, -1):
            column = high
            while column >= low:
                left = np.int64(weights[k, row, column])
                if left == 0:
                    column -= 1
                    continue
                right = np.int64(weights[k, row, column - 1]) if column > low else np.int64(0)
                place = (side - 1 - row) * stride + (side - 1 - column) * _CHANNELS
                if left == UNIT:
                    # Half a lane is signed and ends at 32767: the kernel that is one point goes in twice.
                    left //= 2
                    offset[n], pairs[n] = place, left
                    n += 1
                offset[n], pairs[n] = place, left | right << 16
                n += 1
                column -= 2


@njit(cache=True)
def fill_window(pixels, face, top, left, patch, radius, reach, stride, lanes):
    """Write the lanes of every pixel that a kernel of ``reach`` needs around the patch at ``top``, ``left``.

    ``face`` is (first pixel, height, width); outside of it pixels are mirrored. Lane 0 belongs to the pixel
    ``radius`` rows above and columns left of the patch. Lanes farther out than ``reach`` are left alone.
    """
    columns = patch + 2 * reach
    line = np.zeros(3 * columns + 3, np.uint8)
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
    line = np.zeros(3 * columns + 3, np.uint8)
    share = np.zeros(3 * columns + 3, np.uint8)
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
    """Join each element and the same channel of the next pixel; ``line`` has one zero pixel at its end."""
    for e in range(size):
        lanes[np.uint64(place + e)] = np.int32(line[e]) | np.int32(line[e + 3]) << np.int32(16)


def add_taps(lanes, start, offset, weights, first, end, sums):
    """Add pairs ``first`` to ``end`` of the taps, applied at lane ``start``, to ``sums`` int32 [SEGMENT].

    This is the definition; compiled code takes the same sums in vectors (``_add_taps``).
    """
    for t in range(first, end):
        left, right = int(weights[t]) & 0xFFFF, int(weights[t]) >> 16
        for j in range(SEGMENT):
            lane = int(lanes[start + offset[t] + j])
            sums[j] += (lane & 0xFFFF) * left + (lane >> 16) * right


@overload(add_taps, inline="always")
def _overload_add_taps(lanes, start, offset, weights, first, end, sums):
    def compiled(lanes, start, offset, weights, first, end, sums):
        _add_taps(  # type: ignore[call-arg]  # numba passes the typing context
            lanes, np.int64(start), offset, weights, np.int64(first), np.int64(end), sums
        )

    return compiled


@intrinsic
def _add_taps(typing_context, lanes, start, offset, weights, first, end, sums):
    """Write the loop over taps as LLVM vectors, which numba has no way to say.

    Nothing in it is of one processor: LLVM turns the multiplication of 16-bit pairs and the addition of
    neighbours into its instruction for that, or into several where there is none.
    """
    signature = types.void(lanes, types.int64, offset, weights, types.int64, types.int64, sums)
    return signature, _vector_loop


def _vector_loop(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    i32, i64 = ir.IntType(32), ir.IntType(64)
    vector = ir.VectorType(i32, _VECTOR)
    halves = ir.VectorType(ir.IntType(16), 2 * _VECTOR)
    wide = ir.VectorType(i32, 2 * _VECTOR)
    even = ir.Constant(vector, list(range(0, 2 * _VECTOR, 2)))
    odd = ir.Constant(vector, list(range(1, 2 * _VECTOR, 2)))
    zeros = ir.Constant(vector, [0] * _VECTOR)
    unused, unused_wide = ir.Constant(vector, ir.Undefined), ir.Constant(wide, ir.Undefined)

    def pointer(position: int) -> Any:
        kind = signature.args[position]
        return context.make_array(kind)(context, builder, arguments[position]).data

    def places(base: Any, kind: ir.Type) -> list[Any]:
        steps = range(0, SEGMENT, _VECTOR)
        return [builder.bitcast(builder.gep(base, [i64(step)]), kind.as_pointer()) for step in steps]

    lanes, offset, weights = pointer(0), pointer(2), pointer(3)
    first, end = arguments[4], arguments[5]
    window = builder.gep(lanes, [arguments[1]])
    destination = places(pointer(6), vector)
    initial = [builder.load(place, align=4) for place in destination]

    before = builder.block
    head = builder.append_basic_block("taps")
    body = builder.append_basic_block("tap")
    after = builder.append_basic_block("taps.end")
    builder.branch(head)

    builder.position_at_end(head)
    tap = builder.phi(i64)
    tap.add_incoming(first, before)
    sums = [builder.phi(vector) for _ in initial]
    for total, value in zip(sums, initial, strict=True):
        total.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", tap, end), body, after)

    builder.position_at_end(body)
    pair = builder.insert_element(unused, builder.load(builder.gep(weights, [tap])), i32(0))
    pair = builder.shuffle_vector(pair, unused, zeros)
    factors = builder.sext(builder.bitcast(pair, halves), wide)
    source = builder.gep(window, [builder.sext(builder.load(builder.gep(offset, [tap])), i64)])
    for total, place in zip(sums, places(source, halves), strict=True):
        product = builder.mul(builder.sext(builder.load(place, align=4), wide), factors)
        lows = builder.shuffle_vector(product, unused_wide, even)
        highs = builder.shuffle_vector(product, unused_wide, odd)
        total.add_incoming(builder.add(total, builder.add(lows, highs)), body)
    tap.add_incoming(builder.add(tap, i64(1)), body)
    builder.branch(head)

    builder.position_at_end(after)
    for total, place in zip(sums, destination, strict=True):
        builder.store(total, place, align=4)
    return context.get_dummy_value()
