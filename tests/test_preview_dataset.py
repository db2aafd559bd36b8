"""The contact sheet shows what the dataset holds, each tile in its place."""

from __future__ import annotations

import numpy as np
import pytest
import small_dataset
from PIL import Image

from blurgen.dataset.pictures import LABEL_COLOURS, contact_sheet, save_sheet, sheet_titles
from blurgen.errors import InputError
from blurgen.labels import CLASS_NAMES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preview")
    return small_dataset.build(small_dataset.write_photos(folder / "photos"), folder / "data")


def holds(sheet, tile):
    """Return whether a picture lies somewhere in the sheet, and at which column."""
    height, width = tile.shape[:2]
    for top, left in np.argwhere((sheet == tile[0, 0]).all(-1)):
        if np.array_equal(sheet[top : top + height, left : left + width], tile):
            return int(left)
    return None


def test_every_version_of_a_sample_lies_in_its_column(data):
    sheet = np.asarray(contact_sheet(data, rows=42))
    columns = set()
    for sample in (0, 8, 41):
        row = data[sample]
        tiles = [row.clean, row.blurry, LABEL_COLOURS[row.mask]]
        for name in CLASS_NAMES:
            found = data.find(sample, f"isolated/{name}")
            if found is not None:
                tiles.append(data.open_set(f"isolated/{name}")[found].blurry)
        places = [holds(sheet, tile) for tile in tiles]
        assert None not in places
        assert places == sorted(places)
        columns.update(places)
    assert len(columns) == 7


def test_the_seed_chooses_the_samples(data):
    one, same, other = (np.asarray(contact_sheet(data, rows=3, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_dataset_without_class_sets_has_fewer_columns(data, tmp_path):
    photos = small_dataset.write_photos(tmp_path / "photos", 2, labelled=False)
    plain = small_dataset.build(photos, tmp_path / "data", class_isolated=False)
    assert contact_sheet(plain, rows=2).width < contact_sheet(data, rows=2).width
    # Its masks are plain grey, which looks like a fault unless it is explained.
    assert sheet_titles(plain) == ["clean", "blurry", "mask: no labels", "kernel"]
    assert sheet_titles(data)[:4] == ["clean", "blurry", "mask", "kernel"]


def test_classes_have_colours_of_their_own():
    assert len({tuple(colour) for colour in LABEL_COLOURS[:11]}) == 11
    assert (LABEL_COLOURS[255] == 128).all()


def test_a_name_that_is_no_picture_is_refused(data, tmp_path):
    with pytest.raises(InputError, match=r"sheet\.xyz: cannot be written"):
        save_sheet(contact_sheet(data, rows=1), tmp_path / "sheet.xyz")
    assert not (tmp_path / "sheet.xyz").exists()


@pytest.mark.parametrize("name", ["notes.xyz", "notes", "notes.psd", "notes.xbm"])
def test_a_refused_save_leaves_the_file_of_that_name_alone(data, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"{name}: cannot be written"):
        save_sheet(contact_sheet(data, rows=1), tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["folder", "folder.png"])
def test_a_folder_is_no_place_for_a_sheet(data, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: cannot be written"):
        save_sheet(contact_sheet(data, rows=1), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "format"), [("sheet.PNG", "PNG"), ("sheet.jpg", "JPEG")])
def test_the_name_says_the_format_and_an_old_sheet_is_replaced(data, tmp_path, name, format):
    (tmp_path / name).write_text("old")
    sheet = contact_sheet(data, rows=1)
    save_sheet(sheet, tmp_path / name)
    with Image.open(tmp_path / name) as saved:
        assert (saved.format, saved.size) == (format, sheet.size)


def test_no_rows_are_refused(data):
    with pytest.raises(ValueError, match="'rows' must be at least 1, not 0"):
        contact_sheet(data, rows=0)
