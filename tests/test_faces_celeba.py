"""CelebA's aligned pictures, in the layouts of its owners and of torchvision."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_faces import MIN_SIDE, as_decoded, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import parse_source

PARTITION = {1: 0, 2: 0, 162771: 1, 182638: 2, 202599: 2}
LAYOUTS = {
    "owners": ("Img/img_align_celeba", "Eval", "Anno"),
    "torchvision": ("img_align_celeba", ".", "."),
}


@pytest.fixture(params=LAYOUTS)
def root(tmp_path, request):
    images, partition, identities = (tmp_path / folder for folder in LAYOUTS[request.param])
    for number in PARTITION:
        write_picture(images / f"{number:06}.jpg", face_pixels(face_labels(218, 178, 89, 111), number))
    partition.mkdir(exist_ok=True)
    identities.mkdir(exist_ok=True)
    lines = [f"{number:06}.jpg {part}\n" for number, part in PARTITION.items()]
    (partition / "list_eval_partition.txt").write_text("".join(lines))
    lines = [f"{number:06}.jpg {number % 10177}\n" for number in PARTITION]
    (identities / "identity_CelebA.txt").write_text("".join(lines))
    return tmp_path


def find(root, name):
    return next(root.rglob(name))


def open_it(root, **options):
    return parse_source(f"celeba:{root}", min_side=MIN_SIDE, **options)


def test_pictures_are_used_as_they_are(root):
    source = open_it(root)
    assert [source.name(i) for i in range(len(source))] == [f"celeba:{n:06}.jpg" for n in PARTITION]
    face = source.read(3)
    data = find(root, "182638.jpg").read_bytes()
    assert np.array_equal(face.pixels, as_decoded(data)) and face.pixels.shape == (218, 178, 3)
    assert face.labels is None and (face.id, face.identity) == ("182638", 182638 % 10177)
    assert face.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("split", "part"), [("train", 0), ("validation", 1), ("test", 2)])
def test_the_partition_file_says_the_parts(root, split, part):
    source = open_it(root, split=split)
    assert [int(source.read(i).id) for i in range(len(source))] == [
        number for number, value in PARTITION.items() if value == part
    ]


def test_label_maps_of_another_folder_are_picked_up(root, tmp_path):
    labels = face_labels(218, 178, 89, 111)
    write_picture(tmp_path / "maps" / "000002.png", labels)
    source = open_it(root, labels=str(tmp_path / "maps"))
    assert source.read(0).labels is None
    assert np.array_equal(source.read(1).labels, labels)
    before = source.describe()
    write_picture(tmp_path / "maps" / "000001.png", labels)
    assert open_it(root, labels=str(tmp_path / "maps")).describe() != before
    with pytest.raises(InputError, match=r"has no label map for any picture, such as 162771\.png"):
        open_it(root, labels=str(tmp_path / "maps"), split="validation")


def test_without_the_list_of_identities_persons_are_unknown(root):
    find(root, "identity_CelebA.txt").unlink()
    assert open_it(root).read(0).identity == -1


def test_limit_keeps_identities_with_their_pictures(root):
    source = open_it(root, limit=2, seed=1)
    assert len(source) == 2
    assert all(source.read(i).identity == int(source.read(i).id) % 10177 for i in range(2))


def test_what_is_missing_or_wrong_is_named(root, tmp_path):
    find(root, "000001.jpg").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"000001\.jpg is not a picture"):
        open_it(root).read(0)
    find(root, "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg zero\n")
    with pytest.raises(InputError, match=r"list_eval_partition\.txt, line 2: expected '000001\.jpg 0'"):
        open_it(root, split="train")
    find(root, "list_eval_partition.txt").unlink()
    with pytest.raises(InputError, match=r"list_eval_partition\.txt does not exist"):
        open_it(root, split="train")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"other/img_align_celeba does not exist; celeba needs"):
        open_it(tmp_path / "other")


def test_an_empty_part_is_named(root):
    find(root, "list_eval_partition.txt").write_text("")
    with pytest.raises(InputError, match="holds no pictures of its test part"):
        open_it(root, split="test")
