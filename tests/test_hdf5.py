"""HDF5 files that appear whole or not at all, and readers that trust nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import stat

import h5py
import numpy as np
import pytest

from blurgen.errors import DiskLost, InputError
from blurgen.files.atomic import write_aside
from blurgen.files.hdf5 import (
    contiguous_offset,
    create_plain,
    json_attribute,
    open_plain,
    plain_dataset,
    read_all,
    text_attribute,
)
from blurgen.files.hdf5_foreign import foreign_bytes, foreign_dataset, read_foreign

DATA = np.arange(3000, dtype="<u2").reshape(30, 100)


def write(path, **datasets):
    with write_aside(path) as aside, create_plain(aside, "test", 3) as file:
        for name, data in datasets.items():
            file.create_dataset(name, data=data)


def test_what_is_written_can_be_read_and_mapped(tmp_path):
    write(tmp_path / "a.h5", data=DATA, empty=np.zeros((0, 5), "u1"))
    with open_plain(tmp_path / "a.h5", "test", 3) as file:
        dataset = plain_dataset(file, "data", "<u2", (None, 100))
        assert (read_all(dataset) == DATA).all()
        offset = contiguous_offset(dataset)
        assert contiguous_offset(plain_dataset(file, "empty", "u1", (None, 5))) == 0
    assert offset % 4096 == 0
    assert (np.memmap(tmp_path / "a.h5", "<u2", "r", offset, DATA.shape) == DATA).all()


def test_a_disk_that_fails_at_once_is_told(tmp_path, monkeypatch):
    write(tmp_path / "a.h5", data=DATA)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("blurgen.files.hdf5_screen.read_at", fail)
        with (
            pytest.raises(InputError, match=r"a\.h5: cannot be read \(Input/output error\)\.$"),
            open_plain(tmp_path / "a.h5", "test", 3),
        ):
            pass


def test_a_file_has_the_usual_permissions(tmp_path):
    before = os.umask(0o022)
    try:
        write(tmp_path / "a.h5", data=DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.h5").stat().st_mode) == 0o644


def test_nothing_appears_and_nothing_is_lost_when_writing_fails(tmp_path):
    write(tmp_path / "a.h5", data=DATA)
    before = (tmp_path / "a.h5").read_bytes()

    def fail():
        with write_aside(tmp_path / "a.h5") as aside:
            assert aside.parent == tmp_path
            aside.write_text("half a file")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write .*nowhere/a.h5: No such file"):
        write(tmp_path / "nowhere" / "a.h5", data=DATA)


def _write_on_a_full_disk(path, answer):
    # A limit on the size of files stands in for a full disk; HDF5 sees the same failing writes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        write(path, first=np.zeros(10_000, "u1"), second=np.zeros(100_000, "u1"), third=np.zeros(10, "u1"))
    except InputError as error:
        answer.send(str(error))


def test_a_full_disk_is_one_clear_line_and_no_crash(tmp_path):
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=_write_on_a_full_disk, args=(tmp_path / "a.h5", there)
    )
    child.start()
    assert here.poll(60)
    assert here.recv() == f"No room left in {tmp_path} for a.h5; free some space or choose another folder."
    child.join(60)
    assert child.exitcode == 0  # HDF5 itself would bring the process down at exit
    assert not list(tmp_path.iterdir())


def _virtual(file):
    layout = h5py.VirtualLayout((30, 100), "<u2")
    layout[:] = h5py.VirtualSource("other.h5", "data", (30, 100))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f.__setitem__("data", h5py.ExternalLink("other.h5", "/data")), "links are not followed"),
        (lambda f: f.__setitem__("data", h5py.SoftLink("/elsewhere")), "links are not followed"),
        (
            lambda f: f.create_dataset("data", (30, 100), "<u2", external=[("other.raw", 0, 6000)]),
            "is stored in another file",
        ),
        (_virtual, "is virtual or compact"),
        (lambda f: f.create_dataset("data", data=DATA, compression="gzip"), "is compressed"),
        (lambda f: f.create_dataset("data", (1 << 40, 100), "<u2"), "claims 219902325555200 bytes"),
        (
            lambda f: f.create_dataset("data", (1 << 40, 100), "<u2", chunks=(1, 100)),
            "is stored in chunks",
        ),
        (lambda f: f.create_dataset("data", data=DATA.astype(">u2")), "is of type >u2, expected"),
        (lambda f: f.create_dataset("data", (30, 100), h5py.string_dtype()), "is of type object"),
        (lambda f: f.create_dataset("data", data=h5py.Empty("<u2")), "has shape None"),
        (lambda f: f.create_dataset("data", data=DATA.T), r"has shape \(100, 30\), expected \(any, 100\)"),
        (lambda f: f.create_group("data"), "is not a dataset"),
        (lambda f: None, "is missing"),
    ],
)
def test_whatever_is_not_plain_is_refused(make, message, tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = "test", 3
        make(file)
    with (
        open_plain(tmp_path / "bad.h5", "test", 3) as file,
        pytest.raises(InputError, match=message) as refusal,
    ):
        plain_dataset(file, "data", "<u2", (None, 100))
    assert "bad.h5" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", 7, "attribute 'format' is not a text"),
        ("format", "other", "is of format 'other', expected 'test'"),
        ("version", "three", "attribute 'version' is not a whole number"),
        ("version", 4, "is version 4 of test; this blurgen reads version 3"),
    ],
)
def test_a_file_of_another_format_is_refused(name, value, message, tmp_path):
    write(tmp_path / "a.h5", data=DATA)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs[name] = value
    with pytest.raises(InputError, match=message), open_plain(tmp_path / "a.h5", "test", 3):
        pass


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_server_that_fails_is_told(tmp_path, monkeypatch, number):
    (tmp_path / "a.h5").write_text("old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("blurgen.files.hdf5.write_at", fail)
        patch.setattr(os, "fstat", fail)
        patch.setattr(os, "unlink", fail)
        with pytest.raises(DiskLost, match=r"a\.h5: .*the disk or its server failed.*run the same command"):
            write(tmp_path / "a.h5", data=DATA)
    assert (tmp_path / "a.h5").read_text() == "old"


def test_what_is_no_hdf5_file_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match=r"text\.h5: not a readable HDF5 file"):
        open_plain(tmp_path / "text.h5", "test", 3).__enter__()
    for path in (tmp_path, tmp_path / "absent.h5", "/dev/null"):
        with pytest.raises(InputError, match="there is no such file"):
            open_plain(path, "test", 3).__enter__()


def test_text_and_json_attributes(tmp_path):
    write(tmp_path / "a.h5", data=DATA)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["long"] = "ä" * 100_000
        file.attrs["json"], file.attrs["deep"], file.attrs["list"] = '{"a": 1}', '{"a":' * 10_000, "[1]"
    with open_plain(tmp_path / "a.h5", "test", 3) as file:
        assert text_attribute(file, "long") == "ä" * 100_000
        assert json_attribute(file, "json") == {"a": 1}
        with pytest.raises(InputError, match="'deep': not valid JSON"):
            json_attribute(file, "deep")
        with pytest.raises(InputError, match="'list': not a JSON object"):
            json_attribute(file, "list")


def read_at_most(file, name, most):
    dataset = foreign_dataset(file, name)
    if foreign_bytes(dataset, name) > most:
        raise InputError(f"{name}: more than {most} bytes")
    return read_foreign(dataset, name)


def test_foreign_files_may_be_compressed_but_not_boundless(tmp_path):
    with h5py.File(tmp_path / "f.mat", "w") as file:
        file.create_dataset("good", data=DATA.astype("f8"), compression="gzip", shuffle=True)
        file.create_dataset("bomb", (1 << 30,), "f8", chunks=(1 << 20,), compression="gzip")
        file.create_dataset("chunk", (10,), "f8", maxshape=(None,), chunks=(1 << 20,), compression="gzip")
        file.create_dataset("lzf", data=DATA, compression="lzf")
        file["link"] = h5py.ExternalLink("other.mat", "/x")
        file.create_dataset("raw", (10,), "f8", external=[("other.raw", 0, 80)])
        file.create_dataset("text", (10,), h5py.string_dtype())
    with h5py.File(tmp_path / "f.mat") as file:
        assert (read_at_most(file, "good", 40_000) == DATA).all()
        for name, message in (
            ("bomb", "more than 40000 bytes"),
            ("chunk", "more than 40000 bytes"),
            ("lzf", "compressed in an unusual way"),
            ("link", "links are not followed"),
            ("raw", "stored in another file"),
            ("text", "expected numbers"),
            ("absent", "missing"),
        ):
            with pytest.raises(InputError, match=message):
                read_at_most(file, name, 40_000)
