"""Plain folders of pictures, with and without label maps, and what all sources have in common."""

from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest
from PIL import Image
from small_faces import MIN_SIDE, as_decoded, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import SOURCES, in_split, parse_source, read_faces


def folder(path, **options):
    return parse_source(f"folder:{path}", min_side=MIN_SIDE, **options)


def picture(seed, height=150, width=140):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_plain_pictures_in_a_folder_and_below(tmp_path):
    for name in ("b.png", "sub/a.png", "a.png"):
        write_picture(tmp_path / name, picture(len(name)))
    lossy = write_picture(tmp_path / "c.jpg", picture(9))
    source = folder(tmp_path)
    assert source.spec == f"folder:{tmp_path}"
    assert [source.name(i) for i in range(len(source))] == [
        "folder:a.png", "folder:b.png", "folder:c.jpg", "folder:sub/a.png",
    ]  # fmt: skip
    face = source.read(3)
    assert np.array_equal(face.pixels, picture(9)) and face.labels is None
    assert (face.id, face.name, face.identity) == ("sub/a", "folder:sub/a.png", -1)
    assert face.digest == hashlib.sha256((tmp_path / "sub" / "a.png").read_bytes()).hexdigest()
    assert np.array_equal(source.read(2).pixels, as_decoded(lossy))


def test_images_and_labels(tmp_path):
    labels = face_labels(200, 180, 90, 80)
    write_picture(tmp_path / "images" / "x" / "a.jpg", face_pixels(labels))
    write_picture(tmp_path / "images" / "b.png", face_pixels(labels))
    write_picture(tmp_path / "labels" / "x" / "a.PNG", labels, format="PNG")
    source = folder(tmp_path)
    assert [source.name(i) for i in range(2)] == ["folder:b.png", "folder:x/a.jpg"]
    assert source.read(0).labels is None
    assert np.array_equal(source.read(1).labels, labels)


def test_labels_beside_the_pictures_and_elsewhere(tmp_path):
    labels = face_labels(200, 180, 90, 80)
    write_picture(tmp_path / "p" / "a.png", face_pixels(labels))
    write_picture(tmp_path / "p" / "labels" / "a.png", labels)
    write_picture(tmp_path / "elsewhere" / "a.png", np.full_like(labels, 1))
    assert len(folder(tmp_path / "p")) == 1
    assert np.array_equal(folder(tmp_path / "p").read(0).labels, labels)
    assert (folder(tmp_path / "p", labels=str(tmp_path / "elsewhere")).read(0).labels == 1).all()


def test_labels_that_belong_to_no_picture_are_a_mistake(tmp_path):
    write_picture(tmp_path / "p" / "a.png", picture(0))
    write_picture(tmp_path / "l" / "b.png", np.zeros((150, 140), np.uint8))
    with pytest.raises(InputError, match=r"l has no label map for any picture, such as a\.png"):
        folder(tmp_path / "p", labels=str(tmp_path / "l"))


def test_two_pictures_of_one_name_have_two_ids_and_share_no_label_map(tmp_path):
    write_picture(tmp_path / "images" / "a.png", picture(0))
    write_picture(tmp_path / "images" / "a.bmp", picture(1))
    assert [folder(tmp_path).read(i).id for i in range(2)] == ["a.bmp", "a.png"]
    write_picture(tmp_path / "labels" / "a.png", np.zeros((150, 140), np.uint8))
    with pytest.raises(InputError, match=r"a\.bmp shares its label map"):
        folder(tmp_path).read(0)


def test_pictures_smaller_than_a_patch_are_refused_and_others_left_as_they_are(tmp_path):
    write_picture(tmp_path / "small.png", picture(0, 127, 300))
    write_picture(tmp_path / "just.png", picture(0, 128, 128))
    source = folder(tmp_path)
    assert source.read(0).pixels.shape == (128, 128, 3)
    with pytest.raises(
        InputError, match=r"small\.png is 300 x 127 pixels, too small for patches of 128 x 128"
    ):
        source.read(1)
    assert folder(tmp_path, patch_size=64).read(1).pixels.shape == (127, 300, 3)


@pytest.mark.parametrize("wrong", [np.zeros((9, 9), np.uint8), np.full((150, 140), 12, np.uint8)])
def test_wrong_label_maps_are_named(tmp_path, wrong):
    write_picture(tmp_path / "images" / "a.png", picture(0))
    write_picture(tmp_path / "labels" / "a.png", wrong)
    with pytest.raises(InputError, match=r"labels/a\.png"):
        folder(tmp_path).read(0)


def test_a_candidate_that_is_no_picture_costs_only_itself(tmp_path):
    write_picture(tmp_path / "a.png", picture(0))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "readme.txt").write_text("not even a candidate")
    os.symlink("/etc/hostname", tmp_path / "c.png")
    source = folder(tmp_path)
    assert len(source) == 3 and source.read(0).id == "a"
    for i, name in ((1, "b.jpg"), (2, "c.png")):
        with pytest.raises(InputError, match=name):
            source.read(i)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist; folder needs a folder of pictures"),
        (lambda path: path.write_text("x"), "is a file, not a folder"),
        (lambda path: path.mkdir(), r"holds no pictures \(\.png"),
        (lambda path: (path / "images").mkdir(parents=True), "images holds no pictures"),
    ],
)
def test_missing_and_empty_folders_are_named(tmp_path, make, message):
    make(tmp_path / "faces")
    with pytest.raises(InputError, match=message) as caught:
        folder(tmp_path / "faces")
    assert "faces" in str(caught.value)


@pytest.mark.parametrize("spec", ["", "folder", "folder:", "photos:/tmp", "/tmp/faces"])
def test_a_spec_that_names_no_source_lists_those_there_are(spec):
    with pytest.raises(InputError, match="facesynthetics") as caught:
        parse_source(spec, min_side=MIN_SIDE)
    assert all(kind in str(caught.value) for kind in SOURCES)


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="Argument 'limit' must be at least 1, not 0"):
        folder(tmp_path, limit=0)
    with pytest.raises(ValueError, match="Argument 'min_side' must be at least"):
        parse_source("folder:x", min_side=100)


def test_the_same_file_is_in_the_same_part_wherever_it_lies(tmp_path):
    for i in range(40):
        name = f"{i}.png"
        write_picture(tmp_path / "one" / name, picture(i, 130, 130))
        write_picture(tmp_path / "two" / "deep" / f"other{i}.png", picture(i, 130, 130))
    digests = {}
    for where in ("one", "two"):
        for split in ("train", "test", "all"):
            source = folder(tmp_path / where, split=split)
            digests[where, split] = {source.read(i).digest for i in range(len(source))}
    for split in ("train", "test", "all"):
        assert digests["one", split] == digests["two", split]
    assert all(in_split(digest, "test") for digest in digests["one", "test"])
    assert digests["one", "train"] | digests["one", "test"] == digests["one", "all"]
    assert not digests["one", "train"] & digests["one", "test"]


def test_a_folder_has_no_validation_part_and_may_have_no_test_part(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((130, 130, 3), np.uint8))
    split = "train" if in_split(folder(tmp_path).read(0).digest, "test") else "test"
    with pytest.raises(InputError, match="comes without a validation part"):
        folder(tmp_path, split="validation")
    with pytest.raises(InputError, match=f"has no picture in its {split} part"):
        folder(tmp_path, split=split)


def test_limit_takes_some_by_seed_and_is_described(tmp_path):
    for i in range(30):
        write_picture(tmp_path / f"{i:02}.png", picture(i, 130, 130))
    some = folder(tmp_path, limit=7, seed=5)
    assert len(some) == 7 and list(some.pictures) == sorted(some.pictures)
    again, other = (folder(tmp_path, limit=7, seed=seed) for seed in (5, 6))
    assert some.pictures == again.pictures != other.pictures
    facts = some.describe()
    assert (facts["source"], facts["count"], facts["limit"], facts["seed"]) == ("folder", 7, 7, 5)


def test_the_description_knows_no_paths_and_notices_a_change(tmp_path):
    for where in ("one", "two"):
        write_picture(tmp_path / where / "a.png", picture(0))
    assert folder(tmp_path / "one").describe() == folder(tmp_path / "two").describe()
    write_picture(tmp_path / "two" / "a.png", picture(0, 151, 140))
    assert folder(tmp_path / "one").describe() != folder(tmp_path / "two").describe()


def test_a_source_can_be_sent_to_another_process(tmp_path):
    write_picture(tmp_path / "images" / "a.png", picture(0))
    write_picture(tmp_path / "labels" / "a.png", np.zeros((150, 140), np.uint8))
    sent = pickle.loads(pickle.dumps(folder(tmp_path)))
    assert np.array_equal(sent.read(0).pixels, picture(0)) and (sent.read(0).labels == 0).all()


def test_a_rotated_photograph_is_upright_with_its_labels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(np.rot90(picture(0))).save(tmp_path / "images" / "a.png", exif=exif)
    write_picture(tmp_path / "labels" / "a.png", np.full((150, 140), 1, np.uint8))
    face = folder(tmp_path).read(0)
    assert np.array_equal(face.pixels, picture(0)) and face.labels.shape == (150, 140)


def test_labels_go_to_the_sources_that_come_without(tmp_path):
    write_picture(tmp_path / "p" / "a.png", picture(0))
    write_picture(tmp_path / "l" / "a.png", np.full((150, 140), 6, np.uint8))
    drawn, plain = read_faces("procedural:1", f"folder:{tmp_path / 'p'}", labels=str(tmp_path / "l"))
    assert (plain.read(0).labels == 6).all()
    assert len(np.unique(drawn.read(0).labels)) > 5
    with pytest.raises(InputError, match="'labels' is of no use: procedural:1 come with labels"):
        read_faces("procedural:1", labels=str(tmp_path / "l"))
