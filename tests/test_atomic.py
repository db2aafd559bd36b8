"""A file appears whole or not at all, whoever writes, and nobody waits for other people's files."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from blurgen.errors import DiskLost, InputError
from blurgen.files import atomic
from blurgen.files.atomic import PART, sync, sync_files, sync_tree, write_aside, write_file


@pytest.fixture
def synced(monkeypatch):
    """Names of the files and folders whose bytes or names the disk was waited for."""
    names, fsync = [], os.fsync

    def remember(descriptor):
        names.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    return names


def test_text_is_utf_8_with_the_line_ends_it_has(tmp_path):
    write_file(tmp_path / "a.txt", "ä\nb\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\nb\r\n"


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    contents = [bytes([i]) * 300_000 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_file(tmp_path / "a", content, wait=False), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_temporary_names_are_told_from_others(tmp_path):
    with write_aside(tmp_path / "a.b") as aside:
        assert PART.fullmatch(aside.name)
    for name in ("a.part", ".a.part", ".a.0123456789abcde.part", ".a.0123456789abcdef.part.png"):
        assert not PART.fullmatch(name)


def test_a_file_is_on_disk_before_its_name_and_a_name_before_the_end(tmp_path, synced):
    write_file(tmp_path / "a", b"1")
    assert [bool(PART.fullmatch(name)) for name in synced] == [True, False]
    assert synced[1] == tmp_path.name
    synced.clear()
    write_file(tmp_path / "a", b"2", wait=False)
    assert synced == []


def test_only_own_files_are_waited_for(tmp_path, synced, monkeypatch):
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("the whole machine is flushed"), raising=False)
    for name in ("ours/a", "ours/below/b", "theirs/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "ours/link").symlink_to(tmp_path / "theirs/c")
    sync_files([tmp_path / "ours/a"])
    assert sorted(synced) == ["a", "ours"]
    synced.clear()
    sync_tree(tmp_path / "ours")
    assert set(synced) == {"a", "b", "ours", "below"}


def test_a_temporary_file_that_is_taken_away_is_told(tmp_path):
    with (
        pytest.raises(DiskLost, match="or another process removed the file"),
        write_aside(tmp_path / "a") as aside,
    ):
        aside.unlink()
    with pytest.raises(FileNotFoundError), write_aside(tmp_path / "a"):
        (tmp_path / "other").read_text()


def test_a_file_system_that_cannot_sync_folders_will_do_but_files_must_be_synced(tmp_path, monkeypatch):
    fsync, number = os.fsync, errno.EINVAL

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_file(tmp_path / "a", b"1")
    number = errno.EIO
    with pytest.raises(DiskLost):
        write_file(tmp_path / "b", b"1")

    def never(_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", never)
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "a")


def test_a_system_that_cannot_open_folders_will_do(tmp_path, monkeypatch):
    """As on Windows, where a file is synced only if it is open for writing."""
    opened, fsync = {}, os.fsync
    real = os.open

    def open_file(path, flags, *more):
        assert not os.path.isdir(path)
        descriptor = real(path, flags, *more)
        opened[descriptor] = flags
        return descriptor

    def sync_what_is_written(descriptor):
        assert opened[descriptor] & os.O_RDWR
        fsync(descriptor)

    monkeypatch.setattr(atomic, "_IS_WINDOWS", True)
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "fsync", sync_what_is_written)
    write_file(tmp_path / "a", b"1")
    sync_tree(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_name_that_cannot_be_taken_is_told_in_one_line(tmp_path, monkeypatch, is_folder):
    if is_folder:
        (tmp_path / "a").mkdir()
    else:  # as Windows does where another program holds the file

        def refuse(*_):
            raise PermissionError(errno.EACCES, "Access is denied")

        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match=r"a: cannot be written, (a folder is in|is it open in another)"):
        write_file(tmp_path / "a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == (["a"] if is_folder else [])
