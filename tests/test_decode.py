"""Pictures come out as a viewer shows them, or are refused by name."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blurgen.errors import InputError
from blurgen.faces import decode
from blurgen.faces.decode import bits_per_channel, decode_labels, decode_numbers, decode_picture

COLOURS = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_plain_colours_come_out_as_they_went_in(kind):
    assert np.array_equal(decode_picture(encoded(Image.fromarray(COLOURS), kind), "a"), COLOURS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_colours_come_out_nearly_as_they_went_in(kind):
    flat = np.full((16, 16, 3), (200, 90, 40), np.uint8)
    decoded = decode_picture(encoded(Image.fromarray(flat), kind, quality=95), "a")
    assert np.abs(decoded.astype(int) - flat).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(COLOURS), kind, exif=exif.tobytes() if kind == "PNG" else exif)
        assert np.array_equal(decode_picture(data, "a"), upright[orientation](COLOURS)), kind


def test_broken_exif_data_is_no_reason_to_refuse_a_picture():
    data = encoded(Image.fromarray(COLOURS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(decode_picture(data, "a"), COLOURS)


def test_grey_and_bilevel_become_three_equal_channels():
    grey = COLOURS[..., 0]
    assert np.array_equal(decode_picture(encoded(Image.fromarray(grey)), "a"), np.dstack([grey] * 3))
    bits = Image.fromarray(grey).convert("1")
    assert set(np.unique(decode_picture(encoded(bits), "a"))) <= {0, 255}


def test_palette_pictures_show_their_colours():
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    for kind in ("PNG", "GIF"):
        decoded = decode_picture(encoded(picture, kind), "a")
        assert decoded[0].tolist() == [[10, 20, 30], [200, 100, 50]]


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    expected = np.dstack([np.array([[0, 0, 1, 128, 255]], np.uint8)] * 3)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(decode_picture(encoded(Image.fromarray(values), kind), "a"), expected)
    samples = values.astype(">u2").tobytes()
    assert np.array_equal(decode_picture(b"P5\n5 1\n65535\n" + samples, "a"), expected)
    colour = png(2, 1, 16, 2, b"\0" + np.array([0, 256, 65535, 32768, 255, 4095], ">u2").tobytes())
    assert decode_picture(colour, "a").tolist() == [[[0, 1, 255], [128, 0, 15]]]


def test_transparent_pictures_lie_on_white():
    rgba = np.array([[[255, 0, 0, 255], [9, 9, 9, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]]
    assert decode_picture(encoded(Image.fromarray(rgba)), "a").tolist() == expected
    keyed = encoded(Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)), transparency=(1, 2, 3))
    assert decode_picture(keyed, "a").tolist() == [[[255, 255, 255], [4, 5, 6]]]
    grey = encoded(Image.fromarray(np.array([[[40, 255], [40, 0]]], np.uint8), "LA"))
    assert decode_picture(grey, "a").tolist() == [[[40] * 3, [255] * 3]]


def test_cmyk_becomes_rgb():
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 1:3] = 255  # full magenta and yellow: red
    data = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    decoded = decode_picture(data, "a").astype(int)
    assert decoded[..., 0].min() > 250 and decoded[..., 1:].max() < 6


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_picture_of_an_animation_is_taken(kind):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    assert (decode_picture(data, "a") == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "photo.jpg is empty"),
        (b"hello, world" * 50, "photo.jpg is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "photo.jpg is not a picture"),
        (
            encoded(Image.fromarray(np.tile(COLOURS, (40, 40, 1))), "JPEG")[:1500],
            "photo.jpg cannot be decoded",
        ),
        (encoded(Image.fromarray(COLOURS))[:100], "photo.jpg cannot be decoded"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "photo.jpg is a 32-bit picture"),
        (encoded(Image.new("I", (4, 4)), "TIFF"), "photo.jpg is a 32-bit picture"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(data, reason):
    with pytest.raises(InputError, match=reason) as caught:
        decode_picture(data, "photo.jpg")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [9_001, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    with pytest.raises(InputError, match=r"bomb\.png (has more than|cannot be decoded)"):
        decode_picture(png(side, side, 8, 2, b""), "bomb.png")


def test_the_limit_on_pixels_is_exact(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 35)
    assert decode_picture(encoded(Image.fromarray(COLOURS)), "a").shape == (5, 7, 3)
    with pytest.raises(InputError, match="more than 35 pixels"):
        decode_picture(encoded(Image.new("RGB", (6, 6))), "a")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_ends_in_a_picture_or_in_one_clear_line(kind, changes):
    data = bytearray(encoded(Image.fromarray(np.tile(COLOURS, (3, 3, 1))), kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        picture = decode_picture(bytes(data), "damaged")
    except InputError as error:
        assert str(error).startswith("damaged ") and "\n" not in str(error)
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def label_map() -> np.ndarray:
    return np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 255]], np.uint8)


def test_labels_are_the_stored_numbers_grey_or_palette():
    assert np.array_equal(decode_labels(encoded(Image.fromarray(label_map())), "m", (3, 4, 3)), label_map())
    painted = Image.fromarray(label_map(), "P")
    painted.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    assert np.array_equal(decode_labels(encoded(painted), "m", (3, 4, 3)), label_map())


def test_labels_of_another_size_or_value_are_refused_by_name():
    with pytest.raises(InputError, match=r"m\.png is 4 x 3 pixels, its picture 4 x 4"):
        decode_labels(encoded(Image.fromarray(label_map())), "m.png", (4, 4, 3))
    with pytest.raises(InputError, match=r"m\.png holds the value 11; labels are 0 to 10"):
        decode_labels(encoded(Image.fromarray(np.full((3, 4), 11, np.uint8))), "m.png", (3, 4))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(Image.fromarray(COLOURS[:3, :4])), "is a PNG of mode RGB"),
        (encoded(Image.fromarray(np.zeros((3, 4), np.uint16))), "is a PNG of mode I"),
        (encoded(Image.fromarray(label_map()), "JPEG"), "is not a picture"),
        (png(2, 1, 4, 0, b"\0\x12"), "is a 4-bit grey PNG"),
        (b"", "is empty"),
    ],
)
def test_only_8_bit_pngs_hold_labels(data, reason):
    with pytest.raises(InputError, match=reason):
        decode_numbers(data, "m.png", (1, 2) if "4-bit" in reason else (3, 4))


def test_a_grey_map_that_an_optimiser_made_a_palette_of_is_refused():
    # optipng and the like number the greys 0, 4, 10 as colours 0, 1, 2
    optimised = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    optimised.putpalette([0, 0, 0, 4, 4, 4, 10, 10, 10])
    with pytest.raises(InputError, match="greys and indices disagree"):
        decode_numbers(encoded(optimised), "m.png", (1, 3))
    harmless = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    harmless.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert decode_numbers(encoded(harmless), "m.png", (1, 3)).tolist() == [[0, 1, 2]]


# --- inks, depth, HEIC --------------------------------------------------------------------------------------


def ink_profile(lab_of_ink):
    """Return an ICC profile (version 2, lut8Type) in which inks, each none or all, have these colours."""
    corners = b"".join(
        bytes([round(lightness * 255 / 100), a + 128, b + 128])
        for inks in np.ndindex(2, 2, 2, 2)
        for lightness, a, b in [lab_of_ink(*inks)]
    )
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = (
        b"mft1\0\0\0\0"
        + bytes([4, 3, 2, 0])
        + identity
        + bytes(range(256)) * 4
        + corners
        + bytes(range(256)) * 3
    )
    head = struct.pack(">4sI4s4s4s12x4s", b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    head += struct.pack(">28x3I", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    body = struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table
    return struct.pack(">I", 4 + len(head) + len(body)) + head + body


def test_inks_are_the_colours_that_their_profile_says():
    # To this printer, cyan is a middle grey.
    profile = ink_profile(lambda c, m, y, k: (0 if k or m or y else 54 if c else 100, 0, 0))
    ink = np.zeros((4, 6, 4), np.uint8)
    ink[:, :3, 0] = 255
    picture = decode_picture(encoded(Image.fromarray(ink, "CMYK"), "TIFF", icc_profile=profile), "p")
    assert np.abs(picture[:, :3].astype(int) - 129).max() <= 2 and picture[:, 3:].min() >= 253
    without = decode_picture(encoded(Image.fromarray(ink, "CMYK"), "TIFF"), "p")
    assert without[0, 0].tolist() == [0, 255, 255]
    broken = decode_picture(encoded(Image.fromarray(ink, "CMYK"), "TIFF", icc_profile=profile[:200]), "p")
    assert np.array_equal(broken, without)


def test_a_picture_from_a_telephone_is_read_where_that_can_be(monkeypatch):
    pillow_heif.register_heif_opener()
    data = encoded(Image.fromarray(np.full((64, 80, 3), (200, 100, 50), np.uint8)), "HEIF", quality=95)
    picture = decode_picture(data, "a.heic")
    assert picture.shape == (64, 80, 3) and np.abs(picture.astype(int) - (200, 100, 50)).max() <= 4
    with pytest.raises(InputError, match=r"a\.heic (cannot be decoded|is not a picture)"):
        decode_picture(data[: len(data) // 2], "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        InputError, match=r"a.heic is a HEIC picture; to read those: pip install 'blurgen\[heic\]'"
    ):
        decode_picture(data, "a.heic")


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (png(2, 2, 16, 2, b"\0" * 13), 16),
        (encoded(Image.fromarray(COLOURS)), 8),
        (encoded(Image.fromarray(COLOURS), "JPEG"), 8),
        (encoded(Image.fromarray(COLOURS), "TIFF"), 8),
        (encoded(Image.fromarray(np.zeros((3, 4), np.uint16)), "TIFF"), 16),
        (b"no picture", None),
    ],
)
def test_how_many_bits_a_file_has(data, bits):
    assert bits_per_channel(data) == bits


def test_a_label_map_of_another_size_is_refused_before_it_is_decoded(monkeypatch):
    buffer = io.BytesIO()
    Image.new("L", (8000, 8000)).save(buffer, "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it is decoded"))
    with pytest.raises(InputError, match=r"a\.png is 8000 x 8000 pixels, its picture 30 x 20"):
        decode_labels(buffer.getvalue(), "a.png", (20, 30, 3))
