"""Files below a folder: found in order, read once, never from outside."""

from __future__ import annotations

import os

import pytest

from blurgen.errors import InputError
from blurgen.faces.adapters.listing import (
    existing_folder,
    find_files,
    folder_inside,
    listing_digest,
    read_inside,
    read_lines,
)
from blurgen.files.names import printable


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(name))


def test_files_are_found_in_one_order_and_hidden_ones_passed_over(tmp_path):
    fill(tmp_path, "b.png", "a.PNG", "sub/a.png", "c.txt", ".hidden.png", ".cache/x.png", "labels/a.png")
    assert find_files(str(tmp_path), (".png",)) == ["a.PNG", "b.png", "labels/a.png", "sub/a.png"]
    assert find_files(str(tmp_path), (".png",), leave_out=("labels",)) == ["a.PNG", "b.png", "sub/a.png"]


@pytest.mark.parametrize("name", ["a b.png", "a\nb.png", "Ærø – 顔.png", "-rf.png", "a'\"$;.png"])
def test_odd_names_are_found_read_and_printed_on_one_line(tmp_path, name):
    fill(tmp_path, name)
    root = os.path.realpath(tmp_path)
    assert find_files(root, (".png",)) == [name]
    assert read_inside(root, name) == os.fsencode(name)
    assert printable(name).isprintable()


def test_a_name_that_is_no_utf8_can_be_printed_and_stored(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    fill(tmp_path, name)
    assert find_files(str(tmp_path), (".png",)) == [name]
    assert printable(name) == "caf\\xe9.png"
    assert listing_digest(str(tmp_path), [name]) != listing_digest(str(tmp_path), [])


def test_a_link_out_of_the_folder_is_refused_by_name(tmp_path):
    fill(tmp_path, "outside/secret.png", "in/a.png")
    os.symlink(tmp_path / "outside" / "secret.png", tmp_path / "in" / "b.png")
    os.symlink(tmp_path / "in" / "a.png", tmp_path / "in" / "c.png")
    root = os.path.realpath(tmp_path / "in")
    assert read_inside(root, "c.png") == b"in/a.png"
    with pytest.raises(InputError, match=r"b\.png is a link that leads out of the folder"):
        read_inside(root, "b.png")
    with pytest.raises(InputError, match=r"secret\.png is a link that leads out"):
        read_inside(root, "../outside/secret.png")


def test_a_link_to_a_folder_is_not_followed_but_told(tmp_path):
    fill(tmp_path, "outside/secret.png", "in/a.png")
    os.symlink(tmp_path / "outside", tmp_path / "in" / "more")
    os.symlink(tmp_path / "in", tmp_path / "in" / "loop")
    root = os.path.realpath(tmp_path / "in")
    assert find_files(root, (".png",)) == ["a.png", "loop", "more"]
    for name in ("loop", "more"):
        with pytest.raises(InputError, match=name):
            read_inside(root, name)
    with pytest.raises(InputError, match="more is a link that leads out"):
        folder_inside(root, "more", "")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is not a regular file"):
        read_inside(os.path.realpath(tmp_path), "a.png")


def test_a_huge_file_is_refused_unread(tmp_path):
    fill(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"a\.png: has 5 bytes, more than the 4 that are read"):
        read_inside(os.path.realpath(tmp_path), "a.png", 4)


def test_missing_files_and_folders_are_named(tmp_path):
    fill(tmp_path, "file")
    with pytest.raises(InputError, match=r"b\.png: cannot be read \(No such file"):
        read_inside(os.path.realpath(tmp_path), "b.png")
    with pytest.raises(InputError, match=r"nowhere does not exist; give another"):
        existing_folder(str(tmp_path / "nowhere"), "give another")
    with pytest.raises(InputError, match="file is a file, not a folder"):
        existing_folder(str(tmp_path / "file"), "give another")


def test_unreadable_files_and_folders_are_named(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "sub/b.png")

    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied", str(tmp_path / "sub"))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        with pytest.raises(InputError, match=r"a\.png: cannot be read \(Permission denied"):
            read_inside(os.path.realpath(tmp_path), "a.png")
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", denied)
        with pytest.raises(InputError, match="sub cannot be read: Permission denied"):
            find_files(str(tmp_path), (".png",))


def test_the_listing_digest_notices_names_sizes_and_newcomers(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    root = str(tmp_path)
    before = listing_digest(root, ["a.png", "b.png", "c.png"])
    assert before == listing_digest(root, ["a.png", "b.png", "c.png"])
    (tmp_path / "c.png").write_bytes(b"")
    newcomer = listing_digest(root, ["a.png", "b.png", "c.png"])
    (tmp_path / "b.png").write_bytes(b"longer than it was")
    assert len({before, newcomer, listing_digest(root, ["a.png", "b.png", "c.png"])}) == 3


@pytest.mark.parametrize("end", ["\n", "\r", "\v", "\u2028"])
def test_a_list_of_very_many_lines_is_not_taken_apart(tmp_path, end):
    (tmp_path / "list.txt").write_text("a 1" + end + "b 2" + end, "utf-8", newline="")
    assert read_lines(str(tmp_path), "list.txt") == ["a 1", "b 2"]
    (tmp_path / "list.txt").write_text(end * 2_000_001, "utf-8", newline="")
    with pytest.raises(InputError, match=r"list\.txt: has more than 2,000,000 lines"):
        read_lines(str(tmp_path), "list.txt")
