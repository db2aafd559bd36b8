"""Faces are cut out at the scale and place of the paper's aligned faces."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_faces import MIN_SIDE, face_labels, face_pixels

from blurgen.faces.crop import (
    FacePoints,
    Window,
    crop_face,
    crop_labels,
    crop_pixels,
    face_window,
)


def points(eyes_y=200.0, centre_x=250.0, eyes_apart=38.0, mouth=41.0, middle_x=None):
    return FacePoints(
        np.array([centre_x - eyes_apart / 2, eyes_y]),
        np.array([centre_x + eyes_apart / 2, eyes_y]),
        np.array([centre_x, eyes_y + mouth]),
        centre_x if middle_x is None else middle_x,
    )


def test_a_face_of_the_template_size_is_only_cut_out():
    window = face_window(points(), 500, 500, MIN_SIDE)
    assert (window.width, window.height) == (window.right - window.left, window.bottom - window.top)
    assert abs(window.width - 178) <= 1 and abs(window.height - 218) <= 1
    # the eyes lie where they lie in img_align_celeba: middle of the width, 111.2 from above
    assert abs((250 - window.left) - 89) <= 1
    assert abs((200 - window.top) - 111.2) <= 1.5


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.7])
def test_eyes_come_to_lie_at_the_templates_place_at_any_scale(scale):
    side = int(600 * scale)
    place = points(300 * scale, 300 * scale, 38 * scale, 41 * scale)
    window = face_window(place, side, side, MIN_SIDE)
    across = window.width / (window.right - window.left)
    down = window.height / (window.bottom - window.top)
    assert abs(38 * scale * across - 38) < 0.4
    assert abs((300 * scale - window.left) * across - 89) < 1.2
    assert abs((300 * scale - window.top) * down - 111.2) < 1.6


def test_profile_and_raised_faces_keep_their_scale():
    frontal = face_window(points(), 500, 500, MIN_SIDE)
    profile = face_window(points(eyes_apart=12.0), 500, 500, MIN_SIDE)
    raised = face_window(points(mouth=20.0), 500, 500, MIN_SIDE)
    for window in (profile, raised):
        assert abs((window.right - window.left) - (frontal.right - frontal.left)) <= 1


def test_the_head_of_a_profile_is_in_the_picture():
    window = face_window(points(eyes_apart=10.0, middle_x=290.0), 500, 500, MIN_SIDE)
    assert abs((window.left + window.right) / 2 - 270) <= 1


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.floats(-100, 700), st.floats(-100, 700), st.floats(0, 400), st.floats(-300, 300)),
    st.integers(20, 500),
    st.integers(20, 500),
    st.integers(32, 300),
)
def test_the_window_lies_in_the_photograph_and_the_result_is_large_enough(place, h, w, side):
    window = face_window(points(*place), h, w, side)
    assert 0 <= window.left < window.right <= w and 0 <= window.top < window.bottom <= h
    assert window.width >= side and window.height >= side


def test_at_an_edge_the_window_grows_inwards_before_the_face_is_enlarged():
    window = face_window(points(centre_x=30.0), 500, 500, MIN_SIDE)
    assert (window.left, window.right, window.width) == (0, MIN_SIDE, MIN_SIDE)
    narrow = face_window(points(centre_x=50.0), 500, 100, MIN_SIDE)
    assert (narrow.left, narrow.right, narrow.width) == (0, 100, MIN_SIDE)
    assert abs(narrow.height / (narrow.bottom - narrow.top) - 1.56) < 0.01


def test_same_scale_crops_are_bit_exact():
    labels = face_labels(400, 420, 210, 190)
    pixels = face_pixels(labels)
    place = FacePoints.from_labels(labels)
    window = face_window(place, 400, 420, MIN_SIDE)
    rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
    cut, cut_labels = crop_face(pixels, labels, place, MIN_SIDE)
    assert np.array_equal(cut, pixels[rows, columns])
    assert np.array_equal(cut_labels, labels[rows, columns])


def test_points_from_labels_are_where_the_parts_are():
    labels = face_labels(400, 420, 210, 190)
    place = FacePoints.from_labels(labels)
    assert place.right_eye.tolist() == [191, 190] and place.left_eye.tolist() == [229, 190]
    assert place.mouth.tolist() == [210, 231] and place.middle_x == 210


def test_points_survive_hidden_eyes_but_not_a_hidden_mouth():
    labels = face_labels(400, 420, 210, 190)
    one_eye = np.where(labels == 4, 1, labels)
    assert np.abs(FacePoints.from_labels(one_eye).left_eye - (229, 192.3)).max() < 1  # below the eyebrow
    profile = np.where(np.isin(labels, (2, 4)), 1, labels)
    assert FacePoints.from_labels(profile).left_eye.tolist() == [191, 190]
    assert FacePoints.from_labels(np.where(np.isin(labels, (2, 3, 4, 5)), 1, labels)) is None
    assert FacePoints.from_labels(np.where(np.isin(labels, (7, 8, 9)), 1, labels)) is None


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30)
)
def test_label_majority_matches_counting_by_hand(seed, h, w, height, width):
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 4, 10, 255], np.uint8), (h, w))
    ours = crop_labels(labels, Window(0, 0, w, h, width, height))
    assert np.array_equal(ours, naive.label_majority(labels, height, width))


def test_ties_go_to_the_smaller_label():
    labels = np.array([[10, 1], [1, 10]], np.uint8)
    assert crop_labels(labels, Window(0, 0, 2, 2, 1, 1)).tolist() == [[1]]


def test_thin_lips_survive_halving():
    labels = face_labels(800, 840, 420, 380, scale=2)
    small = crop_face(face_pixels(labels), labels, FacePoints.from_labels(labels), MIN_SIDE)[1]
    assert np.array_equal(np.unique(small), np.arange(11))
    expected = face_labels(800, 840, 420, 380, scale=2)[::2, ::2]
    assert abs(int((small == 7).sum()) - int((expected == 7).sum())) <= 30


def test_pixels_are_filtered_before_they_are_thinned_out():
    stripes = np.zeros((60, 60, 3), np.uint8)
    stripes[:, ::2] = 255
    small = crop_pixels(stripes, Window(0, 0, 60, 60, 20, 20))
    assert np.abs(small[5:-5, 5:-5].astype(int) - 127.5).max() < 40
