"""The audit finds every face, person and kernel two datasets share, and cries no wolf."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import small_dataset
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from blurgen.audit import audit
from blurgen.comparing.contents import Contents, compare
from blurgen.comparing.picture_hash import (
    MOST_PAIRS,
    SAME_PICTURE,
    from_text,
    near_pairs,
    picture_hash,
    to_text,
)
from blurgen.errors import InputError
from blurgen.faces.procedural import draw_face
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.testset.contents import read_contents
from blurgen_cli.audit import audit as command
from blurgen_cli.errors import OneLineErrors


def contents(digests=(), identities=None, hashes=None, bank=None, source="celeba"):
    count = len(digests)
    return Contents(
        names=[f"{source}:{digest}.jpg" for digest in digests],
        digests=list(digests),
        identities=[-1] * count if identities is None else identities,
        hashes=np.empty((0, 4), np.uint64) if hashes is None else hashes,
        kernels=make_bank(count=1, min_size=5, max_size=5, seed=1000) if bank is None else bank,
    )


# --- Kernels and persons ------------------------------------------------------------------------------


def test_a_kernel_is_found_in_a_bank_of_another_size_and_moved():
    first = make_bank(count=9, min_size=5, max_size=9, seed=1)
    second = make_bank(count=4, min_size=5, max_size=11, seed=2)
    weights = second.weights.copy()
    weights[3] = np.pad(first.weights[6], 1)  # 5 x 5 pixels in 9 x 9, now in 11 x 11
    weights[1] = np.roll(np.pad(first.weights[3], 1), (2, -3), (0, 1))
    sizes = np.array([5, 11, 11, 5], np.uint8)
    found = compare(
        contents(bank=first), contents(["x"], bank=KernelBank(weights, sizes, {}), source="helen")
    )
    moves = [(one.a, one.b, one.rows, one.columns) for one in found.kernels]
    assert moves == [(3, 1, 2, -3), (6, 3, 0, 0)]
    assert str(found.kernels[0]) == "kernels 3 and 1 are the same, moved by 2 rows and -3 columns"
    assert not found.clean


def test_kernels_that_occur_many_times_are_told_once():
    weights = np.zeros((1500, 5, 5), np.uint16)
    weights[:, 2, 2] = 32768
    bank = KernelBank(weights, np.full(1500, 5, np.uint8), {})
    found = compare(contents(bank=bank), contents(bank=bank))
    (one,) = found.kernels
    assert (one.a, one.b, one.count_a, one.count_b) == (0, 0, 1500, 1500)
    assert str(one) == "kernels 0 and 0 are the same (1,500 and 1,500 such kernels)"
    assert len(json.dumps(found.to_json())) < 1000


def test_banks_of_other_seeds_and_models_share_nothing():
    first = make_bank(count=90, seed=1)
    assert compare(contents(bank=first), contents(bank=make_bank(count=90, seed=2))).clean
    assert compare(contents(bank=first), contents(bank=make_bank(count=90, seed=1, model="linear"))).clean


def test_persons_count_only_where_the_numbers_mean_the_same():
    train = contents(["a", "b", "c"], [7, 8, 8])
    again = contents(["d", "e"], [8, 9])
    other = contents(["d", "e"], [8, 9], source="lapa")
    hq = contents(["d"], [7], source="celebamask-hq")
    (shared,) = compare(train, again).identities
    assert (shared.source, shared.identity, shared.a, shared.b) == (
        "celeba",
        8,
        "celeba:b.jpg",
        "celeba:d.jpg",
    )
    assert compare(train, other).identities == []
    assert [one.identity for one in compare(train, hq).identities] == [7]
    assert compare(contents(["a"]), contents(["b"])).identities == []  # -1 is nobody


# --- Faces that look the same -------------------------------------------------------------------------


def textures(count, seed=0, shape=(109, 89, 3)):
    """Pictures with structure at all scales, as photographs have."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        layers = [gaussian_filter(rng.normal(size=shape), (s, s, 0)) * s for s in (1, 4, 12)]
        whole = sum(layers)
        yield (255 * (whole - whole.min()) / np.ptp(whole)).astype(np.uint8)


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer).convert("RGB"))


CHANGES = {
    "saved again": lambda pixels: jpeg(pixels, 40),
    "half as large": lambda pixels: np.array(
        Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2))
    ),
    "darker": lambda pixels: (pixels * 0.7).astype(np.uint8),
    "grey": lambda pixels: np.array(Image.fromarray(pixels).convert("L").convert("RGB")),
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_a_face_is_found_and_no_other_face(change):
    faces = [*textures(8), *(draw_face(number, size=128)[0] for number in range(4))]
    hashes = np.array([picture_hash(face) for face in faces])
    changed = np.array([picture_hash(CHANGES[change](face)) for face in faces])
    found = near_pairs(hashes, changed)
    assert found[:, :2].tolist() == [[i, i] for i in range(len(faces))]
    assert (found[:, 3] == (change == "mirrored")).all()


def slow_near_pairs(first, second, threshold):
    def bits(hashed):
        return [int(word) >> k & 1 for word in hashed for k in range(64)]

    pairs = []
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            # Bit 16 u + v belongs to horizontal frequency v; odd ones change sign in a mirror.
            plain = sum(x != y for x, y in zip(bits(a), bits(b), strict=True))
            mirrored = sum(x != (y ^ (k % 2)) for k, (x, y) in enumerate(zip(bits(a), bits(b), strict=True)))
            if min(plain, mirrored) <= threshold:
                pairs.append([i, j, min(plain, mirrored), int(mirrored < plain)])
    return pairs


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 140))
def test_near_pairs_are_those_of_the_slow_way(seed, threshold):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2**64, (5, 4), dtype=np.uint64)
    second = np.concatenate([first[:2] ^ np.uint64(0x11), rng.integers(0, 2**64, (3, 4), dtype=np.uint64)])
    second[1] = first[1] ^ np.uint64(0xAAAAAAAAAAAAAAAA)
    assert near_pairs(first, second, threshold).tolist() == slow_near_pairs(first, second, threshold)


def test_of_many_pictures_that_look_the_same_only_the_first_are_told():
    same = np.zeros((600, 4), np.uint64)
    pairs = near_pairs(same, same)
    assert pairs[:, :2].tolist() == [[i, j] for i in range(600) for j in range(MOST_PAIRS)]


def test_the_threshold_is_a_number_of_bits():
    with pytest.raises(ValueError, match="'threshold' must be from 0 to 255, not 256"):
        near_pairs(np.zeros((1, 4), np.uint64), np.zeros((1, 4), np.uint64), 256)


def test_a_hash_comes_back_from_its_text():
    hashed = picture_hash(next(textures(1)))
    assert np.array_equal(from_text(to_text(hashed)), hashed)
    for wrong in ("", "0" * 63, "G" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            from_text(wrong)


# --- Datasets in folders ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Three datasets: one to train on, one that shares a face with it and has two copies, one apart."""
    root = tmp_path_factory.mktemp("audit")
    for number, name in enumerate(("train", "leaky", "apart")):
        folder = root / f"{name}-photos"
        folder.mkdir()
        for i, pixels in enumerate(textures(4, seed=number, shape=(60, 50, 3))):
            Image.fromarray(pixels).save(folder / f"{name}{i}.png")
    (root / "leaky-photos/same.png").write_bytes((root / "train-photos/train1.png").read_bytes())
    first = np.array(Image.open(root / "train-photos/train0.png"))
    Image.fromarray(first).save(root / "leaky-photos/again.jpg", quality=60)
    Image.fromarray(first[:, ::-1]).save(root / "leaky-photos/mirrored.png")
    for seed, name in enumerate(("train", "leaky", "apart")):
        bank = small_dataset.small_bank(seed)
        folder = root / f"{name}-photos"
        sources = small_dataset.sources(folder)
        small_dataset.build_dataset(sources, bank, root / name, patch_size=24, recipe_only=True)
    return root


def test_shared_faces_are_told_by_name(datasets):
    found = audit(datasets / "train", datasets / "leaky")
    assert [(one.a, one.b) for one in found.faces] == [("folder:train1.png", "folder:same.png")]
    near = {(one.a, one.b, one.mirrored) for one in found.near_faces}
    assert near == {
        ("folder:train0.png", "folder:again.jpg", False),
        ("folder:train0.png", "folder:mirrored.png", True),
    }
    assert all(one.distance <= SAME_PICTURE for one in found.near_faces)
    assert found.kernels == []
    assert audit(datasets / "train", datasets / "leaky", near=False).near_faces == []


def test_a_dataset_shares_everything_with_itself(datasets):
    found = audit(datasets / "train", datasets / "train")
    assert len(found.faces) == 4
    assert found.near_faces == []  # told as the same file already
    assert "look the same, from different files: 0" in found.text()
    assert len(found.kernels) == 7


def test_the_command_line_says_it_by_exit_status(datasets):
    done = run("audit", datasets / "train", datasets / "apart")
    assert done.exit_code == 0
    assert "shared kernels: 0" in done.stdout
    done = run("audit", datasets / "train", datasets / "leaky")
    assert done.exit_code == 2
    assert "folder:train1.png and folder:same.png are the same file" in done.stdout
    assert "folder:train0.png and folder:mirrored.png mirror each other" in done.stdout
    assert done.stderr.splitlines()[-1].endswith("are not disjoint.")
    done = run("audit", datasets / "train", datasets / "leaky", "--json")
    found = json.loads(done.stdout)
    assert found["clean"] is False
    assert found["faces"][0]["b"] == "folder:same.png"
    assert run("audit", datasets / "train", datasets / "leaky", "--no-near").exit_code == 2


def test_what_is_neither_dataset_nor_test_set_is_refused(datasets, tmp_path):
    with pytest.raises(InputError, match=r"is neither a dataset .* nor a test set"):
        read_contents(tmp_path)
    assert run("audit", datasets / "train", tmp_path / "nowhere").exit_code == 2


def run(*words):
    group = OneLineErrors("blurgen")
    group.add_command(command)
    return CliRunner().invoke(group, [str(word) for word in words])
