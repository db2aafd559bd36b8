"""Points of faces in a text file."""

from __future__ import annotations

import pytest

from blurgen.errors import InputError
from blurgen.faces.landmarks import read_landmarks


def test_several_pictures_and_faces(tmp_path):
    file = tmp_path / "points.txt"
    file.write_text(
        "two friends.jpg 1 2 3 4 5 6 7 8 9 10\n\nb.png\t1.5 2 3 4 5 6 7 8 9 -10\r\n"
        "two friends.jpg 11 12 13 14 15 16 17 18 19 20\n"
    )
    faces = read_landmarks(file)
    assert list(faces) == ["two friends.jpg", "b.png"]
    assert faces["two friends.jpg"][1].tolist() == [[11, 12], [13, 14], [15, 16], [17, 18], [19, 20]]
    assert faces["b.png"][0].tolist() == [[1.5, 2], [3, 4], [5, 6], [7, 8], [9, -10]]


def test_the_list_of_celeba_is_such_a_file(tmp_path):
    file = tmp_path / "list_landmarks_align_celeba.txt"
    file.write_text(
        "202599\n"
        "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x "
        "rightmouth_y \n"
        "000001.jpg  69  109  106  113   77  142   73  152  108  154\n"
    )
    assert read_landmarks(file)["000001.jpg"][0].tolist() == [
        [69, 109],
        [106, 113],
        [77, 142],
        [73, 152],
        [108, 154],
    ]


@pytest.mark.parametrize(
    "line", ["a.jpg 1 2 3", "a.jpg 1 2 3 4 5 6 7 8 9 ten", "1 2 3 4 5 6 7 8 9 10", "a.jpg" + " nan" * 10, "7"]
)
def test_anything_else_is_told_with_its_line(tmp_path, line):
    file = tmp_path / "points.txt"
    file.write_text("a.jpg 1 2 3 4 5 6 7 8 9 10\n\n" + line)
    with pytest.raises(InputError, match=r"points\.txt, line 3: expected a picture's name and ten numbers"):
        read_landmarks(file)


def test_empty_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"\n")
    with pytest.raises(InputError, match=r"empty\.txt holds no lines of a picture's name"):
        read_landmarks(tmp_path / "empty.txt")
    with pytest.raises(InputError, match=r"none\.txt: there is no such file"):
        read_landmarks(tmp_path / "none.txt")
    with pytest.raises(InputError, match="Is a directory"):
        read_landmarks(tmp_path)
