"""faces.h5: what is written is read back; nothing half-done or hostile is believed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import xxhash
from counting import Counting
from small_faces import MIN_SIDE, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import Face, parse_source
from blurgen.faces import store as store_module
from blurgen.faces.store import FaceStore, write_store


@dataclass(frozen=True)
class Made:
    """Faces out of thin air: number -> face, "bad" -> InputError, "bug" -> another error."""

    what: tuple
    spec: str = "made:1"

    def __len__(self):
        return len(self.what)

    def name(self, i):
        return f"{self.spec}:{i}.png"

    def read(self, i):
        kind = self.what[i]
        if kind == "bad":
            raise InputError(f"{self.name(i)} is broken")
        if kind == "bug":
            raise RuntimeError("a bug")
        height, width = 130 + kind % 5, 128 + kind % 7
        labels = face_labels(height, width, 64, 60)
        pixels = face_pixels(labels, kind)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        return Face(pixels, None if kind % 3 == 0 else labels, f"näme {kind}", self.name(i), digest, kind)

    def describe(self):
        return {"source": "made", "count": len(self)}


def assert_same_face(a: Face, b: Face):
    assert np.array_equal(a.pixels, b.pixels)
    assert (a.labels is None) == (b.labels is None)
    assert a.labels is None or np.array_equal(a.labels, b.labels)
    assert (a.id, a.name, a.digest, a.identity) == (b.id, b.name, b.digest, b.identity)


def test_every_face_comes_back(tmp_path):
    source = Made((1, 2, 3, 4, 5, 6))
    report = write_store(tmp_path / "faces.h5", [source])
    store = FaceStore(tmp_path / "faces.h5")
    assert len(store) == report.count == 6
    for i in range(6):
        assert_same_face(store.face(i), source.read(i))
    assert store.labelled.tolist() == [True, True, False, True, True, False] and report.labelled == 4
    assert report.pixels == store.labels.size == store.pixels.size // 3
    assert os.listdir(tmp_path) == ["faces.h5"]


def test_the_file_is_as_the_format_says(tmp_path):
    """Read with h5py alone, from FORMAT.md."""
    source = Made((1, 2, 3))
    report = write_store(tmp_path / "faces.h5", [source])
    with h5py.File(tmp_path / "faces.h5", "r") as file:
        assert file.attrs["format"] == "blurgen-faces" and file.attrs["version"] == 1
        assert json.loads(file.attrs["made_with"])["sources"] == [{"source": "made", "count": 3, "faces": 3}]
        table, pixels, labels = file["table"][:], file["pixels"][:], file["labels"][:]
        assert file["pixels"].chunks is None and file["labels"].compression is None
    assert table.dtype.names == ("offset", "height", "width", "id", "name", "identity", "labelled", "digest")
    for i, row in enumerate(table):
        face = source.read(i)
        size = int(row["height"]) * int(row["width"])
        assert face.pixels.tobytes() == pixels[3 * int(row["offset"]) :][: 3 * size].tobytes()
        expected = np.full(size, 255, np.uint8) if face.labels is None else face.labels.ravel()
        assert np.array_equal(expected, labels[int(row["offset"]) :][:size])
        assert (str(row["id"], "utf-8"), str(row["digest"], "utf-8")) == (face.id, face.digest)
        assert row["labelled"] == (face.labels is not None) and row["identity"] == face.identity
    digest = xxhash.xxh3_128(pixels.tobytes() + labels.tobytes())
    digest.update(table["height"].astype("<u4").tobytes() + table["width"].astype("<u4").tobytes())
    assert digest.hexdigest() == report.digest == FaceStore(tmp_path / "faces.h5").digest


@pytest.mark.parametrize("jobs", [2])
def test_the_file_is_the_same_for_any_number_of_workers(tmp_path, jobs):
    labels = face_labels(200, 180, 90, 80)
    for i in range(70):
        write_picture(tmp_path / "p" / "images" / f"{i}.png", face_pixels(labels[: 130 + i], i))
        write_picture(tmp_path / "p" / "labels" / f"{i}.png", labels[: 130 + i])
    (tmp_path / "p" / "images" / "33.png").write_bytes(b"broken")
    source = parse_source(f"folder:{tmp_path / 'p'}", min_side=MIN_SIDE)
    one = write_store(tmp_path / "1.h5", [source])
    many = write_store(tmp_path / "2.h5", [source], jobs=jobs)
    assert one == many and one.count == 69
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_sources_are_mixed_in_order_and_counted(tmp_path):
    first, second = Made((1, 2)), Made((5, "bad", 4), "made:2")
    report = write_store(tmp_path / "f.h5", [first, second])
    store = FaceStore(tmp_path / "f.h5")
    assert [store.name(i) for i in range(4)] == [
        "made:1:0.png",
        "made:1:1.png",
        "made:2:0.png",
        "made:2:2.png",
    ]
    assert report.per_source == (2, 2)
    assert [entry["faces"] for entry in store.made_with["sources"]] == [2, 2]


def test_broken_faces_are_skipped_and_named(tmp_path):
    report = write_store(tmp_path / "f.h5", [Made((1, "bad", 2, "bad"))])
    expected = [{"name": f"made:1:{i}.png", "reason": f"made:1:{i}.png is broken"} for i in (1, 3)]
    assert [{"name": one.name, "reason": one.reason} for one in report.skipped] == expected
    store = FaceStore(tmp_path / "f.h5")
    assert store.made_with["skipped"] == expected and store.made_with["skipped_count"] == 2
    assert report.count == len(store) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_with_on_error_fail_the_first_broken_face_ends_it_and_nothing_is_left(tmp_path, jobs):
    source = Made((*range(1, 70), "bad", *range(70, 90), "bad"))
    with pytest.raises(InputError, match=r"made:1:69\.png is broken"):
        write_store(tmp_path / "f.h5", [source], on_error="fail", jobs=jobs)
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_an_older_file_alone(tmp_path):
    write_store(tmp_path / "f.h5", [Made((1,))])
    before = (tmp_path / "f.h5").read_bytes()
    with pytest.raises(RuntimeError, match="a bug"):
        write_store(tmp_path / "f.h5", [Made((2, "bug"))])
    assert (tmp_path / "f.h5").read_bytes() == before and os.listdir(tmp_path) == ["f.h5"]


def test_a_source_without_a_usable_face_is_named(tmp_path):
    with pytest.raises(InputError, match=r"made:2 has no face that can be used: made:2:0\.png is broken"):
        write_store(tmp_path / "f.h5", [Made((1, 2)), Made(("bad", "bad"), "made:2")])
    assert os.listdir(tmp_path) == []


def test_copies_of_a_face_are_kept_once_and_named(tmp_path):
    report = write_store(tmp_path / "f.h5", [Made((1, 2, 1)), Made((2, 3), "made:2")])
    assert [(one.name, one.reason) for one in report.skipped] == [
        ("made:1:2.png", "made:1:2.png is the same as made:1:0.png."),
        ("made:2:0.png", "made:2:0.png is the same as made:1:1.png."),
    ]
    store = FaceStore(tmp_path / "f.h5")
    assert [store.face(i).identity for i in range(3)] == [1, 2, 3]
    assert_same_face(store.face(2), Made((2, 3), "made:2").read(1))


def test_the_same_source_twice_has_nothing_to_add(tmp_path):
    with pytest.raises(InputError, match=r"made:1 has no face that can be used: .* is the same as"):
        write_store(tmp_path / "f.h5", [Made((1, 2)), Made((1, 2))])


def test_progress_counts_every_face(tmp_path):
    done = Counting()
    source = Made((*range(1, 40), "bad"))
    write_store(tmp_path / "f.h5", [source, Made((50,))], progress=done)
    assert done.total == sum(done.counts) == 41 and len(done.counts) >= 3


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="Argument 'on_error' must be one of skip, fail"):
        write_store(tmp_path / "f.h5", [Made((1,))], on_error="ignore")
    with pytest.raises(ValueError, match="Argument 'sources'"):
        write_store(tmp_path / "f.h5", [])
    with pytest.raises(InputError, match=r"Cannot write .*nowhere.f\.h5"):
        write_store(tmp_path / "nowhere" / "f.h5", [Made((1,))])


def test_a_source_that_breaks_its_promises_is_a_bug_not_a_bad_file(tmp_path, monkeypatch):
    good = Made((1,)).read(0)
    for pixels in (good.pixels.astype(np.float32), good.pixels[:-1], good.pixels[..., :2]):
        bad = Face(pixels, good.labels, good.id, good.name, good.digest)
        monkeypatch.setattr(Made, "read", lambda self, i, bad=bad: bad)
        with pytest.raises(ValueError, match=r"made:1:0\.png"):
            write_store(tmp_path / "f.h5", [Made((1,))])


def test_very_many_skipped_files_are_counted_beyond_those_that_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_NAMED_BYTES", 500)
    report = write_store(tmp_path / "f.h5", [Made((1, *["bad"] * 50))])
    made_with = FaceStore(tmp_path / "f.h5").made_with
    assert len(report.skipped) == made_with["skipped_count"] == 50
    assert 0 < len(made_with["skipped"]) < 50


def test_more_than_64_kb_of_skipped_files_fit_into_the_attribute(tmp_path):
    write_store(tmp_path / "f.h5", [Made((1, *["bad"] * 1500))])
    assert len(FaceStore(tmp_path / "f.h5").made_with["skipped"]) == 1500


# --- reading -------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    write_store(tmp_path / "faces.h5", [Made((1, 2, 3, 4))])
    return tmp_path / "faces.h5"


def test_the_views_are_mapped_and_read_only(path):
    store = FaceStore(path)
    assert isinstance(store.pixels, np.memmap) and isinstance(store.labels, np.memmap)
    assert not store.pixels.flags.writeable
    assert (store.offsets.dtype, store.heights.dtype, store.widths.dtype) == (np.int64,) * 3
    start, size = store.offsets[2], store.heights[2] * store.widths[2]
    shown = store.pixels[3 * start : 3 * (start + size)].reshape(store.heights[2], store.widths[2], 3)
    assert np.array_equal(shown, Made((3,)).read(0).pixels)


def test_a_closed_store_opens_itself_again(path):
    store = FaceStore(path)
    before = store.pixels[:10].tolist()
    store.close()
    assert store.pixels[:10].tolist() == before


def _sum_of_pixels(store):
    return int(store.pixels.sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_store_works_in_other_processes(path, method):
    store = FaceStore(path)
    expected = int(store.pixels.sum())  # mapped before the process is made
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_sum_of_pixels, (store,)) == expected


def test_a_pickled_store_is_small_and_finds_its_file_again(path):
    sent = pickle.dumps(FaceStore(path))
    assert len(sent) < 1000
    assert_same_face(pickle.loads(sent).face(1), FaceStore(path).face(1))
    os.remove(path)
    with pytest.raises(InputError, match=r"faces\.h5"):
        pickle.loads(sent)


def change(path, name, edit):
    """Replace a dataset of the file by ``edit(its contents)``."""
    with h5py.File(path, "r+") as file:
        data = file[name][:]
        del file[name]
        file.create_dataset(name, data=edit(data))


def edited(table, column, row, value):
    table = table.copy()
    table[column][row] = value
    return table


HOSTILE = {
    "an offset beyond the end": ("table", lambda t: edited(t, "offset", 1, 2**63)),
    "an offset that wraps around": ("table", lambda t: edited(t, "offset", 1, 2**64 - 1)),
    "overlapping faces": ("table", lambda t: edited(t, "offset", 1, 0)),
    "a first offset that is not 0": ("table", lambda t: edited(t, "offset", 0, 5)),
    "a height beyond the end": ("table", lambda t: edited(t, "height", 3, 2**32 - 1)),
    "a size that wraps around": (
        "table",
        lambda t: edited(edited(t, "height", 3, 2**32 - 1), "width", 3, 2**32 - 1),
    ),
    "no height": ("table", lambda t: edited(t, "height", 0, 0)),
    "no faces": ("table", lambda t: t[:0]),
    "a face too few": ("table", lambda t: t[:-1]),
    "missing pixels": ("pixels", lambda p: p[:-3]),
    "pixels that are no bytes": ("pixels", lambda p: p.astype(np.uint16)),
    "pixels of another shape": ("pixels", lambda p: p.reshape(-1, 3)),
    "missing labels": ("labels", lambda p: p[:-1]),
    "a table without a column": ("table", lambda t: t[["offset", "height", "width"]]),
    "a table that is none": ("table", lambda t: np.zeros(4)),
    "signed heights": (
        "table",
        lambda t: t.astype([(n, "<i4" if n == "height" else t.dtype[n]) for n in t.dtype.names]),
    ),
    "names that are numbers": (
        "table",
        lambda t: np.zeros(4, [(n, "<f8" if n == "name" else t.dtype[n]) for n in t.dtype.names]),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_table_that_lies_is_refused_by_name(path, case):
    change(path, *HOSTILE[case])
    with pytest.raises(InputError, match=r"faces\.h5") as caught:
        FaceStore(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_by_name(tmp_path, path):
    for name, data in (("empty", b""), ("text", b"hello" * 100), ("cut", path.read_bytes()[:-5000])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            FaceStore(tmp_path / name)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "blurgen-kernels"
    with pytest.raises(InputError, match="blurgen-kernels"):
        FaceStore(path)


def test_values_that_are_no_labels_are_noticed_when_the_face_is_read(path):
    change(path, "labels", lambda values: np.full_like(values, 77))
    with pytest.raises(InputError, match=r"face 0 holds values that are no labels"):
        FaceStore(path).face(0)


def test_names_that_are_no_utf8_are_noticed_when_they_are_read(path):
    with h5py.File(path, "r+") as file:
        table = file["table"][:]
        table["name"][0] = b"\xff\xfe"
        file["table"][...] = table
    with pytest.raises(InputError, match="no UTF-8"):
        FaceStore(path).name(0)
