"""Exact convolution of 8-bit RGB with Q15 kernels: sparse, and two taps to a multiplication.

Weights sum to 32768 and pixels are at most 255, so every partial sum is an integer below 2^24 and the order
of summation is free (FORMAT.md, section 3). That freedom is spent three times:

- most weights of a camera-shake kernel are zero, and only the others (the taps) are visited, two neighbours
  in a row at a time;
- a *pair* of 16 bits holds an element and the same channel of the next pixel, so that one load serves two
  taps, and every processor multiplies two pairs of 16-bit numbers and adds the products in one instruction;
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
    """The non-zero weights of a bank by twos, kernel after kernel.

    Twos ``first[k]`` to ``first[k + 1]`` belong to kernel ``k``. A two is applied to the pair ``offset``
    places after the one of the top left element of the window: the low half of ``weights`` is the Q15 weight
    of the pair's first pixel, the high half that of its second. ``reach[k]`` is how far from its centre, in
    pixels, the kernel reads.
    """

    first: NDArray[np.int64]  # [K + 1]
    offset: NDArray[np.int32]  # [twos]
    weights: NDArray[np.int32]  # [twos]
    reach: NDArray[np.int64]  # [K]


def window_stride(patch_size: int, max_size: int) -> int:
    """Return the pairs in a row of a window, so that the last segment of a row also reads inside it."""
    segments = -(-_CHANNELS * patch_size // SEGMENT)
    return segments * SEGMENT + _CHANNELS * (max_size - 1)


def pair_taps(weights: NDArray[np.uint16], sizes: NDArray[np.uint8], stride: int) -> Taps:
    """Return the taps of every kernel for windows with ``stride`` pairs a row.

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
    unfit = _count_twos(weights, reach, first)
    if unfit >= 0:
        raise ValueError(f"Kernel {unfit} does not sum to {UNIT} within its size of {sizes[unfit]}.")
    offset, twos = np.zeros(first[-1], np.int32), np.zeros(first[-1], np.int32)
    _write_twos(weights, reach, first, stride, offset, twos)
    return Taps(first, offset, twos, reach)


@njit(cache=True)
def _count_twos(weights, reach, first):
    """Set where each kernel's twos begin; return the first unfit kernel, -1 if all are fit."""
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        total = np.int64(0)
        twos = 0
        for y in range(low, high + 1):
            column = high
            while column >= low:
                weight = np.int64(weights[k, y, column])
                if weight == 0:
                    column -= 1
                    continue
                twos += 2 if weight == UNIT else 1
                total += weight + (np.int64(weights[k, y, column - 1]) if column > low else 0)
                column -= 2
        if total != UNIT or np.sum(weights[k]) != UNIT:
            return k
        first[k + 1] = first[k] + twos
    return -1


@njit(cache=True)
def _write_twos(weights, reach, first, stride, offset, twos):
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        n = first[k]
        # True convolution turns the kernel by half a turn: its last row and column come first in the window.
        for y in range(high, low - 1, -1):
            column = high
            while column >= low:
                weight = np.int32(weights[k, y, column])
                if weight == 0:
                    column -= 1
                    continue
                second = np.int32(weights[k, y, column - 1]) if column > low else np.int32(0)
                offset[n] = (side - 1 - y) * stride + (side - 1 - column) * _CHANNELS
                twos[n] = weight | second << 16
                n += 1
                column -= 2
                if weight == UNIT:
                    # A half is signed and ends at 32767: the kernel that is one point goes in twice.
                    offset[n] = offset[n - 1]
                    twos[n - 1] = twos[n] = UNIT // 2


@njit(cache=True)
def fill_window(pixels, face, top, left, patch, radius, reach, stride, window):
    """Write the pairs of every pixel that a kernel of ``reach`` needs around the patch at ``top``, ``left``.

    ``face`` is (first pixel, height, width); outside of it pixels are mirrored. The first pair of ``window``,
    uint16, belongs to the pixel ``radius`` rows above and columns left of the patch. Pairs farther out than
    ``reach`` are left alone.
    """
    columns = patch + 2 * reach
    line = np.zeros(3 * (columns + 1), np.uint8)
    for y in range(-reach, patch + reach):
        _read_line(pixels, face, top + y, left - reach, columns, 3, line)
        _pair(line, 3 * columns, window, (radius + y) * stride + 3 * (radius - reach))


@njit(cache=True)
def fill_layer_window(
    pixels, labels, face, low, high, top, left, patch, radius, reach, stride, window, shares
):  # fmt: skip
    """As ``fill_window``, but with pixels black whose label is not from ``low`` to ``high``.

    ``shares`` gets pairs that are 1 where ``window`` has a pixel of the class, and 0 elsewhere.
    """
    columns = patch + 2 * reach
    line = np.zeros(3 * (columns + 1), np.uint8)
    share = np.zeros(3 * (columns + 1), np.uint8)
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
        _pair(line, 3 * columns, window, place)
        _pair(share, 3 * columns, shares, place)


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
def _pair(line, size, window, place):
    """Join each element and the same channel of the next pixel; ``line`` ends in a black one."""
    for e in range(size):
        window[np.uint64(place + e)] = np.uint16(line[e]) | np.uint16(line[e + 3]) << np.uint16(8)


def add_kernel(window, start, taps, kernel, sums):
    """Add to ``sums`` int32 [SEGMENT] what one kernel's taps make of the pairs from ``start`` on.

    This is the definition; compiled code takes the same sums in vectors (``_add_twos``).
    """
    for t in range(taps.first[kernel], taps.first[kernel + 1]):
        for j in range(SEGMENT):
            pair = int(window[start + taps.offset[t] + j])
            sums[j] += (pair & 0xFF) * (int(taps.weights[t]) & 0xFFFF)
            sums[j] += (pair >> 8) * (int(taps.weights[t]) >> 16)


@overload(add_kernel)
def _overload_add_kernel(window, start, taps, kernel, sums):
    def compiled(window, start, taps, kernel, sums):
        first, end = taps.first[kernel], taps.first[kernel + 1]
        _add_twos(  # type: ignore[call-arg]  # numba passes the typing context
            window, start, taps.offset, taps.weights, first, end, sums
        )

    return compiled


@intrinsic
def _add_twos(typing_context, window, start, offset, weights, first, end, sums):
    """Write the loop over taps as LLVM vectors, which numba has no way to say.

    Nothing in it is of one processor: LLVM turns the multiplication of 16-bit pairs and the addition of
    neighbours into its instruction for that, or into several where there is none.
    """
    return types.void(window, types.intp, offset, weights, types.intp, types.intp, sums), _vector_loop


def _vector_loop(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    i8, i16, i32, i64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
    vector = ir.VectorType(i32, _VECTOR)
    pairs = ir.VectorType(i8, 2 * _VECTOR)
    halves = ir.VectorType(i16, 2 * _VECTOR)
    wide = ir.VectorType(i32, 2 * _VECTOR)
    even = ir.Constant(vector, list(range(0, 2 * _VECTOR, 2)))
    odd = ir.Constant(vector, list(range(1, 2 * _VECTOR, 2)))
    zeros = ir.Constant(vector, [0] * _VECTOR)

    def undefined(kind: ir.Type) -> ir.Constant:
        return ir.Constant(kind, ir.Undefined)

    def data(position: int) -> Any:
        kind = signature.args[position]
        return context.make_array(kind)(context, builder, arguments[position]).data

    def vectors(base: Any, kind: ir.Type) -> list[Any]:
        steps = range(0, SEGMENT, _VECTOR)
        return [builder.bitcast(builder.gep(base, [i64(step)]), kind.as_pointer()) for step in steps]

    window = builder.gep(data(0), [arguments[1]])
    offset, weights = data(2), data(3)
    first, end = arguments[4:6]
    destination = vectors(data(6), vector)
    initial = [builder.load(place, align=4) for place in destination]

    before = builder.block
    head = builder.append_basic_block("twos")
    body = builder.append_basic_block("two")
    after = builder.append_basic_block("twos.end")
    builder.branch(head)

    builder.position_at_end(head)
    two = builder.phi(i64)
    two.add_incoming(first, before)
    totals = [builder.phi(vector) for _ in initial]
    for total, value in zip(totals, initial, strict=True):
        total.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", two, end), body, after)

    builder.position_at_end(body)
    factor = builder.insert_element(undefined(vector), builder.load(builder.gep(weights, [two])), i32(0))
    factor = builder.shuffle_vector(factor, undefined(vector), zeros)
    factor = builder.sext(builder.bitcast(factor, halves), wide)
    source = builder.gep(window, [builder.sext(builder.load(builder.gep(offset, [two])), i64)])
    for total, place in zip(totals, vectors(source, pairs), strict=True):
        products = builder.mul(builder.zext(builder.load(place, align=2), wide), factor)
        firsts = builder.shuffle_vector(products, undefined(wide), even)
        seconds = builder.shuffle_vector(products, undefined(wide), odd)
        total.add_incoming(builder.add(total, builder.add(firsts, seconds)), body)
    two.add_incoming(builder.add(two, i64(1)), body)
    builder.branch(head)

    builder.position_at_end(after)
    for total, place in zip(totals, destination, strict=True):
        builder.store(total, place, align=4)
    return context.get_dummy_value()
