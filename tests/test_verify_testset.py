"""Whatever is wrong with a test set is found and named; building it again puts it right."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import small_dataset
from click.testing import CliRunner
from PIL import Image

from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.info import testset_info as info_of
from blurgen.kernels.bank import make_bank
from blurgen.testset.build import build_testset
from blurgen.testset.manifest import read_testset
from blurgen.testset.verify import verify_testset
from blurgen_cli.blurgen import main

PATCH = small_dataset.PATCH
AGAIN = "the same 'blurgen build-testset' makes it again"


def make(photos, out):
    source = parse_source(f"folder:{photos}", min_side=small_dataset.MIN_SIDE, patch_size=PATCH)
    bank = make_bank(count=12, min_size=5, max_size=11, seed=9)
    options = {"face_count": 3, "sizes": (5, 9), "per_size": 2, "patch_size": PATCH, "name": "Small"}
    return build_testset(source, bank, out, **options)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return small_dataset.write_photos(tmp_path_factory.mktemp("testset") / "photos")


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    return make(photos, tmp_path_factory.mktemp("built") / "set").root


@pytest.fixture
def root(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "set")
    return tmp_path / "set"


def found(root, **options):
    return [str(problem) for problem in verify_testset(root, **options)]


def pictures(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_nothing_is_wrong_with_a_new_test_set(whole):
    assert found(whole) == found(whole, jobs=2) == []


def test_any_flipped_bit_in_a_picture_is_found_and_building_again_puts_it_right(photos, root, whole):
    random = np.random.default_rng(0)
    paths = sorted(root.rglob("*.png"))
    for path in random.choice(np.array(paths, object), 5, replace=False):
        sound = path.read_bytes()
        for bit in random.integers(0, 8 * len(sound), 3):
            content = bytearray(sound)
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            file = path.relative_to(root)
            assert found(root) == [f"{file}: is damaged or no PNG file; delete it, and {AGAIN}"]
        path.unlink()
        assert found(root) == [f"{file}: is missing; {AGAIN}"]
        make(photos, root)
    assert pictures(root) == pictures(whole)


def test_pictures_that_were_exchanged_are_found(root):
    manifest = read_testset(root)
    blurry = root / manifest.blurry_folder
    one, other = (blurry / manifest.blurry_name(0, kernel) for kernel in (1, 2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    what = f"is not the clean picture under its kernel; delete it, and {AGAIN}"
    assert found(root) == [f"{path.relative_to(root)}: {what}" for path in sorted((one, other))]


def test_another_clean_picture_is_told_from_wrong_blurry_ones(root):
    first, second = sorted((root / "final_Small_gt").iterdir())[:2]
    shutil.copy(second, first)
    file = first.relative_to(root)
    assert found(root) == [
        f"{file}: is not the picture that the 4 blurry ones are made from; delete it, and {AGAIN}"
    ]


def test_other_pictures_labels_and_files_are_found(root):
    clean, labels = sorted(root.glob("final_Small_gt/*")), sorted(root.glob("final_Small_labels/*"))
    Image.fromarray(np.zeros((9, PATCH, 3), np.uint8)).save(clean[0])
    Image.fromarray(np.zeros((PATCH, PATCH), np.uint8)).save(clean[1])
    Image.fromarray(np.full((PATCH, PATCH), 77, np.uint8)).save(labels[2])
    (root / "final_Small_blur/more.png").write_bytes(b"")
    kind = f"is not a picture of {PATCH} x {PATCH} pixels, 8 bit RGB; delete it, and {AGAIN}"
    assert found(root) == [
        "final_Small_blur/more.png: does not belong there: testset.json has no such face",
        *(f"{path.relative_to(root)}: {kind}" for path in clean[:2]),
        f"{labels[2].relative_to(root)}: holds values that are no labels; delete it, and {AGAIN}",
    ]


def test_damaged_and_other_kernels_are_found_and_put_right(photos, root, whole):
    path = root / "kernels.h5"
    sound = path.read_bytes()
    path.write_bytes(sound[:-100])
    (problem,) = found(root)
    assert problem.startswith("kernels.h5: ") and problem.endswith(f"; delete it, and {AGAIN}")
    path.unlink()
    make_bank(count=4, min_size=5, max_size=9, seed=1).save(path)
    assert found(root) == [f"kernels.h5: is damaged or not the one of testset.json; delete it, and {AGAIN}"]
    path.unlink()
    make(photos, root)
    assert path.read_bytes() == sound


def test_an_unfinished_test_set_is_told(root):
    tree = json.loads((root / "testset.json").read_text())
    (root / "testset.json").write_text(json.dumps(tree | {"complete": False}))
    assert found(root) == [
        "testset.json: is not complete; the same 'blurgen build-testset' finishes it",
    ]
    assert not info_of(root)["complete"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("recipe", "name"), "../../etc", "name: must be"),
        (("faces", 0, "file"), "../outside", r"faces\[0\]\.file: must be the stem"),
        (("faces", 0, "file"), "/etc/passwd", r"faces\[0\]\.file: must be the stem"),
        (("recipe", "per_size"), 10**6, "kernels: must be 1000000 of each of 2 sizes, not 4"),
        (("recipe", "sizes"), [9, 5], "sizes: must be different"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(root, path, value, message):
    tree = json.loads((root / "testset.json").read_text())
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (root / "testset.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=message):
        verify_testset(root)


def test_links_out_of_the_folder_are_not_followed(root, tmp_path):
    picture = next((root / "final_Small_gt").iterdir())
    picture.rename(tmp_path / "elsewhere.png")
    picture.symlink_to(tmp_path / "elsewhere.png")
    (problem,) = found(root)
    assert "leads out of the folder" in problem


def test_the_command_line(root):
    done = run("info", root)
    assert done.exit_code == 0
    assert "test set Small, 12 blurry pictures of 24 x 24 pixels, complete" in done.stdout
    assert "faces: 3, 3 with labels" in done.stdout
    assert "kernels: 4, 2 of each size 5, 9" in done.stdout
    assert json.loads(run("info", root, "--json").stdout)["pictures"] == 12
    done = run("verify", root, "--jobs", 1)
    assert (done.exit_code, done.stdout) == (0, f"{root}: all is well\n")
    (root / "kernels.h5").unlink()
    done = run("verify", root, "--jobs", 1)
    assert done.exit_code == 2
    assert done.stdout.startswith(f"{root}/kernels.h5: there is no such file")
    assert done.stderr.splitlines()[-1] == f"Error: {root}: 1 problem."
    done = run("repair", root)
    assert done.exit_code == 2
    assert "is a test set; 'blurgen build-testset' makes again" in done.stderr


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])
