"""Test sets have the published layout and exact pixels, are finished when interrupted, and leak nothing."""

from __future__ import annotations

import json
import os
import shutil

import click
import naive
import numpy as np
import pytest
import small_dataset
from click.testing import CliRunner
from PIL import Image

import blurgen.testset.build
from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen.testset.build import build_testset
from blurgen.testset.manifest import read_testset
from blurgen.testset.protocols import PROTOCOLS
from blurgen.testset.verify import verify_testset
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.testset import build_testset as command
from umsn.scoring.pairs import FolderPairs

PATCH = small_dataset.PATCH
SIZES = (5, 9)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return small_dataset.write_photos(tmp_path_factory.mktemp("testset") / "photos")


@pytest.fixture(scope="module")
def bank():
    return make_bank(count=12, min_size=5, max_size=11, seed=9)


@pytest.fixture(scope="module")
def built(photos, bank, tmp_path_factory):
    return make(photos, bank, tmp_path_factory.mktemp("built") / "set")


WANTED = {"face_count": 4, "sizes": SIZES, "per_size": 2, "patch_size": PATCH, "seed": 3, "name": "Small"}


def make(photos, bank, out, **options):
    source = parse_source(f"folder:{photos}", min_side=small_dataset.MIN_SIDE, patch_size=PATCH)
    return build_testset(source, bank, out, **(WANTED | options))


def pictures(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_the_layout_is_that_of_the_published_sets(built):
    faces = [face.file for face in built.manifest.faces]
    assert len(faces) == 4
    assert len(built) == 16
    folders = sorted(path.name for path in built.root.iterdir() if path.is_dir())
    assert folders == ["final_Small_blur", "final_Small_gt", "final_Small_labels"]
    assert sorted(path.stem for path in built.clean.iterdir()) == faces
    expected = {f"{face}_ker{k:02d}_blur_k{size}.png" for face in faces for k in (1, 2) for size in SIZES}
    assert {path.name for path in built.blurry.iterdir()} == expected


def test_evaluation_reads_it_as_it_reads_the_published_ones(built):
    pairs = list(FolderPairs(built.blurry, built.clean, built.labels))
    assert len(pairs) == 16
    assert {pair.kernel_size for pair in pairs} == set(SIZES)
    assert all(pair.clean.shape == (PATCH, PATCH, 3) for pair in pairs)
    assert all(pair.labels is not None for pair in pairs)


def test_every_picture_is_what_the_manifest_and_the_format_say(built, photos):
    said = json.loads((built.root / "testset.json").read_text("utf-8"))
    kernels = KernelBank.load(built.root / "kernels.h5")
    pairs = {pair.name: pair for pair in FolderPairs(built.blurry, built.clean, built.labels)}
    for number, face in enumerate(said["faces"]):
        pixels = np.array(Image.open(photos / f"images/{face['id']}.png"))
        labels = np.array(Image.open(photos / f"labels/{face['id']}.png"))
        # The last kernel of a face is enough: the slow way is slow.
        sample = number * len(kernels) + len(kernels) - 1
        clean, blurry, mask, _, _ = naive.triplet(
            pixels,
            labels,
            kernels.weights[-1].astype(np.int64),
            said["recipe"]["seed"],
            sample,
            face["top"],
            face["left"],
            PATCH,
            said["recipe"]["noise_sigma"],
        )
        pair = pairs[f"{face['file']}_ker02_blur_k9"]
        assert np.array_equal(pair.clean, clean)
        assert np.array_equal(pair.blurry, blurry)
        assert np.array_equal(pair.labels, mask)


def test_kernels_are_the_first_of_each_size_and_the_same_for_every_face(built, bank):
    kernels = KernelBank.load(built.root / "kernels.h5")
    assert kernels.sizes.tolist() == [5, 5, 9, 9]
    assert kernels.max_size == 9
    for row, (size, number) in enumerate([(5, 0), (5, 1), (9, 0), (9, 1)]):
        original = np.flatnonzero(bank.sizes == size)[number]
        assert np.array_equal(kernels.kernel(row), bank.kernel(original))


def test_pictures_are_cut_around_the_labelled_face(tmp_path, bank):
    (tmp_path / "photos/images").mkdir(parents=True)
    (tmp_path / "photos/labels").mkdir()
    labels = np.zeros((80, 100), np.uint8)
    labels[50:60, 20:30] = 1
    Image.fromarray(np.full((80, 100, 3), 99, np.uint8)).save(tmp_path / "photos/images/a.png")
    Image.fromarray(labels).save(tmp_path / "photos/labels/a.png")
    Image.fromarray(np.full((70, 91, 3), 98, np.uint8)).save(tmp_path / "photos/images/plain.png")
    a, plain = make(tmp_path / "photos", bank, tmp_path / "set", face_count=2).manifest.faces
    assert (a.top, a.left) == (54 - PATCH // 2, 24 - PATCH // 2)
    assert (plain.top, plain.left) == (70 // 2 - PATCH // 2, 91 // 2 - PATCH // 2)
    assert np.array(Image.open(tmp_path / "set/final_Small_labels/plain.png")).min() == 255


def test_the_crop_stays_where_the_blur_reads_real_pixels(tmp_path, bank):
    (tmp_path / "photos/images").mkdir(parents=True)
    (tmp_path / "photos/labels").mkdir()
    labels = np.zeros((PATCH + 8, 60), np.uint8)  # just room for half a kernel of 9 above and below
    labels[:5, -5:] = 1
    Image.fromarray(np.full((*labels.shape, 3), 99, np.uint8)).save(tmp_path / "photos/images/a.png")
    Image.fromarray(labels).save(tmp_path / "photos/labels/a.png")
    (face,) = make(tmp_path / "photos", bank, tmp_path / "set", face_count=1).manifest.faces
    assert (face.top, face.left) == (4, 60 - PATCH - 4)


def test_a_second_run_touches_nothing_and_any_number_of_jobs_gives_the_same_bytes(
    photos, bank, built, tmp_path
):
    before = {path: path.stat().st_mtime_ns for path in built.root.rglob("*") if path.name != ".lock"}
    make(photos, bank, built.root)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    make(photos, bank, tmp_path / "set", jobs=2)
    assert pictures(tmp_path / "set") == pictures(built.root)
    text = [(root / "testset.json").read_text("utf-8") for root in (tmp_path / "set", built.root)]
    assert text[0] == text[1]


def test_an_interrupted_build_is_finished_to_the_same_bytes(photos, bank, built, tmp_path, monkeypatch):
    written = []

    def write_some(path, data, **options):
        if len(written) == 21:
            raise KeyboardInterrupt
        written.append(path)
        real(path, data, **options)

    real = blurgen.testset.build.write_file
    monkeypatch.setattr(blurgen.testset.build, "write_file", write_some)
    with pytest.raises(KeyboardInterrupt):
        make(photos, bank, tmp_path / "set")
    assert not read_testset(tmp_path / "set").complete
    monkeypatch.undo()
    written[3].write_bytes(written[3].read_bytes()[:-5])  # cut off, as after a power failure
    (written[4].parent / f".{written[4].name}.0123456789abcdef.part").write_bytes(b"left over")
    again = make(photos, bank, tmp_path / "set")
    assert read_testset(tmp_path / "set") == again.manifest
    assert pictures(tmp_path / "set") == pictures(built.root)


@pytest.mark.parametrize("name", ["final_Small_gt", "final_Small_blur", "final_Small_labels"])
def test_nothing_is_written_or_removed_outside_the_folder(photos, bank, built, tmp_path, name):
    root, outside = tmp_path / "set", tmp_path / "outside"
    shutil.copytree(built.root, root)
    (root / name).rename(outside)
    (root / name).symlink_to(outside)
    sorted(outside.iterdir())[0].unlink()
    (outside / ".mine.0123456789abcdef.part").write_text("mine")
    before = sorted(outside.iterdir())
    with pytest.raises(InputError, match=f"{name}: leads out of the folder"):
        make(photos, bank, root)
    assert sorted(outside.iterdir()) == before


def test_a_link_in_place_of_a_picture_is_replaced_and_what_it_leads_to_is_kept(photos, bank, built, tmp_path):
    root, letter = tmp_path / "set", tmp_path / "letter.png"
    shutil.copytree(built.root, root)
    first = sorted((root / "final_Small_blur").iterdir())[0]
    first.rename(letter)
    first.symlink_to(letter)
    content = letter.read_bytes()
    make(photos, bank, root)
    assert pictures(root) == pictures(built.root)
    assert not first.is_symlink() and letter.read_bytes() == content


def test_a_lock_that_is_a_link_empties_nothing(photos, bank, tmp_path):
    (tmp_path / "letter").write_text("mine")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.lock").symlink_to(tmp_path / "letter")
    with pytest.raises(InputError, match=r"\.lock: is a link"):
        make(photos, bank, tmp_path / "set")
    assert (tmp_path / "letter").read_text() == "mine"


def test_only_files_of_the_set_are_waited_for(photos, bank, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("the whole machine is flushed"))
    synced, fsync = set(), os.fsync

    def remember(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    made = make(photos, bank, tmp_path / "set")
    assert all(path.startswith(str(tmp_path)) for path in synced)
    assert {str(path) for path in made.root.rglob("*.png")} <= synced
    assert {str(made.clean), str(made.blurry), str(made.labels), str(made.root)} <= synced


def test_another_set_in_the_same_folder_is_refused(photos, bank, built, tmp_path):
    with pytest.raises(InputError, match=r"is another test set \(seed 4, there 3"):
        make(photos, bank, built.root, seed=4)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex', which is no part of a test set"):
        make(photos, bank, tmp_path)


def test_too_few_faces_or_kernels_are_told(photos, bank, tmp_path):
    with pytest.raises(InputError, match=r"has 6 usable faces, 7 are wanted; use face_count=6 or fewer"):
        make(photos, bank, tmp_path / "set", face_count=7)
    with pytest.raises(InputError, match=r"has 3 kernels of 5 pixels, 4 are wanted"):
        make(photos, bank, tmp_path / "set", per_size=4)
    assert not (tmp_path / "set").exists()


def test_a_broken_face_is_passed_over_for_the_next(photos, bank, tmp_path):
    faces = make(photos, bank, tmp_path / "whole", face_count=6).manifest.faces
    copy = tmp_path / "photos"
    (copy / "images").mkdir(parents=True)
    for face in faces:
        os.link(photos / f"images/{face.id}.png", copy / f"images/{face.id}.png")
    (copy / "images/broken.png").write_bytes(b"no picture")
    (copy / "images/again.png").write_bytes((photos / "images/000.png").read_bytes())
    taken = make(copy, bank, tmp_path / "set", face_count=6).manifest.faces
    assert {face.digest for face in taken} == {face.digest for face in faces}


def test_names_of_files_are_made_from_odd_ids(bank, tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("sub/a b.png", "A.png", "a.png", "x" * 60 + ".png"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / name)
    built = make(folder, bank, tmp_path / "set")
    by_id = {face.id: face for face in built.manifest.faces}
    assert by_id["sub/a b"].file == "sub_a_b"
    assert by_id["A"].file == f"A-{by_id['A'].digest[:12]}"  # some file systems do not tell A from a
    assert by_id["x" * 60].file == "x" * 48 + "-" + by_id["x" * 60].digest[:12]
    assert len(list(FolderPairs(built.blurry, built.clean))) == 16
    assert built.labels is None


def test_sharing_a_face_or_a_kernel_with_a_training_set_is_refused(photos, bank, tmp_path):
    small_dataset.build(photos, tmp_path / "train", recipe_only=True, class_isolated=False)
    with pytest.raises(InputError, match=r"train: shares .*folder:0\d\d\.png and .* are the same file"):
        make(photos, bank, tmp_path / "set", against=[tmp_path / "train"])
    others = small_dataset.write_photos(tmp_path / "others", seed=77)
    make(others, bank, tmp_path / "disjoint", against=[tmp_path / "train"])
    same_kernels = small_dataset.small_bank()
    with pytest.raises(InputError, match=r"kernels 0 and 0 are the same"):
        make(others, same_kernels, tmp_path / "set", against=[tmp_path / "train"])
    assert not (tmp_path / "set").exists()


def test_a_full_disk_is_told_in_one_line(photos, bank, tmp_path, monkeypatch):
    nearly_full = shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(blurgen.testset.build.shutil, "disk_usage", lambda _: nearly_full)
    with pytest.raises(InputError, match=r"may not fit on the disk, which has 1\.0 kB free"):
        make(photos, bank, tmp_path / "set")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"face_count": 0}, "'face_count' must be `int` >= 1, not 0"),
        ({"sizes": (9, 5)}, "'sizes' must be different sizes in ascending order"),
        ({"per_size": 0}, "'per_size' must be `int` >= 1, not 0"),
        ({"per_size": 10**7}, "'face_count' asks for 80000000 pictures; the most are 10000000"),
        ({"noise_sigma": 0.3}, "'noise_sigma' must be `float` <= 0.2, not 0.3"),
        ({"patch_size": 4}, "'patch_size' must be from 8 to 1024, not 4"),
        ({"seed": 2**64}, r"'seed' must be from 0 to 2\*\*64 - 1"),
    ],
)
def test_wrong_options_are_named(photos, bank, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make(photos, bank, tmp_path / "set", **options)


@pytest.mark.parametrize("name", ["../up", "Köln", "", "x" * 41])
def test_a_name_that_is_none_is_the_user_s_mistake(photos, bank, tmp_path, name):
    with pytest.raises(ValueError, match="Argument 'name' must be 1 to 40 letters"):
        make(photos, bank, tmp_path / "set", name=name)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), "other", "format must be 'blurgen-testset'"),
        (("version",), 2, "is version 2"),
        (("extra",), 1, "unknown field `extra`"),
        (("recipe", "per_size"), "2", "per_size: must be `int`, got `str`"),
        (("recipe", "noise_sigma"), 7, "noise_sigma: must be `float` <= 0.2"),
        (("recipe", "kernels", "digest"), "x", "kernels.*digest"),
        (("faces", 0, "looks"), "zz", r"faces\[0\]\.looks: must be `str` matching"),
        (("faces", 0, "file"), 3, r"faces\[0\]\.file: must be `str`"),
    ],
)
def test_a_damaged_manifest_is_refused_by_name(built, tmp_path, path, value, message):
    tree = json.loads((built.root / "testset.json").read_text("utf-8"))
    node = tree
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    (tmp_path / "testset.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_testset(tmp_path)


def test_a_manifest_of_absurdly_many_pictures_is_refused(built, tmp_path):
    tree = json.loads((built.root / "testset.json").read_text("utf-8"))
    tree["recipe"]["per_size"] = 10**6
    tree["recipe"]["kernels"]["count"] = len(SIZES) * 10**6
    tree["faces"] = [tree["faces"][0] | {"file": f"face{i}"} for i in range(20)]
    (tmp_path / "testset.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(InputError, match=r"\d+ blurry pictures; a test set has at most 10000000\.$"):
        read_testset(tmp_path)


def test_the_command_line(photos, bank, tmp_path):
    group = OneLineErrors("blurgen")
    group.add_command(command)
    bank.save(tmp_path / "kernels.h5")
    words = [
        *("build-testset", "--faces", f"folder:{photos}", "--kernels", tmp_path / "kernels.h5"),
        *("--out", tmp_path / "set", "--sizes", "5,9", "--per-size", 2, "--face-count", 3, "--split", "all"),
        *("--patch-size", PATCH, "--jobs", 1),
    ]
    done = run(group, *words)
    assert done.exit_code == 0, done.output
    assert "12 blurry pictures of 3 faces, complete" in done.stdout
    assert "final_Folder_blur" in done.stdout
    done = run(group, *words, "--face-count", 2)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'set'}: is another test set")
    assert run(group, *words, "--sizes", "9,5").exit_code == 2
    assert run(group, *words, "--name", "Köln").exit_code == 2


def run(group: click.Group, *words):
    return CliRunner().invoke(group, [str(word) for word in words])


def test_a_mirrored_picture_is_blurred_from_itself_alone(tmp_path, photos, bank):
    made = make(photos, bank, tmp_path / "set", border="mirrored", noise_sigma=0)
    said = json.loads((made.root / "testset.json").read_text("utf-8"))
    assert said["recipe"]["border"] == "mirrored"
    kernels = KernelBank.load(made.root / "kernels.h5")
    for face in made.manifest.faces:
        clean = np.array(Image.open(made.clean / f"{face.file}.png"))
        blurry = np.array(Image.open(made.blurry / f"{face.file}_ker02_blur_k9.png"))
        assert np.array_equal(blurry, (naive.blur(clean, kernels.weights[-1], 0, 0, PATCH) + 16384) >> 15)
    assert verify_testset(made.root) == []
    edge = made.blurry / f"{made.manifest.faces[0].file}_ker01_blur_k9.png"
    picture = np.array(Image.open(edge))
    picture[0, 0, 0] ^= 1
    Image.fromarray(picture).save(edge)
    assert [problem.file for problem in verify_testset(made.root)] == [f"{edge.parent.name}/{edge.name}"]


def test_a_protocol_says_what_is_not_given(tmp_path, photos, bank):
    made = make(photos, bank, tmp_path / "set", protocol="mspl")
    assert (made.manifest.border, made.manifest.noise_sigma) == ("mirrored", 0.0)
    assert made.manifest.sizes == list(SIZES)
    shen, mspl = PROTOCOLS["shen"], PROTOCOLS["mspl"]
    assert (shen.face_count, mspl.face_count) == (100, 80)
    assert shen.sizes == mspl.sizes == (13, 15, 17, 19, 21, 23, 25, 27)
    assert shen.per_size == mspl.per_size == 10
    assert "border" not in make(photos, bank, tmp_path / "shen").manifest.to_json()["recipe"]


def test_another_border_in_the_folder_or_of_no_known_kind_is_refused(tmp_path, photos, bank):
    made = make(photos, bank, tmp_path / "set")
    with pytest.raises(InputError, match="border 'mirrored', there None"):
        make(photos, bank, tmp_path / "set", border="mirrored")
    with pytest.raises(ValueError, match="'border' must be one of real, mirrored"):
        make(photos, bank, tmp_path / "other", border="black")
    with pytest.raises(ValueError, match="'protocol' must be one of shen, mspl"):
        make(photos, bank, tmp_path / "other", protocol="sun")
    path = made.root / "testset.json"
    path.write_text(path.read_text().replace('"seed"', '"border": "black", "seed"', 1))
    with pytest.raises(InputError, match="border: Invalid enum value 'black'"):
        verify_testset(made.root)


def test_faces_and_kernels_may_be_named(tmp_path, photos, bank, built):
    bank.save(tmp_path / "kernels.h5")
    named = build_testset(f"folder:{photos}", tmp_path / "kernels.h5", tmp_path / "set", **WANTED)
    assert pictures(named.root) == pictures(built.root)
