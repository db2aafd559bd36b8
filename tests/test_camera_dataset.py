"""Whatever takes a dataset takes one whose pictures a camera took."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import naive
import numpy as np
import pytest
import small_dataset
from click.testing import CliRunner
from dask.distributed import LocalCluster
from PIL import Image

from blurgen.building.repair import repair
from blurgen.building.verify import verify
from blurgen.comparing.contents import compare
from blurgen.dataset.pictures import stage_sheet
from blurgen.dataset.reading import open_dataset
from blurgen.dataset.render import Renderer
from blurgen.errors import InputError
from blurgen.export import export
from blurgen.info import dataset_info, info_text
from blurgen.synthesis.camera.settings import Camera
from blurgen.testset.contents import read_contents
from blurgen_cli.blurgen import main

CAMERAS = {
    "shift": Camera(),
    "rotation": Camera(motion="rotation", sensor="sony-a7r3", tone="family", demosaic="bilinear"),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return small_dataset.write_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture(scope="module", params=CAMERAS)
def camera(request):
    return CAMERAS[request.param]


@pytest.fixture(scope="module")
def whole(photos, camera, tmp_path_factory):
    """Return a dataset of 42 triplets in 5 shards, with class sets."""
    out = tmp_path_factory.mktemp(camera.motion) / "data"
    small_dataset.build(photos, out, camera=camera)
    return out


@pytest.mark.parametrize("isolation", ["composite", "layered"])
def test_a_stranger_with_the_format_gets_every_byte(photos, camera, tmp_path, isolation):
    root = tmp_path / "data"
    small_dataset.build(photos, root, camera=camera, isolation=isolation, count=6, shard_size=6)
    recipe = json.loads((root / "dataset.json").read_text("utf-8"))["recipe"]
    with h5py.File(root / "faces.h5") as file:
        pixels, labels, table = file["pixels"][:], file["labels"][:], file["table"][:]
    with h5py.File(root / "kernels.h5") as file:
        kernels, sizes = file["kernels"][:], file["size"][:]
    sets = {}
    for name in ("full", "isolated/background", "isolated/skin", "isolated/features", "isolated/hair"):
        with h5py.File(root / name / "shard-00000.h5") as file:
            sets[name] = {part: file[part][:] for part in ("clean", "blurry", "mask", "index")}
    isolated_rows = 0
    for row in (0, 5):
        index = sets["full"]["index"][row]
        face = table[index["image"]]
        first, height, width = (int(face[name]) for name in ("offset", "height", "width"))
        end = first + height * width
        clean, blurry, mask, isolated = naive.camera_triplet(
            pixels[3 * first : 3 * end].reshape(height, width, 3), labels[first:end].reshape(height, width),
            kernels[index["kernel"]], int(sizes[index["kernel"]]), recipe["seed"], int(index["sample"]),
            int(index["top"]), int(index["left"]), recipe["patch_size"], recipe["camera"], isolation,
        )  # fmt: skip
        for part, expected in (("clean", clean), ("blurry", blurry), ("mask", mask)):
            np.testing.assert_array_equal(sets["full"][part][row], expected)
        for c, name in enumerate(list(sets)[1:]):
            for found in np.flatnonzero(sets[name]["index"]["sample"] == index["sample"]):
                np.testing.assert_array_equal(sets[name]["blurry"][found], isolated[c])
                np.testing.assert_array_equal(sets[name]["clean"][found], clean)
                isolated_rows += 1
    assert isolated_rows >= 4


def test_files_are_the_same_whoever_makes_them(photos, camera, whole, tmp_path):
    small_dataset.build(photos, tmp_path / "two", camera=camera, jobs=2)
    assert small_dataset.files_of(tmp_path / "two") == small_dataset.files_of(whole)


def test_dask_makes_the_same_files(photos, camera, whole, tmp_path):
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        small_dataset.build(photos, tmp_path / "data", camera=camera, backend="dask", scheduler=address)
    assert small_dataset.files_of(tmp_path / "data") == small_dataset.files_of(whole)


def test_a_recipe_gives_the_rows_of_the_shards(photos, camera, whole, tmp_path):
    recipe = small_dataset.build(photos, tmp_path / "data", camera=camera, recipe_only=True)
    data = open_dataset(whole)
    assert recipe.recipe == data.recipe
    for name in data.sets:
        made, stored = (one.open_set(name).batch([2, 0, 1]) for one in (recipe, data))
        for found, expected in zip(made.parts(), stored.parts(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_damage_is_found_and_repaired(whole):
    before = small_dataset.files_of(whole)
    assert verify(whole) == []
    for file in ("full/shard-00001.h5", "isolated/hair/shard-00002.h5"):
        content = bytearray((whole / file).read_bytes())
        content[-100] ^= 4
        (whole / file).write_bytes(content)
    found = [problem.file for problem in verify(whole)]
    assert found == ["full/shard-00001.h5", "isolated/hair/shard-00002.h5"]
    assert repair(whole).remaining == []
    assert small_dataset.files_of(whole) == before


def test_another_camera_in_the_recipe_is_noticed(whole, camera, tmp_path):
    other = tmp_path / "data"
    other.mkdir()
    for file, content in small_dataset.files_of(whole).items():
        (other / file).parent.mkdir(parents=True, exist_ok=True)
        (other / file).write_bytes(content)
    tree = json.loads((other / "dataset.json").read_text())
    del tree["recipe_digest"]  # as in a dataset of an earlier blurgen: else the digest tells already
    text = json.dumps(tree)
    (other / "dataset.json").write_text(text.replace(f'"{camera.demosaic}"', '"bilinear"', 1))
    found = verify(other)
    assert (found != []) == (camera.demosaic != "bilinear")
    (other / "dataset.json").write_text(text.replace(f'"{camera.sensor}"', '"none"', 1))
    assert any("its recipe is not that of" in str(problem) for problem in verify(other))


def test_pictures_are_exported_as_they_are(whole, tmp_path):
    data = open_dataset(whole)
    export(whole, "png", tmp_path / "png")
    pictures = sorted((tmp_path / "png").rglob("*.png"))
    assert len(pictures) == 3 * len(data)
    found = {np.asarray(Image.open(path)).tobytes() for path in pictures}
    assert data[17].clean.tobytes() in found
    assert data[17].blurry.tobytes() in found


def test_it_is_audited_and_described(whole, camera):
    contents = read_contents(whole)
    assert list(compare(contents, contents).findings())
    text = info_text(dataset_info(whole), "it")
    assert f"camera: {camera.motion}" in text
    assert f"sensor {camera.sensor}" in text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (None, [], "recipe: camera: must be `object"),
        (None, None, "recipe: camera must have all of motion, poses, "),
        ("poses", 10**9, "recipe: camera.poses: must be `int` <= 64"),
        ("poses", 32.0, "recipe: camera.poses: must be `int`, got `float`"),
        ("motion", "zoom", "recipe: camera.motion: Invalid enum value 'zoom'"),
        ("motion", {}, "recipe: camera.motion: must be `str`"),
        ("focal_mm", [24, 77, 1], "recipe: camera.focal_mm: must be `array` of length 2"),
        ("focal_mm", "24", "recipe: camera.focal_mm: must be `array`"),
        ("focal_mm", [24, None], "recipe: camera.focal_mm[1]: must be `int`"),
        ("focal_mm", [30, 24], "recipe: camera: 'focal_mm' must ascend"),
        ("sensor", "x" * 100000, "recipe: camera.sensor: Invalid enum value"),
        ("clip_level", True, "recipe: camera.clip_level: must be `int`"),
        ("more", 1, "recipe: camera: Object contains unknown field `more`"),
    ],
)
def test_a_hostile_camera_is_refused_in_one_line(whole, tmp_path, name, value, message):
    tree = json.loads((whole / "dataset.json").read_text())
    if name is None:
        tree["recipe"]["camera"] = value
    else:
        tree["recipe"]["camera"][name] = value
    (tmp_path / "dataset.json").write_text(json.dumps(tree))
    with pytest.raises(InputError) as caught:
        open_dataset(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'dataset.json'}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_sigma": 0.01}, "'noise_sigma' must be 0 with a camera"),
        ({"patch_size": 25}, "'patch_size' must be even with a camera, not 25"),
    ],
)
def test_options_that_do_not_go_with_a_camera_are_refused(photos, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        small_dataset.build(photos, tmp_path / "data", camera=Camera(), **change)


def test_another_formation_in_the_folder_is_refused_by_name(photos, whole, camera):
    with pytest.raises(InputError, match=r"was made from another recipe .*camera\.motion None, there"):
        small_dataset.build(photos, whole)
    other = Camera(motion=camera.motion, poses=64, focal_mm=camera.focal_mm, clip_level=3)
    with pytest.raises(InputError, match=r"camera\.poses 64, there 32"):
        small_dataset.build(photos, whole, camera=other)


def words(photos, kernels, out, *more):
    return [
        *("build-dataset", "--faces", f"folder:{photos}", "--kernels", str(kernels), "--out", str(out)),
        *("--patch-size", "24", "--shard-size", "24", "--per-image", "40", "--class-isolated", "--jobs", "1"),
        *("--formation", "camera", *more),
    ]


@pytest.mark.parametrize("motion", ["shift", "rotation"])
def test_killed_again_and_again_a_build_ends_up_the_same(photos, tmp_path, motion):
    small_dataset.small_bank().save(tmp_path / "kernels.h5")
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "data"
    done = CliRunner().invoke(main, words(photos, tmp_path / "kernels.h5", undisturbed, "--motion", motion))
    assert done.exit_code == 0, done.output
    killed = 0
    for shards in (0, 1, 4):
        process = small_dataset.command(*words(photos, tmp_path / "kernels.h5", out, "--motion", motion))
        deadline = time.monotonic() + 120
        while len(list(out.glob("full/shard-*.h5"))) < shards and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
    assert killed >= 2
    done = CliRunner().invoke(main, words(photos, tmp_path / "kernels.h5", out, "--motion", motion))
    assert done.exit_code == 0, done.output
    assert small_dataset.files_of(out) == small_dataset.files_of(undisturbed)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--formation", "paper", "--poses", "40"), "--poses needs --formation camera"),
        (("--poses", "40"), "--poses needs --motion rotation"),
        (("--noise-sigma", "0.01"), "--noise-sigma is for --formation paper"),
        (("--motion", "rotation", "--focal-mm", "77:24"), "--focal-mm must ascend"),
        (("--motion", "rotation", "--focal-mm", "24"), "must be A:B"),
    ],
)
def test_options_of_the_command_that_do_not_go_together_are_refused(tmp_path, more, message):
    done = CliRunner().invoke(main, words("photos", "kernels.h5", tmp_path / "data", *more))
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "data").exists()


def test_the_stages_of_a_sample_lie_side_by_side(whole, tmp_path):
    data, out = open_dataset(whole), tmp_path / "stages.png"
    done = CliRunner().invoke(main, ["preview", str(whole), "--out", str(out), "--stages", "--rows", "3"])
    assert done.exit_code == 0, done.output
    sheet = np.asarray(Image.open(out))
    row = data[0]
    renderer = Renderer(whole, data.recipe)
    shown = {number: renderer.stages(np.array([data[number].index])) for number in range(len(data))}
    names = ["photograph", "linear", "highlights", "blurred", "noisy", "developed"]
    assert list(shown[0]) == names
    face = data.faces.face(int(row.index["image"])).pixels
    top, left = int(row.index["top"]), int(row.index["left"])
    np.testing.assert_array_equal(shown[0]["photograph"], face[top : top + 24, left : left + 24])
    np.testing.assert_array_equal(shown[0]["developed"], row.blurry)
    assert ((shown[0]["noisy"] > 0).sum(axis=2) <= 1).all()  # a colour a pixel
    width = 24 + 6
    found = 0
    for stages in shown.values():
        for place in np.flatnonzero((sheet[:, 10:34] == stages["photograph"][0]).all((1, 2))):
            tiles = [sheet[place : place + 24, 10 + i * width : 34 + i * width] for i in range(6)]
            if np.array_equal(tiles[0], stages["photograph"]):
                found += all(
                    np.array_equal(tile, stages[name]) for tile, name in zip(tiles, names, strict=True)
                )
    assert found == 3


def test_the_stages_of_a_sample_are_those_of_the_recipe_whatever_its_index_says(whole, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(whole, root)
    with h5py.File(root / "full/shard-00001.h5", "r+") as file:
        index = file["index"][()]
        index["top"] = 2**31 - 1
        file["index"][...] = index
    sheets = [np.asarray(stage_sheet(open_dataset(each), 42)) for each in (whole, root)]
    for top in range(28, len(sheets[0]) - 24, 24 + 18 + 6):  # captions are between the pictures
        assert np.array_equal(*(sheet[top : top + 24] for sheet in sheets))


def test_a_dataset_of_the_paper_has_no_stages(photos, tmp_path):
    root = tmp_path / "data"
    small_dataset.build(photos, root, recipe_only=True)
    words = ["preview", str(root), "--out", str(tmp_path / "s.png"), "--stages"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "No camera took these pictures" in done.output


@pytest.mark.parametrize("reader", ["list", "dataset"])
def test_random_damage_to_a_camera_dataset_is_told(whole, reader):
    script = Path(__file__).with_name("fuzz_readers.py")
    done = subprocess.run(
        [sys.executable, script, whole, reader, "60" if reader == "list" else "6", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
