"""FaceSynthetics: its layout, its labels, and crops around the face."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_faces import MIN_SIDE, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import parse_source

# Our labels 0 to 10 as the dataset numbers them: its "right" parts lie on the viewer's right.
THEIRS = np.array([0, 1, 5, 6, 3, 4, 2, 10, 9, 11, 13], np.uint8)
EYES = (250, 200)


def landmarks(scale=1, shift=(0.0, 0.0)):
    """70 points of a face whose eyes' middle is at EYES: eyes 38 apart, mouth corners 41 below."""
    points = np.tile(np.array(EYES, float), (70, 1))
    points[:17, 0] += np.linspace(-42, 42, 17) * scale  # jaw
    points[36:42, 0] -= 19 * scale
    points[42:48, 0] += 19 * scale
    points[48:68, 1] += 41 * scale
    return points + shift


def write_face(root, number, scale=1, points=None, theirs=None):
    labels = face_labels(512, 512, *EYES, scale=scale)
    theirs = THEIRS[labels] if theirs is None else theirs
    data = write_picture(root / f"{number:06}.png", face_pixels(labels, number))
    write_picture(root / f"{number:06}_seg.png", theirs)
    points = landmarks(scale) if points is None else points
    (root / f"{number:06}_ldmks.txt").write_text("\n".join(f"{x:.3f} {y:.3f}" for x, y in points))
    return labels, data


def open_it(root, **options):
    return parse_source(f"facesynthetics:{root}", min_side=MIN_SIDE, **options)


def test_a_face_is_cut_out_of_the_render(tmp_path):
    labels, data = write_face(tmp_path, 7)
    source = open_it(tmp_path)
    assert [source.name(i) for i in range(len(source))] == ["facesynthetics:000007.png"]
    face = source.read(0)
    rows, columns = slice(88, 307), slice(161, 339)
    assert np.array_equal(face.pixels, face_pixels(labels, 7)[rows, columns])
    assert np.array_equal(face.labels, labels[rows, columns])
    assert (face.id, face.identity) == ("000007", -1)
    assert face.digest == hashlib.sha256(data).hexdigest()


def test_a_larger_face_is_made_smaller(tmp_path):
    write_face(tmp_path, 0, scale=2)
    face = open_it(tmp_path).read(0)
    eyes = [np.nonzero(face.labels == label)[1].mean() for label in (5, 4)]
    assert abs(eyes[1] - eyes[0] - 38) < 1
    assert min(face.labels.shape) >= MIN_SIDE and face.pixels.shape == (*face.labels.shape, 3)


def test_every_value_is_translated_pixel_by_pixel(tmp_path):
    ours = np.array([0, 1, 6, 4, 5, 2, 3, 0, 0, 8, 7, 9, 0, 10, 1, 0, 0, 0, 0, 255], np.uint8)
    rng = np.random.default_rng(4)
    numbers = rng.integers(0, 20, (512, 512))
    theirs = np.where(numbers == 19, 255, numbers).astype(np.uint8)
    write_face(tmp_path, 0, theirs=theirs)
    face = open_it(tmp_path).read(0)
    assert np.array_equal(face.labels, ours[numbers][88:307, 161:339])


def test_without_landmarks_the_labels_say_where_the_face_is(tmp_path):
    write_face(tmp_path, 0)
    with_landmarks = open_it(tmp_path).read(0)
    (tmp_path / "000000_ldmks.txt").unlink()
    without = open_it(tmp_path).read(0)
    assert np.abs(np.subtract(without.labels.shape, with_landmarks.labels.shape)).max() <= 2
    write_picture(tmp_path / "000000_seg.png", np.zeros((512, 512), np.uint8))
    with pytest.raises(InputError, match=r"000000\.png has neither landmarks nor labelled eyes"):
        open_it(tmp_path).read(0)


@pytest.mark.parametrize(
    "text", ["", "1 2\n" * 67, "1 2 3\n" * 70, "a b\n" * 70, "nan nan\n" * 70, "1e9 1\n" * 70, "é"]
)
def test_broken_landmarks_are_named(tmp_path, text):
    write_face(tmp_path, 0)
    (tmp_path / "000000_ldmks.txt").write_text(text)
    with pytest.raises(InputError, match=r"000000_ldmks\.txt does not hold 68 or more lines"):
        open_it(tmp_path).read(0)


def test_a_face_at_the_edge_still_gives_a_whole_patch(tmp_path):
    write_face(tmp_path, 0, points=landmarks(2, shift=(-230.0, 280.0)))
    assert min(open_it(tmp_path).read(0).labels.shape) >= MIN_SIDE


def test_missing_and_wrong_label_files_are_named(tmp_path):
    write_face(tmp_path, 0)
    write_picture(tmp_path / "000000_seg.png", np.full((512, 512), 19, np.uint8))
    with pytest.raises(InputError, match=r"000000_seg\.png holds the value 19"):
        open_it(tmp_path).read(0)
    write_picture(tmp_path / "000000_seg.png", np.zeros((512, 511), np.uint8))
    with pytest.raises(InputError, match=r"000000_seg\.png is 511 x 512 pixels, its picture 512 x 512"):
        open_it(tmp_path).read(0)
    (tmp_path / "000000_seg.png").unlink()
    with pytest.raises(InputError, match=r"000000_seg\.png: cannot be read"):
        open_it(tmp_path).read(0)


def test_another_layout_is_told_what_was_expected(tmp_path):
    write_picture(tmp_path / "face.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"holds no 000000\.png; facesynthetics needs"):
        open_it(tmp_path)
    with pytest.raises(InputError, match="has its own labels"):
        open_it(tmp_path, labels="maps")


def test_the_description_notices_a_changed_label_file(tmp_path):
    write_face(tmp_path, 0)
    before = open_it(tmp_path).describe()
    assert (before["source"], before["count"], before["min_side"]) == ("facesynthetics", 1, MIN_SIDE)
    write_picture(tmp_path / "000000_seg.png", np.zeros((512, 512), np.uint8))
    assert open_it(tmp_path).describe() != before
