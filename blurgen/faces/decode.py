"""Bytes of a picture file -> the RGB a viewer shows; bytes of a label PNG -> label numbers.

What comes in may be broken or hostile, so the size is checked from the header before anything is
decoded, only well-kept raster decoders are allowed, and every failure ends as InputError.

Decisions: the EXIF rotation is applied; a transparent picture is laid over white; of 16-bit samples the
high byte is kept; of an animation or a multi-page file the first picture is taken. Inks (CMYK) become sRGB
by their colour profile where there is one; other profiles are ignored. Floating-point and 32-bit pictures
have no agreed white and are refused. HEIC is read where pillow-heif is installed.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from blurgen.errors import InputError
from blurgen.files.names import printable
from blurgen.labels import LABEL_VALUES

PICTURE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
    ".heic", ".heif",
)  # fmt: skip
"""Files with another suffix are not taken for pictures."""

MAX_PIXELS = 80_000_000
"""Pictures with more pixels are refused before they are decoded."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_EXIF_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258  # of TIFF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def sha256(data: bytes) -> str:
    """Return the digest by which a face is known, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def decode_picture(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return a picture as a viewer shows it, uint8 ``[H, W, 3]`` RGB; InputError names one that is broken."""
    picture = _open(data, name, _formats(data, name))
    with _refusing(name):
        return np.asarray(_upright(_to_rgb(picture, name), picture)).copy()


def open_picture(data: bytes) -> Image.Image:
    """Return a picture file as Pillow opens it, its pixels not decoded, to ask what it says beside them.

    Raises InputError for HEIC that cannot be read here, and whatever Pillow raises for a broken file.
    """
    return Image.open(io.BytesIO(data), formats=_formats(data, "the picture"))


def bits_per_channel(data: bytes) -> int | None:
    """Return how many bits a picture file has for each channel; None where that cannot be told."""
    try:
        with warnings.catch_warnings(), open_picture(data) as picture:
            warnings.simplefilter("ignore")
            if picture.format == "PNG":
                return data[24]
            if picture.format == "TIFF":
                return int(np.max(picture.getexif().get(_BITS_PER_SAMPLE, 1)))
            return 16 if picture.mode.startswith("I") else 8
    except Exception:
        return None  # as with any other thing that a file says beside its pixels


def decode_numbers(data: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the numbers a PNG holds, uint8 ``[H, W]``: its 8-bit grey values or palette indices as stored.

    ``shape`` is that of its picture, whose height and width it has. Raises InputError for another size,
    before anything is decoded, and for any other kind of picture: colours, more bits or lossy compression
    hold no labels.
    """
    picture = _open(data, name, ("PNG",), shape)
    if picture.mode not in ("L", "P"):
        raise InputError(f"{name} is a PNG of mode {picture.mode}; labels are 8-bit grey or palette PNGs.")
    bits, colour_type = data[24], data[25]
    if colour_type == 0 and bits < 8:
        raise InputError(f"{name} is a {bits}-bit grey PNG, whose greys are stretched; save it with 8 bits.")
    numbers = np.asarray(picture).copy()
    if picture.mode == "P":
        _check_palette(picture, numbers, name)
    return numbers


def decode_labels(data: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a label map of our own numbering, uint8 ``[H, W]``; ``shape`` is that of its picture."""
    labels = decode_numbers(data, name, shape)
    check_labels(labels, name, shape)
    return labels


def check_labels(labels: NDArray[np.uint8], name: str, shape: tuple[int, ...]) -> None:
    """Raise InputError unless ``labels`` has the ``shape`` of its picture and holds only labels."""
    check_same_size(labels, name, shape)
    wrong = np.setdiff1d(labels, LABEL_VALUES)
    if wrong.size:
        raise InputError(f"{name} holds the value {wrong[0]}; labels are 0 to 10, and 255 for unknown.")


def check_same_size(labels: NDArray[np.generic], name: str, shape: tuple[int, ...]) -> None:
    """Raise InputError unless a label map has the height and width of its picture, ``shape``."""
    if labels.shape[:2] != shape[:2]:
        raise InputError(f"{name} is {_size(labels.shape)} pixels, its picture {_size(shape)}.")


def check_patch_fits(pixels: NDArray[np.uint8], name: str, patch_size: int) -> None:
    """Raise InputError if the picture is too small to cut a patch of ``patch_size`` pixels from."""
    if min(pixels.shape[:2]) < patch_size:
        raise InputError(
            f"{name} is {_size(pixels.shape)} pixels, too small for patches of {patch_size} x {patch_size}."
        )


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _open(
    data: bytes, name: str, formats: tuple[str, ...], shape: tuple[int, ...] | None = None
) -> Image.Image:
    """Return the decoded picture in its own mode; InputError unless it is as high and wide as ``shape``."""
    if not data:
        raise InputError(f"{name} is empty; copy it again.")
    with _refusing(name):
        picture = Image.open(io.BytesIO(data), formats=formats)
        if picture.width * picture.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if shape is not None and (picture.height, picture.width) != shape[:2]:
            found = _size((picture.height, picture.width))
            raise InputError(f"{name} is {found} pixels, its picture {_size(shape)}.")
        picture.load()
        return picture


def _formats(data: bytes, name: str) -> tuple[str, ...]:
    """Return the names of the decoders that may read a file, those that are an extra only if it is theirs."""
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIF_BRANDS:
        return _FORMATS
    try:
        from pillow_heif import register_heif_opener  # noqa: PLC0415  (an extra)
    except ImportError:
        raise InputError(
            f"{name} is a HEIC picture; to read those: pip install 'blurgen[heic]', or save it as JPEG."
        ) from None
    register_heif_opener()
    return ("HEIF",)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever a decoder stumbles over into InputError, and keep its warnings to ourselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{name} has more than {MAX_PIXELS:,} pixels; make it smaller.") from None
    except Image.UnidentifiedImageError:
        raise InputError(
            f"{name} is not a picture that can be read; take it out or save it as PNG."
        ) from None
    except Exception as error:
        # Decoders fail on broken files with nearly any exception; each means that this file is no use.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} cannot be decoded: {printable(reason).rstrip('.')}.") from None


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        grey = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.mode in ("I", "F"):
        raise InputError(f"{name} is a 32-bit picture, whose white is unknown; save it with 8 or 16 bits.")
    if picture.mode == "CMYK":
        return _by_profile(picture) or picture.convert("RGB")
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        white = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(white, shown).convert("RGB")
    return picture.convert("RGB")


def _by_profile(picture: Image.Image) -> Image.Image | None:
    """Return inks as the colours that their profile says; None where it has none, or a broken one."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (KeyError, ImportError, OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None  # ImportError: a Pillow without colour management


def _upright(picture: Image.Image, source: Image.Image) -> Image.Image:
    try:
        orientation = source.getexif().get(_EXIF_ORIENTATION)
    except Exception:
        orientation = None  # viewers show a picture with broken EXIF data as it is stored
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _check_palette(picture: Image.Image, numbers: NDArray[np.uint8], name: str) -> None:
    """Refuse a grey label map that a PNG optimiser has turned into a palette with indices of its own."""
    palette = np.array(picture.getpalette("RGB") or [], np.int64).reshape(-1, 3)
    used = np.unique(numbers)
    if used.size == 0 or used[-1] >= len(palette):
        raise InputError(f"{name} uses colours its palette does not have; save it as an 8-bit grey PNG.")
    greys = palette[used]
    if np.ptp(greys, axis=1).any() or not np.isin(greys, LABEL_VALUES).all():
        return
    rearranged = np.unique(greys[:, 0]).size == used.size and not np.array_equal(greys[:, 0], used)
    if rearranged:
        raise InputError(
            f"{name} has a palette whose greys and indices disagree; save it as an 8-bit grey PNG."
        )
