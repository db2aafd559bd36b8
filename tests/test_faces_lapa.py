"""LaPa, in the layout of its archive."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_faces import MIN_SIDE, as_decoded, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import parse_source

NAMES = {"train": ["10009865324_0", "2_1"], "val": ["3_0"], "test": ["4_0", "5_2", "6_0"]}


def write_face(root, part, name, labels=None):
    labels = face_labels(300, 320, 160, 130) if labels is None else labels
    write_picture(root / part / "labels" / f"{name}.png", labels)
    return write_picture(root / part / "images" / f"{name}.jpg", face_pixels(labels))


@pytest.fixture
def root(tmp_path):
    for part, names in NAMES.items():
        for name in names:
            write_face(tmp_path, part, name)
    return tmp_path


def open_it(root, **options):
    return parse_source(f"lapa:{root}", min_side=MIN_SIDE, **options)


def test_labels_and_pixels_are_those_of_the_files(root):
    labels = face_labels(300, 320, 160, 130)
    data = write_face(root, "val", "3_0", labels)
    face = open_it(root, split="validation").read(0)
    rows, columns = slice(18, 237), slice(71, 249)
    assert np.array_equal(face.labels, labels[rows, columns])
    assert set(np.unique(face.labels)) == set(range(11))
    assert np.array_equal(face.pixels, as_decoded(data)[rows, columns])
    assert (face.id, face.name) == ("3_0", "lapa:val/images/3_0.jpg")
    assert face.digest == hashlib.sha256(data).hexdigest()


def test_sides_named_as_seen_by_the_viewer_become_the_persons_own(root):
    labels = face_labels(300, 320, 160, 130)
    swapped = np.arange(256, dtype=np.uint8)
    swapped[[2, 3, 4, 5]] = [3, 2, 5, 4]
    write_face(root, "val", "3_0", swapped[labels])
    assert np.array_equal(open_it(root, split="validation").read(0).labels, labels[18:237, 71:249])


@pytest.mark.parametrize(
    ("split", "parts"),
    [("train", ["train"]), ("validation", ["val"]), ("test", ["test"]), ("all", ["train", "val", "test"])],
)
def test_the_folders_are_the_parts(root, split, parts):
    source = open_it(root, split=split)
    assert [source.read(i).id for i in range(len(source))] == [name for part in parts for name in NAMES[part]]
    assert source.describe()["split"] == split


def test_what_is_missing_or_wrong_is_named(root):
    write_picture(root / "val" / "labels" / "3_0.png", np.full((300, 320), 11, np.uint8))
    with pytest.raises(InputError, match=r"val/labels/3_0\.png holds the value 11"):
        open_it(root, split="validation").read(0)
    write_picture(root / "val" / "labels" / "3_0.png", np.zeros((300, 320), np.uint8))
    with pytest.raises(InputError, match=r"val/images/3_0\.jpg has no labelled eyes and mouth"):
        open_it(root, split="validation").read(0)
    write_picture(root / "val" / "labels" / "3_0.png", np.zeros((320, 300), np.uint8))
    with pytest.raises(InputError, match=r"3_0\.png is 300 x 320 pixels, its picture 320 x 300"):
        open_it(root, split="validation").read(0)
    (root / "val" / "labels" / "3_0.png").unlink()
    with pytest.raises(InputError, match=r"val/labels/3_0\.png: cannot be read"):
        open_it(root, split="validation").read(0)
    with pytest.raises(InputError, match=r"train/labels does not exist; lapa needs train/"):
        open_it(root / "val")


def test_empty_parts_are_named(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / "test" / folder).mkdir(parents=True)
    with pytest.raises(InputError, match="holds no pictures; lapa needs"):
        open_it(tmp_path, split="test")
