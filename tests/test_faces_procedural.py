"""The built-in faces: the same bytes everywhere, labels that fit, and files that are never spoiled."""

from __future__ import annotations

import hashlib
import pickle
import re
import subprocess
import sys

import naive
import numpy as np
import pytest
from click.testing import CliRunner
from counting import Counting
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from PIL import Image

import blurgen.faces.procedural.folder
import blurgen.jobs.parallel
from blurgen.errors import InputError
from blurgen.faces import in_split, parse_source
from blurgen.faces.procedural import draw_face, write_faces
from blurgen.faces.procedural.noise import fractal_noise, hashed, value_noise
from blurgen.faces.procedural.render import render
from blurgen.labels import CLASS_OF_LABEL, Label
from blurgen_cli.faces import make_faces

SMALL = 96
MANY = 50


@pytest.fixture(scope="module")
def many():
    """Fifty faces: uint8 [50, 96, 96, 3] and [50, 96, 96]."""
    faces = [draw_face(number, 0, SMALL) for number in range(MANY)]
    return np.stack([pixels for pixels, _ in faces]), np.stack([labels for _, labels in faces])


def _digest(number, seed, size):
    pixels, labels = draw_face(number, seed, size)
    return hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()


def test_faces_are_the_same_bytes_on_every_machine():
    """Golden digests. Whoever changes the drawing raises DRAWING in source.py along with these."""
    assert _digest(0, 0, 64) == "44edda5d218de95f0e55e21a920ed6bd1fd24e159cd1a410c72c01261936289e"
    assert (
        _digest(2**40 + 7, 2**63 + 1, 80)
        == "be8ff2bb3b332bff26884e5af6ee25f466f8f3b8b404da7b18649b369cb3bb68"
    )


@pytest.fixture(scope="module")
def assembly():
    """The machine code of the whole drawing, compiled anew."""
    draw_face(0, 0, 64)
    fresh = njit(error_model="numpy", nogil=True)(render.py_func)
    fresh.compile(render.signatures[0])
    (text,) = fresh.inspect_asm().values()
    assert len(text) > 100_000
    return text


def test_no_fused_multiply_add_is_compiled(assembly):
    """A fused multiply-add rounds once where other machines round twice."""
    assert not re.search(r"\bv?fn?m(add|sub|la|ls)", assembly)


def test_no_mathematical_library_is_called(assembly):
    """Different C libraries give different last digits of sines and powers."""
    assert not re.search(r"\b(sin|cos|tan|exp|exp2|log|pow|atan2?|cbrt|hypot|fmod|fma)f?\b", assembly)


def test_order_of_calls_and_repetition_change_nothing():
    first = [draw_face(number, 5, 64) for number in (3, 1, 2)]
    again = [draw_face(number, 5, 64) for number in (1, 2, 3)]
    for i, j in ((0, 2), (1, 0), (2, 1)):
        np.testing.assert_array_equal(first[i][0], again[j][0])
        np.testing.assert_array_equal(first[i][1], again[j][1])


def test_other_numbers_and_seeds_are_other_faces(many):
    pixels, _ = many
    assert len({face.tobytes() for face in pixels}) == MANY
    for seed in (1, 2**32, 2**63):
        assert not np.array_equal(draw_face(0, seed, SMALL)[0], pixels[0])
    assert not np.array_equal(draw_face(2**32, 0, SMALL)[0], pixels[0])


@settings(max_examples=15, deadline=None)
@given(
    number=st.integers(0, 2**64 - 1), seed=st.integers(0, 2**64 - 1), size=st.sampled_from([64, 65, 100, 128])
)
def test_any_face_has_eyes_nose_and_mouth_where_they_belong(number, seed, size):
    pixels, labels = draw_face(number, seed, size)
    assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8
    assert labels.shape == (size, size) and labels.dtype == np.uint8
    assert labels.max() <= Label.HAIR
    row, column = _centre(labels, Label.NOSE)
    assert 0.3 * size < column < 0.7 * size
    assert _centre(labels, Label.RIGHT_EYE)[1] < column < _centre(labels, Label.LEFT_EYE)[1]
    assert max(_centre(labels, Label.RIGHT_EYE)[0], _centre(labels, Label.LEFT_EYE)[0]) < row
    assert row < _centre(labels, Label.UPPER_LIP)[0] < _centre(labels, Label.LOWER_LIP)[0]
    assert pixels.std() > 8


def _centre(labels, label):
    rows, columns = np.nonzero(labels == label)
    assert rows.size, f"no {Label(label).name}"
    return rows.mean(), columns.mean()


def test_pupils_are_as_far_apart_as_in_aligned_photographs(many):
    _, labels = many
    apart = [
        np.hypot(*np.subtract(_centre(face, Label.LEFT_EYE), _centre(face, Label.RIGHT_EYE))) / SMALL
        for face in labels
    ]
    assert 0.19 < np.mean(apart) < 0.23
    assert min(apart) > 0.15 and max(apart) < 0.25


def test_every_label_and_class_has_its_share(many):
    _, labels = many
    share = np.array([[np.mean(face == label) for label in range(11)] for face in labels])
    present = (share > 0).mean(axis=0)
    assert (present[[0, 1, 4, 5, 6, 7, 9]] == 1).all()
    assert (present[[2, 3]] > 0.9).all()  # a fringe may hide a brow
    assert 0.4 < present[Label.INNER_MOUTH] < 0.9
    assert present[Label.HAIR] > 0.9
    classes = np.array([[np.mean(CLASS_OF_LABEL[face] == i) for i in range(4)] for face in labels]).mean(
        axis=0
    )
    assert classes[0] > 0.25 and classes[1] > 0.15 and classes[2] > 0.03 and classes[3] > 0.08
    assert share[:, Label.NOSE].max() < 0.1 and share[:, Label.LEFT_EYE].max() < 0.03


def test_label_edges_are_edges_in_the_picture(many):
    """Pixels differ more across a border of labels than within a region."""
    pixels, labels = many
    step = np.abs(np.diff(pixels.astype(int), axis=2)).sum(axis=-1)
    border = labels[:, :, 1:] != labels[:, :, :-1]
    assert step[border].mean() > 2 * step[~border].mean()


def test_pictures_hold_fine_detail():
    """The spectrum falls off about as in photographs: neither flat as noise nor empty at the top."""
    power = np.zeros((128, 128))
    for number in range(16):
        grey = draw_face(number, 0, 128)[0].mean(axis=-1)
        window = np.hanning(128)
        power += np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * window * window[:, None]))) ** 2
    y, x = np.indices(power.shape) - 64
    radius = np.hypot(x, y)
    rings = [power[(radius >= low) & (radius < 2 * low)].mean() for low in (4, 8, 16, 32)]
    slope = np.polyfit(np.arange(4), np.log2(rings), 1)[0]
    assert -3.2 < slope < -1.4


@pytest.mark.parametrize("size", [192, 256, 512])
def test_size_changes_resolution_not_geometry(size):
    _, small = draw_face(4, 0, 128)
    _, large = draw_face(4, 0, size)
    nearest = ((np.arange(128) + 0.5) * size / 128).astype(int)
    assert np.mean(large[np.ix_(nearest, nearest)] == small) > 0.95
    for label in (Label.LEFT_EYE, Label.RIGHT_EYE, Label.NOSE, Label.LOWER_LIP):
        np.testing.assert_allclose(
            np.array(_centre(large, label)) / size, np.array(_centre(small, label)) / 128, atol=0.008
        )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, 0, 63), "size"), ((0, 0, 4096), "size"), ((-1,), "number"), ((0, 2**64), "seed")],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=f"Argument '{named}' must be"):
        draw_face(*arguments)


def test_noise_is_what_its_slow_twin_says():
    rng = np.random.default_rng(1)
    for x, y in rng.uniform(-40, 40, (200, 2)):
        salt = int(rng.integers(0, 2**31))
        assert hashed(int(x), int(y), salt) == naive.hashed(int(x), int(y), salt)
        assert value_noise(x, y, salt) == naive.value_noise(x, y, salt)
        assert fractal_noise(x, y, 4, salt) == naive.fractal_noise(x, y, 4, salt)


def test_noise_fills_its_range_evenly():
    values = np.array([hashed(i % 200, i // 200, 7) for i in range(40_000)])
    assert values.min() >= 0 and values.max() < 1
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    assert np.abs(counts - 2000).max() < 250
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


def test_source_reads_labelled_faces_and_travels_to_workers():
    source = parse_source("procedural:6:9", min_side=156)
    assert len(source) == 6 and source.spec == "procedural:6:9"
    face = pickle.loads(pickle.dumps(source)).read(4)
    pixels, labels = draw_face(4, 9)
    np.testing.assert_array_equal(face.pixels, pixels)
    np.testing.assert_array_equal(face.labels, labels)
    assert face.name == source.name(4) == "procedural:9/000004"
    assert face.id == "9-000004"
    assert face.digest == hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    assert source.describe() == parse_source("procedural:6:9", min_side=156).describe()
    assert source.describe() != parse_source("procedural:7:9", min_side=156).describe()
    assert source.describe() != parse_source("procedural:6:8", min_side=156).describe()


def test_faces_grow_with_the_patch():
    assert parse_source("procedural:1", min_side=284, patch_size=256).read(0).pixels.shape == (284, 284, 3)


def test_train_and_test_parts_share_no_face():
    parts = {part: parse_source("procedural:400:3", min_side=156, split=part) for part in ("train", "test")}
    numbers = [set(parts[part].numbers) for part in ("train", "test")]
    assert numbers[0] | numbers[1] == set(range(400)) and not numbers[0] & numbers[1]
    assert 20 <= len(numbers[1]) <= 60
    name = parts["test"].name(0)
    assert in_split(hashlib.sha256(name.encode()).hexdigest(), "test")


def test_limit_takes_some_of_the_faces():
    taken = parse_source("procedural:50", min_side=156, limit=5, seed=2)
    assert len(taken) == 5 and set(taken.numbers) < set(range(50))
    assert taken.numbers == parse_source("procedural:50", min_side=156, limit=5, seed=2).numbers


@pytest.mark.parametrize(
    "spec",
    [
        "procedural:0",
        "procedural:x",
        "procedural:5:",
        "procedural:-3",
        "procedural:5:1:2",
        "procedural:5:9e3",
    ],
)
def test_bad_specs_are_refused_in_one_line(spec):
    with pytest.raises(InputError, match="procedural") as caught:
        parse_source(spec, min_side=156)
    assert "\n" not in str(caught.value)


def test_parts_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="validation"):
        parse_source("procedural:5", min_side=156, split="validation")
    with pytest.raises(InputError, match="more faces"):
        parse_source("procedural:1", min_side=156, split="test")


def test_written_faces_are_a_folder_source(tmp_path):
    out = tmp_path / "faces"
    assert write_faces(out, 3, size=128, seed=4) == 3
    source = parse_source(f"folder:{out}", min_side=128, patch_size=100)
    assert len(source) == 3
    for i in range(3):
        pixels, labels = draw_face(i, 4, 128)
        np.testing.assert_array_equal(source.read(i).pixels, pixels)
        np.testing.assert_array_equal(source.read(i).labels, labels)


def test_second_run_finishes_the_first_and_jobs_change_nothing(tmp_path):
    write_faces(tmp_path / "one", 4, size=64, jobs=1)
    write_faces(tmp_path / "two", 4, size=64, jobs=2)
    before = _contents(tmp_path / "one")
    assert before == _contents(tmp_path / "two")
    (tmp_path / "one" / "images" / "000002.png").unlink()
    (tmp_path / "one" / "labels" / ".000003.png.0123456789abcdef.part").write_bytes(b"cut off")
    done = Counting()
    assert write_faces(tmp_path / "one", 4, size=64, progress=done) == 1
    assert (done.counts, done.total) == ([1, 1, 1, 1], 4)
    assert _contents(tmp_path / "one") == before


def test_faces_are_compiled_once_before_workers_start(tmp_path, monkeypatch):
    happened = []
    folder = blurgen.faces.procedural.folder
    draw, run_by_joblib = folder.draw_face, blurgen.jobs.parallel._run_by_joblib
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_ALONE", 1e-9)
    monkeypatch.setattr(folder, "draw_face", lambda *a: happened.append("drawn") or draw(*a))
    monkeypatch.setattr(
        blurgen.jobs.parallel, "_run_by_joblib", lambda *a: happened.append("workers") or run_by_joblib(*a)
    )
    assert write_faces(tmp_path / "faces", 4, size=64, jobs=2) == 4
    assert happened == ["drawn", "workers"]


def _contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_two_runs_at_once_are_told_apart_and_tear_nothing(tmp_path):
    out = tmp_path / "faces"
    program = "import sys, blurgen.faces.procedural as faces; faces.write_faces(sys.argv[1], 12, size=64)"
    runs = [
        subprocess.Popen([sys.executable, "-c", program, out], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=120)[1] for run in runs]
    refused = [text for run, text in zip(runs, said, strict=True) if run.returncode]
    assert len(refused) < 3
    assert all("other faces are just being made there" in text.splitlines()[-1] for text in refused)
    for i in range(12):
        with Image.open(out / f"images/{i:06d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), draw_face(i, 0, 64)[0])


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_nothing_is_written_or_removed_outside_the_folder(tmp_path, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".000001.png.0123456789abcdef.part").write_text("mine")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / kind).symlink_to(outside)
    with pytest.raises(InputError, match=f"{kind}: leads out of the folder"):
        write_faces(tmp_path / "faces", 2, size=64)
    assert [path.name for path in outside.iterdir()] == [".000001.png.0123456789abcdef.part"]


def test_a_lock_that_is_a_link_empties_nothing(tmp_path):
    (tmp_path / "letter").write_text("mine")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/.lock").symlink_to(tmp_path / "letter")
    with pytest.raises(InputError, match=r"\.lock: is a link"):
        write_faces(tmp_path / "faces", 2, size=64)
    assert (tmp_path / "letter").read_text() == "mine"


def test_other_files_are_never_overwritten(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "images" / "000000.png")
    holiday = tmp_path / "images" / "000000.png"
    before = holiday.read_bytes()
    with pytest.raises(InputError, match=r"000000\.png shows something else"):
        write_faces(tmp_path, 1, size=64)
    assert holiday.read_bytes() == before
    holiday.rename(tmp_path / "images" / "holiday.png")
    with pytest.raises(InputError, match=r"holds 'holiday\.png'"):
        write_faces(tmp_path, 1, size=64)
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="name a folder"):
        write_faces(tmp_path / "file", 1, size=64)


def test_make_faces_command(tmp_path):
    arguments = ["--count", "2", "--out", str(tmp_path / "out"), "--size", "64", "--seed", "1"]
    result = CliRunner().invoke(make_faces, arguments)
    assert result.exit_code == 0, result.output
    assert "2 faces" in result.output
    with Image.open(tmp_path / "out" / "labels" / "000001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), draw_face(1, 1, 64)[1])
    assert CliRunner().invoke(make_faces, ["--count", "0", "--out", str(tmp_path)]).exit_code == 2
