"""A picture is read only if every bit of its file is as it was written."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from blurgen.errors import InputError
from blurgen.files.png import encode_png
from blurgen.files.png_checks import read_checked

PICTURES = [
    np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8),
    np.random.default_rng(1).integers(0, 256, (5, 7), np.uint8),
]


@pytest.mark.parametrize("picture", PICTURES)
def test_what_was_written_is_read(picture, tmp_path):
    (tmp_path / "a.png").write_bytes(encode_png(picture))
    assert np.array_equal(read_checked(tmp_path / "a.png", picture.shape), picture)


@pytest.mark.parametrize("picture", PICTURES)
def test_every_flipped_bit_every_cut_and_every_addition_is_found(picture, tmp_path):
    path, sound = tmp_path / "a.png", encode_png(picture)
    damaged = [sound[:end] for end in range(len(sound))] + [sound + b"\0"]
    for bit in range(8 * len(sound)):
        content = bytearray(sound)
        content[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(content))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.png: is damaged or no PNG file\.$"):
            read_checked(path, picture.shape)


def test_other_pictures_are_refused(tmp_path):
    path, picture = tmp_path / "a.png", PICTURES[0]
    for other in (picture[:4], picture[..., 0], np.dstack([picture, picture[..., 0]])):
        Image.fromarray(other).save(path)
        with pytest.raises(InputError, match=r"is not a picture of 7 x 5 pixels, 8 bit RGB"):
            read_checked(path, picture.shape)
    Image.fromarray(picture).save(path, "JPEG")
    with pytest.raises(InputError, match="no PNG file"):
        read_checked(path, picture.shape)
    path.write_bytes(bytes(100_000))
    with pytest.raises(InputError, match="bytes, more than the"):
        read_checked(path, picture.shape)
    with pytest.raises(InputError, match="cannot be read"):
        read_checked(tmp_path / "absent.png", picture.shape)


def test_what_a_body_holds_beyond_the_picture_is_not_read(tmp_path):
    """The right size in its head, checksums that fit, and four megabytes in its body."""
    content = encode_png(PICTURES[0])
    bomb = zlib.compress(bytes(1 << 22), 9)
    head, tail = content[:33], content[-12:]
    chunk = b"IDAT" + bomb
    file = io.BytesIO()
    file.write(head + len(bomb).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + tail)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    assert read_checked(tmp_path / "a.png", PICTURES[0].shape).shape == PICTURES[0].shape
