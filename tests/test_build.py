"""A build makes what its recipe says, on any number of workers, and loses nothing whatever ends it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import threading
import time
from pathlib import Path

import naive
import numpy as np
import pytest
import small_dataset
import torch
from filelock import FileLock

import blurgen.building.build
from blurgen.building.build import build_dataset
from blurgen.building.folder_lock import lock_slice
from blurgen.dataset.reading import open_dataset
from blurgen.dataset.shards import ShardWriter, open_shard
from blurgen.errors import DiskLost, InputError
from blurgen.jobs.progress import Silent
from blurgen.labels import CLASS_NAMES
from blurgen.randomness.normal_table import noise_table
from blurgen.randomness.philox import Stream, words
from blurgen.synthesis.engine import Degrader


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return small_dataset.write_photos(tmp_path_factory.mktemp("photos") / "labelled")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos") / "unlabelled"
    return small_dataset.write_photos(folder, 2, labelled=False, seed=9)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """An undisturbed build of 42 triplets in 5 shards, and its class sets."""
    out = tmp_path_factory.mktemp("whole") / "data"
    small_dataset.build(photos, out)
    return out


@pytest.fixture
def half(whole, tmp_path):
    """A build that was stopped: two shards listed, one there but not listed yet, one half written."""
    out = tmp_path / "half"
    shutil.copytree(whole, out)
    tree = json.loads((out / "dataset.json").read_text())
    tree["complete"] = False
    for name, shards in tree["sets"].items():
        tree["sets"][name] = [shard for shard in shards if shard["samples"][0] < 20]
        for shard in shards:
            if shard["samples"][0] >= 30:
                (out / shard["file"]).unlink()
    (out / "dataset.json").write_text(json.dumps(tree))
    (out / "full/.shard-00003.h5.0123abcd.part").write_bytes(b"half")
    return out


# --- what is made -------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["composite", "layered"])
def test_every_pixel_is_that_of_the_format(photos, tmp_path, isolation):
    data = small_dataset.build(photos, tmp_path / "data", isolation=isolation)
    assert len(data) == 42
    for sample in (0, 2, 9, 23, 41):
        row, recipe = data[sample], data.recipe
        planned = naive.plan(3, sample, data.faces.heights, data.faces.widths, 7, 9, 24)
        assert tuple(row.index) == (sample, *planned)
        image, top, left, kernel = planned
        face, weights = data.faces.face(image), data.bank.weights[kernel]
        clean, blurry, mask, isolated, counts = naive.triplet(
            face.pixels, face.labels, weights, 3, sample, top, left, 24, recipe.noise_sigma, isolation
        )
        assert np.array_equal(row.clean, clean)
        assert np.array_equal(row.blurry, blurry)
        assert np.array_equal(row.mask, mask)
        for c, name in enumerate(CLASS_NAMES):
            found = data.find(sample, f"isolated/{name}")
            assert (found is not None) == (200 * counts[c] >= 24 * 24)
            if found is not None:
                alone = data.open_set(f"isolated/{name}")[found]
                assert alone.index["sample"] == sample
                assert np.array_equal(alone.blurry, isolated[c])
                assert np.array_equal(alone.clean, clean)
                assert np.array_equal(alone.mask, mask)


def test_a_float32_convolution_by_torch_gives_the_same_bytes(whole):
    data = open_dataset(whole)
    for sample in range(0, 42, 3):
        row = data[sample]
        kernel = data.bank.weights[row.index["kernel"]].astype(np.float32)
        radius = len(kernel) // 2
        face = data.faces.face(int(row.index["image"])).pixels
        top, left = int(row.index["top"]), int(row.index["left"])
        if min(top, left) < radius or top + 24 + radius > len(face) or left + 24 + radius > face.shape[1]:
            continue
        patch = face[top - radius : top + 24 + radius, left - radius : left + 24 + radius]
        picture = torch.from_numpy(patch.astype(np.float32)).permute(2, 0, 1)[:, None]
        flipped = torch.from_numpy(kernel[::-1, ::-1].copy())[None, None]
        blurred = torch.nn.functional.conv2d(picture, flipped)[:, 0].permute(1, 2, 0)
        halves = words(3, Stream.NOISE, sample, 24 * 24 * 3 // 2).view(np.uint16)
        noise = torch.from_numpy(noise_table(0.03)[halves].reshape(24, 24, 3).astype(np.float32))
        blurry = ((blurred + noise + 16384) / 32768).floor().clamp(0, 255).to(torch.uint8)
        assert np.array_equal(row.blurry, blurry.numpy())


def test_files_are_the_same_whoever_makes_them(photos, whole, tmp_path):
    small_dataset.build(photos, tmp_path / "data", jobs=2)
    assert small_dataset.files_of(tmp_path / "data") == small_dataset.files_of(whole)


def test_workers_start_when_there_is_enough_for_them_and_find_everything_compiled(
    photos, tmp_path, monkeypatch
):
    happened = []
    degrade, run_jobs = Degrader.degrade, blurgen.building.build.run_jobs
    monkeypatch.setattr(Degrader, "degrade", lambda *a, **o: happened.append("made") or degrade(*a, **o))
    monkeypatch.setattr(
        blurgen.building.build, "run_jobs", lambda *a: happened.append("workers") or run_jobs(*a)
    )
    small_dataset.build(photos, tmp_path / "one", jobs=2, shard_size=100)
    assert happened and "workers" not in happened
    happened.clear()
    small_dataset.build(photos, tmp_path / "five", jobs=2)
    assert happened == ["made", "made", "workers"]  # one to compile, the other to see how long it takes
    happened.clear()
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_ALONE", 60.0)
    small_dataset.build(photos, tmp_path / "again", jobs=2)
    assert "workers" not in happened
    assert small_dataset.files_of(tmp_path / "again") == small_dataset.files_of(tmp_path / "five")


def test_unlabelled_faces_give_no_isolated_rows(photos, unlabelled, tmp_path):
    data = build_dataset(
        small_dataset.sources(photos, unlabelled),
        small_dataset.small_bank(),
        tmp_path / "data",
        per_image=2,
        class_isolated=True,
        patch_size=24,
    )
    assert len(data.faces) == 8
    for name in data.sets[1:]:
        rows = data.batch(slice(None), name)
        assert len(rows) > 0
        assert (rows.index["image"] < 6).all()
    assert (data.batch([6, 7, 14, 15]).mask == 255).all()


def test_count_and_shard_size_are_free(photos, tmp_path):
    data = small_dataset.build(photos, tmp_path / "data", count=11, shard_size=4, class_isolated=False)
    assert len(data) == 11
    assert data.sets == ("full",)
    assert sorted(path.name for path in (tmp_path / "data/full").iterdir()) == [
        f"shard-0000{i}.h5" for i in range(3)
    ]


# --- resuming -----------------------------------------------------------------------------------------


def test_the_same_build_again_touches_nothing(photos, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.*") if not path.name.endswith(".lock")}
    small_dataset.build(photos, whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_stopped_build_is_finished_and_what_was_done_stays(photos, half, whole):
    before = {path: path.stat().st_mtime_ns for path in half.rglob("shard-*.h5")}
    assert before
    small_dataset.build(photos, half)
    assert small_dataset.files_of(half) == small_dataset.files_of(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_shard_that_is_gone_or_cut_off_is_made_again(photos, half, whole):
    (half / "full/shard-00000.h5").unlink()
    os.truncate(half / "isolated/skin/shard-00001.h5", 5000)
    os.truncate(half / "full/shard-00002.h5", 5000)
    small_dataset.build(photos, half)
    assert small_dataset.files_of(half) == small_dataset.files_of(whole)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sister_that_is_not_the_one_listed_is_made_again(photos, whole, tmp_path, jobs):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "isolated/hair/shard-00001.h5").unlink()
    sister = out / "isolated/skin/shard-00001.h5"
    last = open_shard(sister).clean[-1].tobytes()  # not the row that is made anew to compare
    content = bytearray(sister.read_bytes())
    content[content.index(last) + 100] ^= 16
    sister.write_bytes(content)
    untouched = out / "full/shard-00001.h5"
    before = untouched.stat().st_mtime_ns
    small_dataset.build(photos, out, jobs=jobs)
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)
    assert untouched.stat().st_mtime_ns == before


def test_what_was_listed_stays_listed_until_it_is_made_again(photos, whole, tmp_path, monkeypatch):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "isolated/hair/shard-00001.h5").unlink()
    (out / "full/shard-00003.h5").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "append", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            small_dataset.build(photos, out)
    assert json.loads((out / "dataset.json").read_text()) | {"complete": True} == json.loads(
        (whole / "dataset.json").read_text()
    )
    assert not small_dataset.build(photos, out, shards=(0, 2)).complete
    assert small_dataset.build(photos, out).complete
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)


def test_a_shard_that_comes_out_other_than_listed_is_told(photos, whole, tmp_path):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    tree = json.loads((out / "dataset.json").read_text())
    tree["sets"]["full"][1]["content"] = "0" * 32
    (out / "dataset.json").write_text(json.dumps(tree))
    (out / "full/shard-00001.h5").unlink()
    with pytest.raises(InputError, match=r"shard-00001\.h5: comes out other than dataset\.json says"):
        small_dataset.build(photos, out)


def test_shards_that_are_not_listed_are_taken_over(photos, whole, tmp_path):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "dataset.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("shard-*.h5")}
    small_dataset.build(photos, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)


@pytest.mark.parametrize(
    ("options", "file"),
    [
        ({"noise_sigma": 0.01}, "full/shard-00000.h5"),
        ({"isolation": "layered"}, "isolated/.*/shard-0000.*"),
        ({"seed": 4}, "full/shard-00000.h5"),
        ({"class_isolated": False}, "isolated/background/shard-0000.*"),
        ({"count": 39}, "full/shard-00003.h5"),
        ({"count": 20}, "full/shard-00002.h5"),
    ],
)
def test_shards_of_another_recipe_that_are_not_listed_are_refused(photos, whole, tmp_path, options, file):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "dataset.json").unlink()
    before = small_dataset.files_of(out)
    with pytest.raises(
        InputError, match=f"{file}: is whole, but of another recipe or made by other versions; give the"
    ):
        small_dataset.build(photos, out, **options)
    assert small_dataset.files_of(out) == before


def test_shards_that_are_not_listed_and_cannot_be_read_are_made_again(photos, whole, tmp_path):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "dataset.json").unlink()
    for path in out.rglob("shard-0000[01].h5"):
        os.truncate(path, 5000)
    small_dataset.build(photos, out)
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)


def test_a_folder_in_place_of_a_listed_shard_is_told(photos, whole, tmp_path):
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    (out / "full/shard-00001.h5").unlink()
    (out / "full/shard-00001.h5").mkdir()
    with pytest.raises(InputError, match=r"shard-00001\.h5: cannot be made, a folder is in its place"):
        small_dataset.build(photos, out)


def test_a_recipe_becomes_shards(photos, whole, tmp_path):
    recipe = small_dataset.build(photos, tmp_path / "data", recipe_only=True)
    assert recipe.complete
    assert not (tmp_path / "data/full").exists()
    assert len(recipe) == 42
    small_dataset.build(photos, tmp_path / "data")
    assert small_dataset.files_of(tmp_path / "data") == small_dataset.files_of(whole)


def test_slices_in_any_order_make_the_whole(photos, whole, tmp_path):
    out = tmp_path / "data"
    assert not small_dataset.build(photos, out, shards=(3, 9)).complete
    partial = small_dataset.build(photos, out, shards=(0, 2))
    assert not partial.complete
    assert partial.batch(slice(None)).index["sample"].tolist() == [*range(20), *range(30, 42)]
    with pytest.raises(InputError, match=r"has 4 of 5 shards only.*run the same"):
        open_dataset(out)
    assert small_dataset.build(photos, out, shards=(2, 3)).complete
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)
    with pytest.raises(InputError, match="'shards' 5:6: the dataset has shards 0 to 4 only"):
        small_dataset.build(photos, out, shards=(5, 6))


# --- refusals -----------------------------------------------------------------------------------------


def test_another_recipe_in_the_folder_is_refused_by_name(photos, whole):
    before = small_dataset.files_of(whole)
    with pytest.raises(InputError, match=r"another recipe \(seed 4, there 3; patch_size 16, there 24\)"):
        small_dataset.build(photos, whole, seed=4, patch_size=16)
    with pytest.raises(InputError, match=r"another recipe \(kernels.digest"):
        build_dataset(
            small_dataset.sources(photos),
            small_dataset.small_bank(seed=1),
            whole,
            per_image=7,
            class_isolated=True,
            patch_size=24,
            shard_size=10,
            seed=3,
        )
    assert small_dataset.files_of(whole) == before


def test_faces_that_changed_are_refused(photos, half, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(photos, changed)
    (changed / "images/001.png").unlink()
    (changed / "labels/001.png").unlink()
    with pytest.raises(InputError, match=r"files of folder:.*changed are not those it was made from"):
        small_dataset.build(changed, half)
    with pytest.raises(InputError, match="made from other faces than"):
        build_dataset(small_dataset.sources(photos, photos), small_dataset.small_bank(), half)


def test_faces_that_were_decoded_before_are_used_only_if_they_are_the_same(photos, unlabelled, tmp_path):
    small_dataset.build(photos, tmp_path / "data", recipe_only=True)
    (tmp_path / "data/dataset.json").unlink()
    with pytest.raises(InputError, match=r"faces\.h5: was made from other faces"):
        small_dataset.build(unlabelled, tmp_path / "data", class_isolated=False)
    before = (tmp_path / "data/faces.h5").stat().st_mtime_ns
    small_dataset.build(photos, tmp_path / "data", recipe_only=True)
    assert (tmp_path / "data/faces.h5").stat().st_mtime_ns == before


def test_damaged_faces_are_noticed_and_made_again_when_deleted(photos, half, whole):
    with (half / "faces.h5").open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        byte = file.read(1)
        file.seek(-100, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(InputError, match=r"faces\.h5: is not what dataset\.json says"):
        small_dataset.build(photos, half)
    (half / "faces.h5").unlink()
    small_dataset.build(photos, half)
    assert small_dataset.files_of(half) == small_dataset.files_of(whole)


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(photos, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes\.txt'"):
        small_dataset.build(photos, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_class_sets_without_labels_are_refused(unlabelled, tmp_path):
    with pytest.raises(InputError, match=r"unlabelled: no face has labels"):
        small_dataset.build(unlabelled, tmp_path / "data")


def test_a_dataset_that_does_not_fit_the_disk_is_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(
        blurgen.building.build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 10**5)
    )
    with pytest.raises(InputError, match=r"do not fit on the disk, which has 100\.0 kB free"):
        small_dataset.build(photos, tmp_path / "data")
    monkeypatch.undo()
    assert small_dataset.build(photos, tmp_path / "data").complete


def test_a_refused_dataset_leaves_room_for_a_smaller_one_but_a_recipe_stays(photos, tmp_path, monkeypatch):
    small_dataset.build(photos, tmp_path / "recipe", recipe_only=True)
    before = (tmp_path / "recipe/dataset.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(
            blurgen.building.build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 0, 1)
        )
        for folder in ("begun", "recipe"):
            with pytest.raises(InputError, match="do not fit"):
                small_dataset.build(photos, tmp_path / folder)
    assert (tmp_path / "recipe/dataset.json").read_bytes() == before
    assert small_dataset.build(photos, tmp_path / "begun", seed=99).complete


def test_a_second_build_in_the_folder_is_refused(photos, half):
    with FileLock(half / ".lock"):
        for options in ({}, {"shards": (0, 1)}):
            with pytest.raises(InputError, match="another build is at work"):
                small_dataset.build(photos, half, **options)
    with FileLock(half / ".slice-0-2.lock"):
        for options in ({}, {"shards": (1, 3)}, {"shards": (0, 2)}):
            with pytest.raises(InputError, match="another build is at work"):
                small_dataset.build(photos, half, **options)
        small_dataset.build(photos, half, shards=(2, 5))
    assert small_dataset.build(photos, half).complete


def test_a_slice_waits_while_another_looks_whether_the_whole_is_being_built(half):
    looking = FileLock(half / ".lock", thread_local=False)
    looking.acquire()
    threading.Timer(0.2, looking.release).start()
    with lock_slice(half, 0, 2), lock_slice(half, 2, 5):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_image": 0}, "'per_image' must be at least 1, not 0"),
        ({"count": 0}, "'count' must be `int` >= 1, not 0"),
        ({"shards": (3, 3)}, "'shards' must be (first, end)"),
        ({"jobs": 0}, "'jobs' must be at least 1"),
        ({"noise_sigma": 0.5}, "'noise_sigma' must be `float` <= 0.2, not 0.5"),
        ({"backend": "mpi"}, "'backend' must be one of"),
        ({"scheduler": "tcp://x:1"}, "'scheduler' is of no use with backend='loky'; leave it out"),
    ],
)
def test_wrong_options_are_refused_before_anything_happens(photos, tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small_dataset.build(photos, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


# --- accidents ----------------------------------------------------------------------------------------


def test_a_machine_thought_dead_that_comes_back_spoils_nothing(photos, whole, tmp_path, monkeypatch):
    complete_shard = blurgen.building.build.complete_shard
    out = tmp_path / "data"
    of_another = out / "full/.shard-00003.h5.0123456789abcdef.part"

    def lose_the_server(renderer, root, number, **options):
        if number < 2:
            return complete_shard(renderer, root, number, **options)
        # Its lock was given to another machine, which has finished the build and begun to repair it.
        shutil.copytree(whole, out, dirs_exist_ok=True)
        of_another.write_bytes(b"half written")
        raise DiskLost("the server failed")

    monkeypatch.setattr(blurgen.building.build, "complete_shard", lose_the_server)
    with pytest.raises(DiskLost):
        small_dataset.build(photos, out)
    assert of_another.exists()
    of_another.unlink()
    assert small_dataset.files_of(out) == small_dataset.files_of(whole)


def test_an_error_in_the_middle_leaves_what_is_done(photos, whole, tmp_path, monkeypatch):
    made, append = [], ShardWriter.append

    def fail_at_last(self, rows):
        made.append(rows)
        if len(made) == 23:
            raise MemoryError
        append(self, rows)

    monkeypatch.setattr(ShardWriter, "append", fail_at_last)
    with pytest.raises(MemoryError):
        small_dataset.build(photos, tmp_path / "data")
    monkeypatch.undo()
    tree = json.loads((tmp_path / "data/dataset.json").read_text())
    assert not tree["complete"]
    assert 0 < len(tree["sets"]["full"]) < 5
    assert not list((tmp_path / "data").rglob("*.part"))
    small_dataset.build(photos, tmp_path / "data")
    assert small_dataset.files_of(tmp_path / "data") == small_dataset.files_of(whole)


class Impatient(Silent):
    """Presses Ctrl+C at the third shard."""

    def __init__(self):
        self.shards = 0

    def bar(self, what, total, unit):
        return self if what == "Making triplets" else Silent()

    def advance(self, count=1, size=0):
        self.shards += 1
        if self.shards == 3:
            raise KeyboardInterrupt


def test_workers_of_a_build_that_was_interrupted_make_nothing_more(photos, tmp_path):
    out = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        small_dataset.build(photos, out, jobs=2, per_image=300, progress=Impatient())
    before = sorted(out.rglob("*.*"))
    time.sleep(1.5)
    assert sorted(out.rglob("*.*")) == before
    assert not list(out.rglob("*.part"))


def build_words(photos, out, kernels, jobs=1):
    return [
        *("build-dataset", "--faces", f"folder:{photos}", "--kernels", kernels, "--out", out),
        *("--patch-size", 24, "--shard-size", 24, "--per-image", 80, "--class-isolated", "--jobs", jobs),
    ]


@pytest.fixture(scope="module")
def large(photos, tmp_path_factory):
    """An undisturbed build by the command line: 480 triplets in 20 shards, 5 sets."""
    folder = tmp_path_factory.mktemp("large")
    small_dataset.small_bank().save(folder / "kernels.h5")
    done = small_dataset.command(*build_words(photos, folder / "data", folder / "kernels.h5"))
    output, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    assert "480 triplets, complete" in output
    return folder


def stop_midway(process, out, number, *, shards):
    """Send a signal to the build and all its workers once there are so many shards."""
    deadline = time.monotonic() + 300
    while len(list(out.glob("full/shard-*.h5"))) < shards and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
        process.wait()
        for left in Path("/dev/shm").glob(f"*loky-{process.pid}-*"):
            left.unlink(missing_ok=True)  # its semaphores, which nobody else removes
    else:
        process.send_signal(number)


def test_killed_again_and_again_a_build_ends_up_the_same(photos, large, tmp_path):
    out = tmp_path / "data"
    killed = 0
    for shards, jobs in ((0, 1), (1, 1), (5, 2), (11, 1), (15, 2)):
        process = small_dataset.command(*build_words(photos, out, large / "kernels.h5", jobs))
        stop_midway(process, out, signal.SIGKILL, shards=shards)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
    assert killed >= 4
    words = build_words(photos, out, large / "kernels.h5")
    process = small_dataset.command(*words)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert small_dataset.files_of(out) == small_dataset.files_of(large / "data")


def test_an_interrupted_build_says_so_and_can_be_finished(photos, large, tmp_path):
    out = tmp_path / "data"
    words = build_words(photos, out, large / "kernels.h5", jobs=2)

    def heed_interrupts():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in the background of a shell ignores them

    process = small_dataset.command(*words, preexec_fn=heed_interrupts)
    stop_midway(process, out, signal.SIGINT, shards=5)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.strip().endswith("Interrupted.")
    process = small_dataset.command(*words)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert small_dataset.files_of(out) == small_dataset.files_of(large / "data")


def test_a_full_disk_is_told_in_one_line_and_the_build_can_be_finished(photos, large, tmp_path):
    out = tmp_path / "data"
    words = build_words(photos, out, large / "kernels.h5")
    full = (large / "data/full/shard-00000.h5").stat().st_size

    def quota():
        # Full shards are the largest: they do not fit, what is smaller does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (full - 1000, full - 1000))

    assert (large / "data/faces.h5").stat().st_size < full - 1000
    process = small_dataset.command(*words, preexec_fn=quota)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert errors.splitlines()[-1].startswith("Error: No room left in ")
    assert "Traceback" not in errors
    assert not list(out.rglob("*.part"))
    process = small_dataset.command(*words)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert small_dataset.files_of(out) == small_dataset.files_of(large / "data")
