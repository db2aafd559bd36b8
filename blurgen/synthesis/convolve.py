"""Exact convolution of 8-bit RGB with Q15 kernels: sparse, and two taps to a multiplication.

Weights sum to 32768 and pixels are at most 255, so every partial sum is an integer below 2^24 and the order
of summation is free (FORMAT.md, section 3). That freedom is spent three times:

- most weights of a camera-shake kernel are zero, and only the others (the taps) are visited, two neighbours
  in a row at a time;
- a *pair* of 16 bits holds an element and the same channel of the next pixel, so that one load serves two
  taps, and every processor multiplies two pairs of 16-bit numbers and adds the products in one instruction;
- the sums of a segment of 128 elements stay in registers while all taps go by. Multiplying leaves the load
  units half idle, and in the gaps something else is looked up: the noise of the next line.
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

UNIT: Final = 32768
"""What the weights of a kernel sum to."""

SEGMENT: Final = 128
"""Elements (a pixel has three) whose sums are made together."""

_VECTOR = 16
_CHANNELS = 3
_AT_ONCE = 4  # look-ups beside one tap pair


class Taps(NamedTuple):
    """The non-zero weights of a bank in tap pairs, kernel after kernel.

    A tap pair is two neighbouring weights of a kernel row. Tap pairs ``first[k]`` to ``first[k + 1]`` belong
    to kernel ``k``. A tap pair is applied to the pixel pair ``offset`` places after that of the top left
    element of the window: the low half of ``weights`` is the Q15 weight of the pair's first pixel, the high
    half that of its second. ``reach[k]`` is how far from its centre, in
    pixels, the kernel reads.
    """

    first: NDArray[np.int64]  # [K + 1]
    offset: NDArray[np.int32]  # [tap_pairs]
    weights: NDArray[np.int32]  # [tap_pairs]
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
    unfit = _count_tap_pairs(weights, reach, first)
    if unfit >= 0:
        raise ValueError(f"Kernel {unfit} does not sum to {UNIT} within its size of {sizes[unfit]}.")
    offset, tap_pairs = np.zeros(first[-1], np.int32), np.zeros(first[-1], np.int32)
    _write_tap_pairs(weights, reach, first, stride, offset, tap_pairs)
    return Taps(first, offset, tap_pairs, reach)


@njit(cache=True)
def _count_tap_pairs(weights, reach, first):
    """Set where each kernel's tap pairs begin; return the first unfit kernel, -1 if all are fit."""
    side = weights.shape[1]
    for k in range(weights.shape[0]):
        low, high = side // 2 - reach[k], side // 2 + reach[k]
        total = np.int64(0)
        tap_pairs = 0
        for y in range(low, high + 1):
            column = high
            while column >= low:
                weight = np.int64(weights[k, y, column])
                if weight == 0:
                    column -= 1
                    continue
                tap_pairs += 2 if weight == UNIT else 1
                total += weight + (np.int64(weights[k, y, column - 1]) if column > low else 0)
                column -= 2
        if total != UNIT or np.sum(weights[k]) != UNIT:
            return k
        first[k + 1] = first[k] + tap_pairs
    return -1


@njit(cache=True)
def _write_tap_pairs(weights, reach, first, stride, offset, tap_pairs):
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
                tap_pairs[n] = weight | second << 16
                n += 1
                column -= 2
                if weight == UNIT:
                    # A half is signed and ends at 32767: the kernel that is one point goes in twice.
                    offset[n] = offset[n - 1]
                    tap_pairs[n - 1] = tap_pairs[n] = UNIT // 2


@njit(cache=True)
def fill_window(pixels, face, top, left, patch, radius, reach, stride, window):
    """Write the pairs of every pixel that a kernel of ``reach`` needs around the patch at ``top``, ``left``.

    ``face`` is (first pixel, height, width); outside of it pixels are mirrored. The first pair of ``window``,
    uint16, belongs to the pixel ``radius`` rows above and columns left of the patch, and behind its last row
    there is room for a segment: rows are written in whole segments, each over what the one before it left.
    Pairs farther out than ``reach`` may hold anything.
    """
    offset, height, width = face
    columns = patch + 2 * reach
    size = whole_segments(3 * columns)
    line = np.zeros(size + 3, np.uint8)
    inside = left >= reach and left + patch + reach <= width
    for y in range(-reach, patch + reach):
        place = (radius + y) * stride + 3 * (radius - reach)
        start = 3 * (offset + mirrored(top + y, height) * width + left - reach)
        if inside and start + size + 3 <= pixels.size:
            _pair(pixels, start, size, window, place)
        else:
            read_line(pixels, face, top + y, left - reach, columns, 3, line)
            _pair(line, 0, size, window, place)


@njit(cache=True)
def fill_layer_window(
    pixels, labels, face, low, high, top, left, patch, radius, reach, stride, window, shares
):  # fmt: skip
    """As ``fill_window``, but with pixels black whose label is not from ``low`` to ``high``.

    ``shares`` gets pairs that are 1 where ``window`` has a pixel of the class, and 0 elsewhere.
    """
    columns = patch + 2 * reach
    size = whole_segments(3 * columns)
    line = np.zeros(size + 3, np.uint8)
    share = np.zeros(size + 3, np.uint8)
    kinds = np.zeros(columns, np.uint8)
    for y in range(-reach, patch + reach):
        read_line(pixels, face, top + y, left - reach, columns, 3, line)
        read_line(labels, face, top + y, left - reach, columns, 1, kinds)
        for x in range(columns):
            member = low <= kinds[x] <= high
            for e in range(3 * x, 3 * x + 3):
                share[e] = np.uint8(member)
                line[e] = line[e] if member else np.uint8(0)
        place = (radius + y) * stride + 3 * (radius - reach)
        _pair(line, 0, size, window, place)
        _pair(share, 0, size, shares, place)


@njit(cache=True)
def whole_segments(elements):
    """Return how many elements the segments have that hold so many."""
    return (elements + SEGMENT - 1) // SEGMENT * SEGMENT


@njit(cache=True)
def read_line(source, face, y, left, columns, channels, line):
    """Copy ``columns`` pixels of row ``y`` of a face from column ``left`` on, mirrored outside of it."""
    offset, height, width = face
    row = offset + mirrored(y, height) * width
    if left >= 0 and left + columns <= width:
        start = (row + left) * channels
        for e in range(columns * channels):
            line[e] = source[np.uint64(start + e)]
        return
    for x in range(columns):
        start = (row + mirrored(left + x, width)) * channels
        for c in range(channels):
            line[x * channels + c] = source[start + c]


@njit(cache=True)
def mirrored(coordinate, side):
    """Return where a coordinate lands, mirrored about the outermost pixels as often as needed."""
    if 0 <= coordinate < side:
        return coordinate
    if side == 1:
        return 0
    period = 2 * (side - 1)
    within = coordinate % period
    return min(within, period - within)


@njit(cache=True)
def _pair(source, start, size, window, place):
    """Join each element from ``start`` on and the same channel of the next pixel, in whole segments.

    The last pixel's partner may be anything: a kernel that reaches so far gives it no weight.
    """
    for first in range(0, size, SEGMENT):
        for e in range(first, first + SEGMENT):  # a fixed number, so that no element is left over
            element, partner = source[np.uint64(start + e)], source[np.uint64(start + e + 3)]
            window[np.uint64(place + e)] = np.uint16(element) | np.uint16(partner) << np.uint16(8)


def add_kernel(window, start, taps, kernel, sums, table, places, first, found):
    """Add to a line's ``sums``, int32, what one kernel's taps make of the pairs from ``start`` on.

    Beside that, set ``found``, int32, to the values of ``table`` int32 [65536] at the ``places``, uint16,
    from ``first`` on. ``sums`` are whole segments, and ``found`` as many elements or none. This is the
    definition; compiled code does it in vectors, a segment after the other (``_add_tap_pairs``).
    """
    for t in range(taps.first[kernel], taps.first[kernel + 1]):
        for j in range(len(sums)):
            pair = int(window[start + taps.offset[t] + j])
            sums[j] += (pair & 0xFF) * (int(taps.weights[t]) & 0xFFFF)
            sums[j] += (pair >> 8) * (int(taps.weights[t]) >> 16)
    for j in range(len(found)):
        found[j] = table[places[first + j]]


@overload(add_kernel, inline="always")
def _overload_add_kernel(window, start, taps, kernel, sums, table, places, first, found):
    # Inline and without slices: a call with so many arrays, or a slice, takes as long as a tap pair.
    def compiled(window, start, taps, kernel, sums, table, places, first, found):
        tap_pair, end = taps.first[kernel], taps.first[kernel + 1]
        look_ups = min(found.size, SEGMENT)
        beside = min(end, tap_pair + look_ups // _AT_ONCE)
        for at in range(0, sums.size, SEGMENT):
            _add_tap_pairs(  # type: ignore[call-arg]  # numba passes the typing context
                (window, start + at), taps.offset, taps.weights, (tap_pair, beside, end), (sums, at),
                table, (places, first + at), (found, at), look_ups,
            )  # fmt: skip

    return compiled


@intrinsic
def _add_tap_pairs(typing_context, window, offset, weights, tap_pairs, sums, table, places, found, look_ups):
    """Write the loops over tap pairs as LLVM vectors, which numba has no way to say.

    Look-ups go along with the tap pairs up to the middle one of ``tap_pairs``; where there are too few of
    these, the rest comes last. Nothing here is for one processor alone: LLVM turns the multiplication of
    16-bit pairs and the addition of neighbours into its instruction for that, or into several.
    """
    return types.void(window, offset, weights, tap_pairs, sums, table, places, found, look_ups), _write_loops


def _write_loops(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    def data(position: int) -> Any:
        """Return where an argument's elements begin: an array, or an array and a place in it."""
        kind, value = signature.args[position], arguments[position]
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, builder, value).data
        array = context.make_array(kind[0])(context, builder, builder.extract_value(value, 0))
        return builder.gep(array.data, [builder.extract_value(value, 1)])

    window, offset, weights, sums, table, places, found = map(data, (0, 1, 2, 4, 5, 6, 7))
    first, beside, end = cgutils.unpack_tuple(builder, arguments[3])
    one, at_once = ir.Constant(first.type, 1), ir.Constant(first.type, _AT_ONCE)

    destination = _vectors(builder, sums, _SUMS)
    totals = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in destination]
    with cgutils.for_range_slice(builder, first, beside, one) as (tap_pair, count):
        _look_up(builder, table, places, found, builder.mul(count, at_once))
        _add_tap_pair(builder, window, offset, weights, tap_pair, totals)
    with cgutils.for_range_slice(builder, beside, end, one) as (tap_pair, _):
        _add_tap_pair(builder, window, offset, weights, tap_pair, totals)
    looked_up = builder.mul(builder.sub(beside, first), at_once)
    with cgutils.for_range_slice(builder, looked_up, arguments[8], at_once) as (place, _):
        _look_up(builder, table, places, found, place)
    for total, place in zip(totals, destination, strict=True):
        builder.store(builder.load(total), place, align=4)
    return context.get_dummy_value()


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_SUMS = ir.VectorType(_I32, _VECTOR)
_BYTES, _HALVES, _PRODUCTS = (ir.VectorType(ir.IntType(bits), 2 * _VECTOR) for bits in (8, 16, 32))


def _vectors(builder: ir.IRBuilder, base: Any, kind: ir.Type) -> list[Any]:
    """Return pointers to the vectors of a segment."""
    steps = range(0, SEGMENT, _VECTOR)
    return [builder.bitcast(builder.gep(base, [_I64(step)]), kind.as_pointer()) for step in steps]


def _add_tap_pair(
    builder: ir.IRBuilder, window: Any, offset: Any, weights: Any, tap_pair: Any, totals: Any
) -> None:
    """Add a tap pair's products to the sums of a segment."""
    undefined = ir.Constant(_SUMS, ir.Undefined), ir.Constant(_PRODUCTS, ir.Undefined)
    even, odd = (ir.Constant(_SUMS, list(range(start, 2 * _VECTOR, 2))) for start in (0, 1))
    factor = builder.insert_element(undefined[0], builder.load(builder.gep(weights, [tap_pair])), _I32(0))
    factor = builder.shuffle_vector(factor, undefined[0], ir.Constant(_SUMS, [0] * _VECTOR))
    factor = builder.sext(builder.bitcast(factor, _HALVES), _PRODUCTS)
    source = builder.gep(window, [builder.sext(builder.load(builder.gep(offset, [tap_pair])), _I64)])
    for total, place in zip(totals, _vectors(builder, source, _BYTES), strict=True):
        products = builder.mul(builder.zext(builder.load(place, align=2), _PRODUCTS), factor)
        firsts = builder.shuffle_vector(products, undefined[1], even)
        seconds = builder.shuffle_vector(products, undefined[1], odd)
        builder.store(builder.add(builder.load(total), builder.add(firsts, seconds)), total)


def _look_up(builder: ir.IRBuilder, table: Any, places: Any, found: Any, at: Any) -> None:
    """Look up four places, which one load brings."""
    four = builder.load(builder.bitcast(builder.gep(places, [at]), _I64.as_pointer()), align=2)
    for n in range(_AT_ONCE):
        place = builder.and_(builder.lshr(four, _I64(16 * n)), _I64(0xFFFF))
        value = builder.load(builder.gep(table, [place]))
        builder.store(value, builder.gep(found, [builder.add(at, at.type(n))]))
