"""Clean patch, kernel and noise -> blurry patch, and the same with only one class blurred.

The pixels of a triplet as FORMAT.md, section 3, fixes them, to the bit. Class isolation is section IV-A.2a
of the paper: in ``composite`` sets a pixel of the class is the blurry one and any other the sharp one, under
the same noise; in ``layered`` sets the class moves as an object over the rest, which keeps still.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurgen.compiling.njit import njit
from blurgen.errors import check_choice, check_range, check_seed
from blurgen.labels import CLASS_NAMES, CLASS_OF_LABEL, Label
from blurgen.randomness.normal_table import noise_table
from blurgen.randomness.philox import Stream, block_words
from blurgen.synthesis.convolve import (
    SEGMENT,
    UNIT,
    add_kernel,
    fill_layer_window,
    fill_window,
    pair_taps,
    whole_segments,
    window_stride,
)
from blurgen.synthesis.recipe import INDEX_DTYPE, ISOLATIONS

_HALF = 16384
_BLACK, _WHITE = np.int32(0), np.int32(255)
_UNIT = np.int32(UNIT)
_CLASSES: Final = len(CLASS_NAMES)
# The labels of a class are consecutive, and comparing is faster than looking up.
_MEMBERS: Final = [np.flatnonzero(np.equal(CLASS_OF_LABEL, c)) for c in range(_CLASSES)]
FIRST_LABEL: Final = tuple(np.uint8(labels[0]) for labels in _MEMBERS)
LAST_LABEL: Final = tuple(np.uint8(labels[-1]) for labels in _MEMBERS)
_NOISE_STREAM = np.uint32(Stream.NOISE)
_COMPOSITE, _LAYERED = ISOLATIONS
FULL_ONLY, WITH_COMPOSITE, WITH_LAYERED = 0, 1, 2
_LINES = 8  # whose noise is drawn at a time: they begin with a whole block of words, whatever their width


class Triplets(NamedTuple):
    """Samples as made; images are uint8 RGB."""

    clean: NDArray[np.uint8]  # [n, P, P, 3]
    blurry: NDArray[np.uint8]  # [n, P, P, 3]
    mask: NDArray[np.uint8]  # [n, P, P], labels (blurgen.labels.Label)
    isolated: NDArray[np.uint8] | None  # [n, 4, P, P, 3], classes in the order of CLASS_NAMES
    class_pixels: NDArray[np.int32]  # [n, 4], how many mask pixels are of each class


class Degrader:
    """Makes triplets out of faces and kernels.

    ``pixels`` uint8 ``[3 T]`` and ``labels`` uint8 ``[T]`` are all faces one after another, as in
    ``faces.h5``; they may be memory maps. Face ``i`` starts at pixel ``offsets[i]`` and is ``heights[i]`` by
    ``widths[i]`` pixels. ``bank_weights`` uint16 ``[K, M, M]`` and ``bank_sizes`` uint8 ``[K]`` are a kernel
    bank. ``patch_size`` is in pixels, ``noise_sigma`` in units of full scale (0 to 0.2), ``seed`` that of the
    recipe, ``isolation`` "composite" or "layered".

    Raises ValueError if the arrays do not fit together. Calls hold no state, run in one thread each and
    release the interpreter, so that threads may share one Degrader.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        offsets: ArrayLike,
        heights: ArrayLike,
        widths: ArrayLike,
        bank_weights: NDArray[np.uint16],
        bank_sizes: NDArray[np.uint8],
        *,
        patch_size: int,
        noise_sigma: float,
        seed: int,
        isolation: str = "composite",
    ) -> None:
        check_range("patch_size", patch_size, 1)
        check_choice("isolation", isolation, ISOLATIONS)
        check_seed(seed)
        self.patch_size = patch_size
        self.isolation = isolation
        self._seed = np.uint64(seed)
        self._pixels = _flat_bytes("pixels", pixels)
        self._labels = _flat_bytes("labels", labels)
        self._faces = _face_table(offsets, heights, widths, len(self._labels))
        if len(self._pixels) != 3 * len(self._labels):
            raise ValueError(
                f"Argument 'pixels' must have {3 * len(self._labels)} entries, not {len(self._pixels)}."
            )
        # Half a level, added here once, turns the final shift into rounding.
        self._noise = noise_table(noise_sigma) + np.int32(_HALF)
        self._radius = bank_weights.shape[-1] // 2
        self._stride = window_stride(patch_size, bank_weights.shape[-1])
        self._taps = pair_taps(bank_weights, bank_sizes, self._stride)

    @classmethod
    def of_picture(
        cls,
        picture: NDArray[np.uint8],
        bank_weights: NDArray[np.uint16],
        bank_sizes: NDArray[np.uint8],
        **settings: Any,
    ) -> Degrader:
        """Return a Degrader of one picture, uint8 ``[H, W, 3]``, as its only face, whose labels are unknown.

        The other arguments are those of the class.
        """
        height, width = picture.shape[:2]
        labels = np.full(height * width, Label.UNKNOWN, np.uint8)
        pixels = np.ascontiguousarray(picture).reshape(-1)
        return cls(pixels, labels, [0], [height], [width], bank_weights, bank_sizes, **settings)

    def degrade(
        self, index: NDArray[np.void], *, isolated: bool = False, out: Triplets | None = None
    ) -> Triplets:
        """Return the triplets of ``index``, INDEX_DTYPE ``[n]``; if ``isolated``, also the four class sets.

        ``out`` are C-contiguous arrays to write to, of the shapes of ``Triplets``. Raises ValueError for a
        row whose face or kernel does not exist or whose patch leaves its face, and for arrays of another
        shape.
        """
        rows = _checked_rows(index, self._faces, len(self._taps.reach), self.patch_size)
        count, side = len(index), self.patch_size
        shapes = _shapes(count, side, isolated)
        triplets = _empty_triplets(shapes) if out is None else out
        _check_out(triplets, shapes)
        mode, sets = FULL_ONLY, np.empty((0, _CLASSES, side, side, 3), np.uint8)
        if isolated and triplets.isolated is not None:
            mode = WITH_COMPOSITE if self.isolation == _COMPOSITE else WITH_LAYERED
            sets = triplets.isolated
        self._fill(rows, triplets, mode, sets)
        return triplets

    def _fill(self, rows: Rows, triplets: Triplets, mode: int, sets: NDArray[np.uint8]) -> None:
        """Write the pictures of checked rows; ``sets`` ``[n, 4, P, P, 3]`` unless ``mode`` is FULL_ONLY."""
        count, side = len(rows.sample), self.patch_size
        faces = (self._pixels, self._labels, self._faces)
        blur = (self._taps, self._noise, self._seed, self._radius, self._stride)
        clean, blurry = (part.reshape(count, side, 3 * side) for part in (triplets.clean, triplets.blurry))
        isolated = sets.reshape(-1, _CLASSES, side, 3 * side)
        is_composite = mode == WITH_COMPOSITE
        _degrade(
            *faces, rows, *blur, is_composite, clean, blurry, triplets.mask, isolated, triplets.class_pixels
        )
        if mode == WITH_LAYERED:
            _degrade_layers(*faces, rows, *blur, clean, isolated)


def class_pixels(
    labels: NDArray[np.uint8],
    offsets: ArrayLike,
    heights: ArrayLike,
    widths: ArrayLike,
    index: NDArray[np.void],
    patch_size: int,
) -> NDArray[np.int32]:
    """Return how many pixels of each class each patch of ``index`` has, int32 ``[n, 4]``.

    Arguments as for ``Degrader``. Raises ValueError for a row whose patch leaves its face.
    """
    labels = _flat_bytes("labels", labels)
    faces = _face_table(offsets, heights, widths, len(labels))
    rows = _checked_rows(index, faces, 2**32, patch_size)
    counts = np.empty((len(index), _CLASSES), np.int32)
    _count_patches(labels, faces, rows, patch_size, counts)
    return counts


class _Faces(NamedTuple):
    offset: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]


class Rows(NamedTuple):
    sample: NDArray[np.uint64]
    image: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    kernel: NDArray[np.int64]


def _flat_bytes(name: str, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim != 1 or not array.flags.c_contiguous:
        raise ValueError(
            f"Argument '{name}' must be a contiguous uint8 [T], not {array.dtype} {list(array.shape)}."
        )
    # Maps and arrays, writeable or not, become one type, for which numba compiles once.
    plain = array.view(np.ndarray)
    plain.flags.writeable = False
    return plain


def _face_table(offsets: ArrayLike, heights: ArrayLike, widths: ArrayLike, total: int) -> _Faces:
    """Return the table with every face checked to lie within ``total`` pixels."""
    columns = {"offsets": np.asarray(offsets), "heights": np.asarray(heights), "widths": np.asarray(widths)}
    for name, column in columns.items():
        if column.shape != (len(columns["offsets"]),) or column.dtype.kind not in "iu" or not column.size:
            raise ValueError(f"Argument '{name}' must be one whole number per face.")
        # Sides are limited so that no product below overflows.
        least, most = (0, total) if name == "offsets" else (1, min(total, 2**31))
        if ((column < least) | (column > most)).any():
            raise ValueError(f"Argument '{name}' must be from {least} to {most}.")
    offset, height, width = (np.ascontiguousarray(column, np.int64) for column in columns.values())
    outside = np.flatnonzero(height * width > total - offset)
    if outside.size:
        raise ValueError(f"Argument 'offsets': face {outside[0]} ends after the last of {total} pixels.")
    return _Faces(offset, height, width)


def _checked_rows(index: NDArray[np.void], faces: _Faces, kernels: int, patch_size: int) -> Rows:
    """Return the columns of ``index``, with every row checked to read existing pixels and kernels only."""
    if index.dtype != INDEX_DTYPE or index.ndim != 1:
        raise ValueError(f"Argument 'index' must be INDEX_DTYPE [n], not {index.dtype} {list(index.shape)}.")
    image, top, left, kernel = (index[name].astype(np.int64) for name in ("image", "top", "left", "kernel"))
    _check_all(image < len(faces.offset), f"there are {len(faces.offset)} faces")
    _check_all(kernel < kernels, f"there are {kernels} kernels")
    below = (top >= 0) & (top <= faces.height[image] - patch_size)
    beside = (left >= 0) & (left <= faces.width[image] - patch_size)
    _check_all(below & beside, f"its patch of {patch_size} pixels leaves its face")
    return Rows(index["sample"].astype(np.uint64), image, top, left, kernel)


def _check_all(fit: NDArray[np.bool_], why: str) -> None:
    if not fit.all():
        raise ValueError(f"Argument 'index': row {np.argmin(fit)} cannot be made, {why}.")


def _shapes(count: int, side: int, isolated: bool) -> dict[str, tuple[tuple[int, ...], type]]:
    """Return shape and type of each array of ``Triplets``."""
    picture = (count, side, side, 3)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "clean": (picture, np.uint8),
        "blurry": (picture, np.uint8),
        "mask": (picture[:3], np.uint8),
        "class_pixels": ((count, _CLASSES), np.int32),
    }
    return shapes | ({"isolated": ((count, _CLASSES, *picture[1:]), np.uint8)} if isolated else {})


def _empty_triplets(shapes: dict[str, tuple[tuple[int, ...], type]]) -> Triplets:
    made: dict[str, Any] = {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
    return Triplets(**{"isolated": None, **made})


def _check_out(out: Triplets, shapes: dict[str, tuple[tuple[int, ...], type]]) -> None:
    for name, (shape, dtype) in shapes.items():
        array = getattr(out, name)
        fit = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == dtype
        if not (fit and array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(
                f"Argument 'out.{name}' must be a writeable contiguous {np.dtype(dtype)} {list(shape)}."
            )


@njit(cache=True, nogil=True)
def _degrade(
    pixels, labels, faces, rows, taps, noise, seed, radius, stride, is_composite,
    clean, blurry, mask, isolated, counts,
):  # fmt: skip
    """Write all but layers; images have shape [n, P, 3 P] here, an image row being one run of bytes."""
    count, patch, width = clean.shape
    window = np.zeros((patch + 2 * radius) * stride + SEGMENT, np.uint16)
    sharp = np.zeros((patch if is_composite else 0, width), np.uint8)
    for n in range(count):
        i = rows.image[n]
        face = (faces.offset[i], faces.height[i], faces.width[i])
        sample, top, left, kernel = rows.sample[n], rows.top[n], rows.left[n], rows.kernel[n]
        reach = taps.reach[kernel]
        cut(pixels, face, top, left, 3, clean[n])
        cut(labels, face, top, left, 1, mask[n])
        count_classes(mask[n], counts[n])
        fill_window(pixels, face, top, left, patch, radius, reach, stride, window)
        _blur(window, stride, taps, kernel, noise, seed, sample, clean[n], blurry[n], sharp)
        if is_composite:
            _compose(mask[n], blurry[n], sharp, isolated[n])


# By itself: the compiler takes seconds over it, and most datasets have no layers.
@njit(cache=True, nogil=True)
def _degrade_layers(pixels, labels, faces, rows, taps, noise, seed, radius, stride, clean, isolated):
    """Write the classes, each moved over the patch that keeps still; shapes as for ``_degrade``."""
    count, patch, _ = clean.shape
    window = np.zeros((patch + 2 * radius) * stride + SEGMENT, np.uint16)
    shares = np.zeros(window.size, np.uint16)
    for n in range(count):
        i = rows.image[n]
        face = (faces.offset[i], faces.height[i], faces.width[i])
        sample, top, left, kernel = rows.sample[n], rows.top[n], rows.left[n], rows.kernel[n]
        reach = taps.reach[kernel]
        for c in range(_CLASSES):
            low, high = FIRST_LABEL[c], LAST_LABEL[c]
            fill_layer_window(
                pixels, labels, face, low, high, top, left, patch, radius, reach, stride, window, shares
            )
            out = isolated[n, c]
            _blur_layer(window, shares, stride, taps, kernel, noise, seed, sample, clean[n], out)


@njit(cache=True)
def cut(source, face, top, left, channels, out):
    """Copy a patch of a face, ``out`` uint8 [P, channels * P]."""
    offset, _, width = face
    for y in range(out.shape[0]):
        start = (offset + (top + y) * width + left) * channels
        for x in range(out.shape[1]):
            out[y, x] = source[np.uint64(start + x)]


@njit(cache=True)
def _blur(window, stride, taps, kernel, noise, seed, sample, clean, blurry, sharp):
    """Write ``blurry`` and, unless it has no rows, ``sharp``: the clean patch under the same noise."""
    patch, width = blurry.shape
    places, sums, ahead = _begin_noise(seed, sample, width, noise)
    for y in range(patch):
        following = _draw_line(seed, sample, y + 1, width, places)
        if sharp.shape[0]:
            for j in range(width):
                sharp[y, j] = _level(sums[j] + np.int32(clean[y, j]) * _UNIT)
        add_kernel(window, y * stride, taps, kernel, sums, noise, places, following, ahead)
        for j in range(width):
            blurry[y, j] = _level(sums[j])
        sums, ahead = ahead, sums


@njit(cache=True)
def _blur_layer(window, shares, stride, taps, kernel, noise, seed, sample, clean, out):
    """Write one class, alone in ``window``, moved over the clean patch; ``shares`` is its coverage."""
    patch, width = out.shape
    places, sums, ahead = _begin_noise(seed, sample, width, noise)
    share = np.zeros(sums.size, np.int32)
    nothing = share[:0]
    for y in range(patch):
        following = _draw_line(seed, sample, y + 1, width, places)
        share[:] = 0
        add_kernel(window, y * stride, taps, kernel, sums, noise, places, following, ahead)
        add_kernel(shares, y * stride, taps, kernel, share, noise, places, following, nothing)
        for j in range(width):
            out[y, j] = _level(sums[j] + (_UNIT - share[j]) * np.int32(clean[y, j]))
        sums, ahead = ahead, sums


@njit(cache=True)
def _begin_noise(seed, sample, width, noise):
    """Return room for the random halves of some lines, the noise of the first line, and room for another."""
    segments = whole_segments(width)
    # The last line is read in whole segments, and sixteen blocks at a time are drawn in vectors.
    words = ((_LINES - 1) * width + segments) // 2
    places = np.zeros((words + 63) // 64 * 64, np.uint32).view(np.uint16)
    sums = np.empty(segments, np.int32)
    _draw_line(seed, sample, 0, width, places)
    # An unsigned index: numba tests a signed one for being negative, which takes time.
    for j in range(segments):
        sums[j] = noise[places[np.uint64(j)]]
    return places, sums, np.empty(segments, np.int32)


@njit(cache=True)
def _draw_line(seed, sample, y, width, places):
    """Return where in ``places`` the random halves of line ``y`` are; every eighth line draws for eight."""
    if y % _LINES == 0:
        draw_words(seed, sample, y // _LINES * width, places.view(np.uint32))
    return y % _LINES * width


@njit(cache=True)
def draw_words(seed, sample, first_block, words):
    """Fill ``words`` uint32 [4 n] from stream NOISE of a sample, from ``first_block`` on."""
    for block in range(words.size // 4):
        drawn = block_words(seed, _NOISE_STREAM, sample, np.uint32(first_block + block))
        words[4 * block] = drawn[0]
        words[4 * block + 1] = drawn[1]
        words[4 * block + 2] = drawn[2]
        words[4 * block + 3] = drawn[3]


@njit(cache=True)
def _level(total):
    level = np.int32(np.int32(total) >> np.int32(15))
    return np.uint8(min(max(level, _BLACK), _WHITE))


@njit(cache=True)
def _compose(mask, inside, outside, out):
    """Write one picture per class: the pixels of the class from ``inside``, all others from ``outside``."""
    patch, width = inside.shape
    labels = np.empty(width, np.uint8)
    for y in range(patch):
        for x in range(patch):
            labels[3 * x] = mask[y, x]
            labels[3 * x + 1] = mask[y, x]
            labels[3 * x + 2] = mask[y, x]
        for c in range(_CLASSES):
            low, high = FIRST_LABEL[c], LAST_LABEL[c]
            for e in range(width):
                # Without short-circuit: both pictures are read anyway, and the loop becomes vectors.
                here, there = inside[y, e], outside[y, e]
                out[c, y, e] = here if (labels[e] >= low) & (labels[e] <= high) else there


@njit(cache=True)
def count_classes(mask, counts):
    """Count the pixels of each class in a mask [P, P] of labels, ``counts`` int32 [4]."""
    counts[:] = 0
    for y in range(mask.shape[0]):
        for start in range(0, mask.shape[1], SEGMENT):
            size = min(SEGMENT, mask.shape[1] - start)
            for c in range(_CLASSES):
                low, high = FIRST_LABEL[c], LAST_LABEL[c]
                # Bytes hold the count of a segment, and vectors hold more bytes than words.
                found = np.uint8(0)
                for x in range(size):
                    label = mask[y, np.uint64(start + x)]
                    found = np.uint8(found + np.uint8((label >= low) & (label <= high)))
                counts[c] += found


@njit(cache=True, nogil=True)
def _count_patches(labels, faces, rows, patch, counts):
    mask = np.empty((patch, patch), np.uint8)
    for n in range(len(counts)):
        i = rows.image[n]
        face = (faces.offset[i], faces.height[i], faces.width[i])
        cut(labels, face, rows.top[n], rows.left[n], 1, mask)
        count_classes(mask, counts[n])
