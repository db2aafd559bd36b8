"""Pictures lie in their rows and columns, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from umsn.evaluation.strips import LARGEST_SIDE, Tile, sheet


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def place_of(page, picture):
    """Return where the page shows a picture, (top, left)."""
    windows = np.lib.stride_tricks.sliding_window_view(page, picture.shape)[..., 0, :, :, :]
    (found,) = np.argwhere((windows == picture).all(axis=(-1, -2, -3)))
    return tuple(found)


def test_pictures_of_any_size_stand_in_line():
    rows = [[noise(30, 20, 1), noise(20, 40, 2)], [noise(10, 10, 3), noise(25, 30, 4)]]
    page = np.asarray(sheet([[Tile(p, "text") for p in row] for row in rows], ["left", "right"]))
    places = [[place_of(page, picture) for picture in row] for row in rows]
    assert places[0][0][0] == places[0][1][0] < places[1][0][0] == places[1][1][0]
    assert places[0][0][1] == places[1][0][1] < places[0][1][1] == places[1][1][1]


def test_an_empty_place_is_paper():
    page = np.asarray(sheet([[None, Tile(noise(20, 20))]], ["", ""]))
    assert (page[20:, :6] == 255).all()
    assert place_of(page, noise(20, 20))


def test_a_column_without_pictures_has_room_for_its_heading():
    page = sheet([[Tile(noise(20, 60)), None, Tile(noise(20, 60))]], ["one", "nothing", "two"])
    assert page.width == 3 * 60 + 4 * 6


def test_large_pictures_are_shown_smaller():
    page = sheet([[Tile(noise(800, 400))]], ["large"])
    assert page.height < LARGEST_SIDE + 40 and page.width < LARGEST_SIDE / 2 + 20


def test_headings_are_broken_at_spaces():
    one, two = (sheet([[Tile(noise(20, 60))]], [heading]) for heading in ("B-Net", "B-Net and more words"))
    assert two.height > one.height and two.width == one.width


def test_a_caption_may_have_lines():
    heights = [sheet([[Tile(noise(20, 60), text)]] * 2, ["a"]).height for text in ("", "one", "one\ntwo")]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="one tile for each heading"):
        sheet([[Tile(noise(4, 4))]], ["a", "b"])
    with pytest.raises(ValueError, match="one tile for each heading"):
        sheet([], [])
