"""Test pictures in folders are matched as the published test sets name them, or refused by name."""

from __future__ import annotations

import pytest
from PIL import Image

from blurgen.errors import InputError
from umsn.pairs import FolderPairs


@pytest.fixture
def folders(tmp_path):
    for name in ("blurry", "clean", "labels"):
        (tmp_path / name).mkdir()
    return tmp_path


def save(path, value, size=(24, 20), mode="RGB"):
    Image.new(mode, size, value).save(path)


def test_blurry_pictures_of_the_published_sets_find_their_clean_one(folders):
    save(folders / "clean" / "232194_1.png", (9, 8, 7))
    save(folders / "labels" / "232194_1.png", 6, mode="L")
    for kernel, size in ((1, 13), (2, 27)):
        save(folders / "blurry" / f"232194_1_ker{kernel:02d}_blur_k{size}.png", (kernel, 0, 0))
    pairs = list(FolderPairs(folders / "blurry", folders / "clean", folders / "labels"))
    assert [p.kernel_size for p in pairs] == [13, 27]
    assert {p.face for p in pairs} == {"232194_1"}
    assert (pairs[1].clean == (9, 8, 7)).all() and (pairs[1].blurry == (2, 0, 0)).all()
    assert (pairs[0].labels == 6).all() and pairs[0].labels.shape == (20, 24)


def test_equal_names_match_whatever_the_kind_of_file(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    save(folders / "blurry" / "a.bmp", (5, 5, 5))
    (only,) = FolderPairs(folders / "blurry", folders / "clean")
    assert (only.blurry == 5).all() and only.kernel_size is None and only.labels is None


def test_a_blurry_picture_without_a_clean_one_is_named(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    save(folders / "blurry" / "b.png", (0, 0, 0))
    with pytest.raises(InputError, match=r"b\.png: .*holds no clean picture"):
        FolderPairs(folders / "blurry", folders / "clean")


def test_pictures_of_different_sizes_are_named(folders):
    save(folders / "clean" / "a.png", (0, 0, 0), (30, 20))
    save(folders / "blurry" / "a.png", (0, 0, 0))
    with pytest.raises(InputError, match=r"a\.png: is 24 x 20, but .* is 30 x 20"):
        list(FolderPairs(folders / "blurry", folders / "clean"))


def test_missing_and_empty_folders_are_named(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    with pytest.raises(InputError, match="no such folder"):
        FolderPairs(folders / "nowhere", folders / "clean")
    with pytest.raises(InputError, match="holds no pictures"):
        FolderPairs(folders / "blurry", folders / "clean")


def test_a_missing_label_map_is_named(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    save(folders / "blurry" / "a.png", (0, 0, 0))
    save(folders / "labels" / "other.png", 0, mode="L")
    with pytest.raises(InputError, match=r"holds no label map for it; expected a\.png"):
        FolderPairs(folders / "blurry", folders / "clean", folders / "labels")
