"""Test pictures in folders are matched as the published test sets name them, or refused by name."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from PIL import Image
from small_training import build, write_blobs

from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.testset.build import build_testset
from blurgen.testset.manifest import write_testset
from umsn.scoring.pairs import DatasetPairs, FolderPairs, open_pairs


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


def test_folders_may_be_limited_and_know_their_names(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    for kernel in (1, 2, 3):
        save(folders / "blurry" / f"a_ker{kernel:02d}_blur_k13.png", (kernel, 0, 0))
    pairs = open_pairs(blurry=folders / "blurry", clean=folders / "clean", limit=2)
    assert pairs.names() == [p.name for p in pairs] == ["a_ker01_blur_k13", "a_ker02_blur_k13"]
    assert len(pairs) == 2 and not pairs.knows_kernels


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", r"a\.png is empty"),
        ("a.png", b"no picture", r"a\.png is not a picture"),
        ("b.png", None, r"b\.png: .* expected b\.png"),
    ],
)
def test_pictures_that_cannot_be_used_are_named(folders, name, content, message):
    save(folders / "clean" / "a.png", (0, 0, 0))
    save(folders / "blurry" / name, (0, 0, 0))
    if content is not None:
        (folders / "blurry" / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(FolderPairs(folders / "blurry", folders / "clean"))


def test_pictures_of_numbers_that_are_none_are_refused(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    nothing = np.full((20, 24), np.nan, np.float32)
    Image.fromarray(nothing).save(folders / "blurry" / "a.tiff")
    with pytest.raises(InputError, match=r"a\.tiff is a 32-bit picture"):
        list(FolderPairs(folders / "blurry", folders / "clean"))


def test_pictures_too_small_to_score_are_named(folders):
    save(folders / "clean" / "a.png", (0, 0, 0), (40, 16))
    save(folders / "blurry" / "a.png", (0, 0, 0), (40, 16))
    with pytest.raises(InputError, match=r"a\.png: pictures of 40 x 16 are too small"):
        list(FolderPairs(folders / "blurry", folders / "clean"))


def test_two_pictures_of_one_name_are_refused(folders):
    save(folders / "clean" / "a.png", (0, 0, 0))
    save(folders / "clean" / "a.bmp", (0, 0, 0))
    save(folders / "blurry" / "a.png", (0, 0, 0))
    with pytest.raises(InputError, match="same name"):
        FolderPairs(folders / "blurry", folders / "clean")


def test_a_dataset_gives_its_triplets_with_their_kernels(tmp_path):
    dataset = build(tmp_path, 1)
    pairs = DatasetPairs(dataset, limit=5)
    found = list(pairs)
    assert len(found) == len(pairs) == 5 and pairs.names() == [p.name for p in found]
    for row, one in enumerate(found):
        triplet = dataset[row]
        assert (one.blurry == triplet.blurry).all() and (one.clean == triplet.clean).all()
        assert (one.labels == triplet.mask).all() and one.identity is None
        kernel = dataset.bank.kernel(int(triplet.index["kernel"]))
        assert one.kernel.sum() == 1 and (one.kernel * 32768 == kernel).all()
        assert one.kernel_size == len(kernel) == 13


@pytest.fixture
def testset(tmp_path):
    write_blobs(tmp_path / "faces", 5, count=2)
    source = parse_source(f"folder:{tmp_path / 'faces'}", min_side=44, patch_size=32)
    bank = make_bank(count=8, min_size=13, max_size=15, samples=200)
    options = {"face_count": 2, "sizes": (13, 15), "per_size": 2, "patch_size": 32}
    return build_testset(source, bank, tmp_path / "set", **options)


def test_a_test_set_of_ours_brings_its_kernels(testset):
    pairs = open_pairs(testset=testset.root)
    found = list(pairs)
    assert pairs.knows_kernels and len(found) == len(testset) == 8
    bank = KernelBank.load(testset.root / "kernels.h5")
    by_name = {one.name: one for one in found}
    for face in range(2):
        for number in range(4):
            one = by_name[testset.manifest.blurry_name(face, number).removesuffix(".png")]
            assert (one.kernel * 32768 == bank.kernel(number)).all()
            assert one.kernel_size == len(one.kernel) == (13, 13, 15, 15)[number]
            assert one.labels is not None and one.face == testset.manifest.faces[face].file


def test_a_test_set_without_labels_has_none(testset):
    for path in testset.labels.iterdir():
        Image.new("L", (32, 32), 255).save(path)
    assert all(one.labels is None for one in open_pairs(testset=testset.root))


def test_a_test_set_that_is_not_whole_is_named(testset):
    make_bank(count=8, min_size=13, max_size=15, samples=200).save(testset.root / "kernels.h5")
    with pytest.raises(InputError, match=r"kernels\.h5 is not the one that testset\.json names"):
        open_pairs(testset=testset.root)
    write_testset(testset.root, msgspec.structs.replace(testset.manifest, complete=False))
    with pytest.raises(InputError, match="is not finished; run the same 'blurgen build-testset' again"):
        open_pairs(testset=testset.root)


def test_what_to_open_must_go_together(folders):
    with pytest.raises(ValueError, match="'shards' or 'testset' must be given alone"):
        open_pairs(clean=folders)
