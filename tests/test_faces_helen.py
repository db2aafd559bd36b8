"""Helen with the label maps of Smith et al., in the layout of their archive."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_faces import MIN_SIDE, as_decoded, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import parse_source

LISTS = {"exemplars.txt": ["100032540_1", "10405146_1"], "tuning.txt": ["2_1"], "testing.txt": ["3_1", "4_2"]}


def write_face(root, name, labels=None, maps=None):
    """Write a face with probability maps (0 or 255 unless given) and return the picture's bytes."""
    labels = face_labels(300, 320, 160, 130) if labels is None else labels
    data = write_picture(root / "images" / f"{name}.jpg", face_pixels(labels))
    maps = (
        [np.where(labels == label, 255, 0).astype(np.uint8) for label in range(11)] if maps is None else maps
    )
    for label, probability in enumerate(maps):
        write_picture(root / "labels" / name / f"{name}_lbl{label:02}.png", probability)
    return data


@pytest.fixture
def root(tmp_path):
    for file, names in LISTS.items():
        # the lists as published: a number, a comma with spaces around it, a blank line at the end
        (tmp_path / file).write_text("".join(f"{i} , {name}\n" for i, name in enumerate(names, 1)) + "\n")
        for name in names:
            write_face(tmp_path, name)
    return tmp_path


def open_it(root, **options):
    return parse_source(f"helen:{root}", min_side=MIN_SIDE, **options)


def test_labels_and_pixels_are_those_of_the_files(tmp_path):
    labels = face_labels(300, 320, 160, 130)
    data = write_face(tmp_path, "100032540_1", labels)
    for file in LISTS:
        (tmp_path / file).write_text("")
    face = open_it(tmp_path).read(0)
    rows, columns = slice(18, 237), slice(71, 249)
    assert np.array_equal(face.labels, labels[rows, columns])
    assert np.array_equal(face.pixels, as_decoded(data)[rows, columns])
    assert (face.id, face.name, face.identity) == ("100032540_1", "helen:images/100032540_1.jpg", -1)
    assert face.digest == hashlib.sha256(data).hexdigest()


def test_the_most_probable_label_wins_and_the_smaller_of_equals(root):
    rng = np.random.default_rng(2)
    labels = face_labels(300, 320, 160, 130)
    maps = rng.integers(0, 4, (11, 300, 320)).astype(np.uint8) * 20
    for label in (4, 5, 7, 8, 9, 2, 3, 6):  # the parts the crop is found by stay where they are
        maps[:, labels == label] = 0
        maps[label, labels == label] = 255
    outside = maps[[2, 3, 4, 5, 6, 7, 8, 9]]
    outside[:, np.isin(labels, (0, 1, 10))] = 0
    maps[[2, 3, 4, 5, 6, 7, 8, 9]] = outside
    write_face(root, "3_1", labels, maps)
    expected = np.zeros((300, 320), np.uint8)
    for y in range(300):
        for x in range(320):
            expected[y, x] = max(range(11), key=lambda label: (maps[label, y, x], -label))
    assert np.array_equal(open_it(root, split="test").read(0).labels, expected[18:237, 71:249])


def test_left_and_right_are_the_persons_own_either_way(root):
    labels = face_labels(300, 320, 160, 130)
    swapped = np.arange(256, dtype=np.uint8)
    swapped[[2, 3, 4, 5]] = [3, 2, 5, 4]
    write_face(root, "2_1", labels)
    write_face(root, "3_1", swapped[labels])
    a, b = (open_it(root, split=split).read(0) for split in ("validation", "test"))
    assert np.array_equal(a.labels, b.labels)
    assert np.nonzero(a.labels == 4)[1].mean() > np.nonzero(a.labels == 5)[1].mean()


def test_a_larger_face_comes_to_the_size_of_the_papers(root):
    write_face(root, "2_1", face_labels(600, 640, 320, 260, scale=2))
    small = open_it(root, split="validation").read(0).labels
    apart = np.nonzero(small == 4)[1].mean() - np.nonzero(small == 5)[1].mean()
    assert abs(apart - 38) < 0.7 and min(small.shape) >= MIN_SIDE


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", LISTS["exemplars.txt"]),
        ("validation", LISTS["tuning.txt"]),
        ("test", LISTS["testing.txt"]),
        ("all", sorted(name for names in LISTS.values() for name in names)),
    ],
)
def test_the_lists_are_the_parts(root, split, names):
    source = open_it(root, split=split)
    assert [source.read(i).id for i in range(len(source))] == names
    assert open_it(root, split=split, limit=1).describe()["count"] == 1


def test_what_is_missing_is_named(root):
    (root / "testing.txt").unlink()
    with pytest.raises(InputError, match=r"testing\.txt does not exist; helen needs images/"):
        open_it(root, split="test")
    (root / "labels" / "2_1" / "2_1_lbl07.png").unlink()
    with pytest.raises(InputError, match=r"2_1_lbl07\.png: cannot be read"):
        open_it(root, split="validation").read(0)
    (root / "images" / "2_1.jpg").unlink()
    with pytest.raises(InputError, match=r"images/2_1\.jpg: cannot be read"):
        open_it(root, split="validation").read(0)
    with pytest.raises(InputError, match=r"images does not exist; helen needs images/, labels/"):
        open_it(root / "labels")


def test_wrong_maps_are_named(root):
    write_picture(root / "labels" / "2_1" / "2_1_lbl03.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(InputError, match=r"2_1_lbl03\.png is 8 x 9 pixels, its picture 320 x 300"):
        open_it(root, split="validation").read(0)
    write_face(root, "2_1", np.zeros((300, 320), np.uint8))
    with pytest.raises(InputError, match=r"2_1\.jpg has no labelled eyes and mouth"):
        open_it(root, split="validation").read(0)


@pytest.mark.parametrize("line", ["1 , ../../secret", "1 , .."])
def test_a_list_cannot_lead_out_of_the_folder(root, line):
    (root / "tuning.txt").write_text(line)
    with pytest.raises(InputError, match=r"tuning\.txt is not a list"):
        open_it(root, split="validation")
