"""A face is brought onto the template and back: geometry, resampling, feather."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from small_faces import face_labels

from blurgen.errors import InputError
from blurgen.faces.align import (
    FEATHER,
    TEMPLATE_POINTS,
    AlignedFace,
    Similarity,
    align,
    align_face,
    fit,
    fit_quality,
    outline,
    paste,
    warp,
    warp_labels,
)
from blurgen.faces.crop import FacePoints


def similarity(turn=0.0, scale=1.0, across=0.0, down=0.0):
    return Similarity(scale * np.cos(turn), scale * np.sin(turn), across, down)


SIMILARITIES = st.builds(
    similarity, st.floats(-3.2, 3.2), st.floats(0.05, 20), st.floats(-2000, 2000), st.floats(-2000, 2000)
)


def photograph(height=300, width=340, seed=0, smooth=2.0):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    noise = gaussian_filter(noise, (smooth, smooth, 0))
    return np.rint(np.clip(128 + 40 * noise / noise.std(), 0, 255)).astype(np.uint8)


def placed(transform):
    """Return five points of a face that ``transform`` takes onto the template."""
    return transform.inverse()(TEMPLATE_POINTS)


def upright(scale=1.0, x=170.0, y=160.0, turn=0.0):
    """Return five points of a face around (x, y), so many times larger than the template's."""
    return (similarity(turn, scale)(TEMPLATE_POINTS - TEMPLATE_POINTS.mean(axis=0))) + np.array([x, y])


@given(SIMILARITIES, st.integers(0, 2**32 - 1))
def test_there_and_back_is_where_it_was(transform, seed):
    points = np.random.default_rng(seed).uniform(-500, 500, (6, 2))
    assert np.abs(transform.inverse()(transform(points)) - points).max() < 1e-6
    assert transform.inverse().scale == pytest.approx(1 / transform.scale)


@given(SIMILARITIES)
def test_a_similarity_is_found_from_its_points(transform):
    found = fit(TEMPLATE_POINTS, transform(TEMPLATE_POINTS))
    assert np.abs(found(TEMPLATE_POINTS) - transform(TEMPLATE_POINTS)).max() < 1e-6
    assert fit_quality(TEMPLATE_POINTS, transform(TEMPLATE_POINTS)) == pytest.approx(1)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_the_fit_is_umeyamas(count, seed):
    random = np.random.default_rng(seed)
    source, target = random.normal(0, 50, (2, count, 2))
    matrix, shift = naive.umeyama(source, target)
    assert np.abs(fit(source, target)(source) - (source @ matrix.T + shift)).max() < 1e-6


def test_no_other_similarity_fits_better():
    random = np.random.default_rng(3)
    source, target = random.normal(0, 50, (2, 5, 2))
    best = fit(source, target)
    least = ((best(source) - target) ** 2).sum()
    for step in random.normal(0, 0.01, (50, 4)):
        other = Similarity(best.a + step[0], best.b + step[1], best.across + step[2], best.down + step[3])
        assert ((other(source) - target) ** 2).sum() >= least


def test_points_in_one_place_are_refused():
    with pytest.raises(InputError, match="lie all in one place"):
        fit(np.full((5, 2), 7.0), TEMPLATE_POINTS)


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.3])
def test_eyes_exchanged_are_refused(turn):
    swapped = upright(turn=turn)[[1, 0, 2, 4, 3]]
    with pytest.raises(InputError, match="do not look like a face; their order is left eye, right eye"):
        align(photograph(), swapped)


def test_a_face_outside_the_picture_is_refused():
    with pytest.raises(InputError, match=r"around \(900, 160\), outside the picture"):
        align(photograph(), upright(x=900.0))


def test_a_face_of_the_templates_size_is_only_cut_out():
    picture = photograph()
    face = align(picture, TEMPLATE_POINTS + np.array([60, 41]))
    assert np.array_equal(face.pixels, picture[41 : 41 + 218, 60 : 60 + 178])
    assert outline(face) == pytest.approx(np.array([[60, 41], [238, 41], [238, 259], [60, 259]]))


@pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.6), (0.5, -0.4), (2.5, 0.3), (1.3, 3.0)])
def test_dots_at_the_points_come_to_lie_on_the_template(scale, turn):
    # Dots, so wide that they show at any scale, on the five points.
    points = upright(scale, 300, 280, turn)
    y, x = np.mgrid[:600, :600] + 0.5
    dots = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (4 * scale) ** 2)) for px, py in points)
    picture = np.repeat(np.rint(255 * dots.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    pixels = align(picture, points).pixels[..., 0].astype(float)
    rows, columns = np.mgrid[:218, :178] + 0.5
    for px, py in TEMPLATE_POINTS:
        near = pixels * (np.hypot(columns - px, rows - py) < 9)
        assert abs((near * columns).sum() / near.sum() - px) < 0.15
        assert abs((near * rows).sum() / near.sum() - py) < 0.15


def test_fine_detail_does_not_alias_when_a_face_is_shrunk():
    stripes = np.zeros((1300, 1300, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = align(stripes, upright(4, 650, 650, 0.2)).pixels
    assert np.abs(pixels.astype(int) - 127).max() <= 3


def test_beyond_the_edge_the_picture_is_mirrored():
    picture = photograph()
    face = align(picture, TEMPLATE_POINTS - [20, 30])
    assert np.array_equal(face.pixels[30:, 20:], picture[:188, :158])
    assert np.array_equal(face.pixels[29, 20:], picture[1, :158])
    assert np.array_equal(face.pixels[30:, 15], picture[:188, 5])


def test_a_larger_canvas_shows_more_of_the_surroundings():
    picture = photograph()
    small, large = (align(picture, upright(turn=0.2), *size) for size in ((218, 178), (238, 220)))
    assert large.pixels.shape == (238, 220, 3)
    assert np.abs(large.pixels[10:228, 21:199].astype(int) - small.pixels).max() <= 1


@settings(max_examples=25, deadline=None)
@given(st.floats(0.3, 3), st.floats(-3.2, 3.2), st.floats(20, 320), st.floats(20, 280))
def test_a_face_that_was_not_changed_changes_nothing(scale, turn, x, y):
    picture = photograph()
    face = align(picture, upright(scale, x, y, turn))
    assert np.array_equal(paste(picture, [face], [face.pixels]), picture)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.4, 2), st.floats(-3.2, 3.2), st.floats(20, 320), st.floats(20, 280))
def test_outside_the_template_nothing_is_touched(scale, turn, x, y):
    picture = photograph()
    face = align(picture, upright(scale, x, y, turn))
    pasted = paste(picture, [face], [255 - face.pixels])
    rows, columns = np.mgrid[:300, :340] + 0.5
    u, v = np.moveaxis(face.to_template(np.stack([columns, rows], axis=-1)), -1, 0)
    inside = (u > 0) & (u < 178) & (v > 0) & (v < 218)
    assert np.array_equal(pasted[~inside], picture[~inside])


@pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.0), (1.0, 0.5), (0.6, 0.2), (2.2, -0.3)])
def test_what_was_done_to_the_face_is_done_in_the_photograph(scale, turn):
    # Darker by a smooth field: in the photograph it must be what the field is at that place.
    picture = photograph(700, 700, smooth=3.0)
    face = align(picture, upright(scale, 350, 340, turn))
    rows, columns = np.mgrid[:218, :178] + 0.5
    dark = 30 + 10 * np.sin(columns / 15) * np.cos(rows / 20)
    before = np.full_like(face.pixels, 128)
    after = (before - np.rint(dark)[..., None]).astype(np.uint8)
    pasted = paste(picture, [AlignedFace(before, face.to_template)], [after])
    y, x = np.mgrid[:700, :700] + 0.5
    u, v = np.moveaxis(face.to_template(np.stack([x, y], axis=-1)), -1, 0)
    inner = (u > FEATHER) & (u < 178 - FEATHER) & (v > FEATHER) & (v < 218 - FEATHER)
    expected = picture - (30 + 10 * np.sin(u / 15) * np.cos(v / 20))[..., None]
    clear = inner & (picture.min(axis=2) > 45)
    assert clear.sum() > 3000
    assert np.abs(pasted.astype(float) - expected)[clear].max() < 1.7
    change = np.abs(pasted.astype(int) - picture)
    assert change[(u > 0) & (u < 1) & (v > 30) & (v < 190)].max(initial=0) <= 2  # it begins at nothing


def test_a_face_larger_than_the_template_keeps_its_finer_detail():
    picture = photograph(900, 900, smooth=0.7).clip(0, 240)
    face = align(picture, upright(4, 450, 450))
    pasted = paste(picture, [face], [np.clip(face.pixels.astype(int) + 9, 0, 255).astype(np.uint8)])
    middle = np.s_[350:550, 350:550]
    assert picture[middle].std() > 10
    assert np.abs(pasted[middle].astype(int) - picture[middle] - 9).max() <= 1


def test_bands_leave_no_seam():
    picture = photograph(1100, 900, smooth=8.0)
    face = align(picture, upright(4, 450, 550, 0.1))
    after = np.clip(face.pixels.astype(int) - 30 + np.arange(178)[:, None] % 60, 0, 255).astype(np.uint8)
    change = paste(picture, [face], [after]).astype(int) - picture
    for seam in (256, 512, 768, 1024):
        steps = np.abs(np.diff(change[seam - 8 : seam + 8, 300:600], axis=0)).max(axis=(1, 2))
        assert steps[7] <= steps.max()
        assert np.abs(change[seam, 300:600] - change[seam - 1, 300:600]).mean() < 3


def test_faces_that_overlap_are_not_changed_twice():
    picture = np.full((300, 400, 3), 100, np.uint8)
    faces = [align(picture, TEMPLATE_POINTS + np.array([across, 30])) for across in (40, 60)]
    pasted = paste(picture, faces, [face.pixels + np.uint8(20) for face in faces])
    assert pasted.max() == 120
    assert (pasted[80:200, 90:200] == 120).all()


def test_no_face_gives_the_picture():
    picture = photograph()
    assert np.array_equal(paste(picture, [], []), picture)


def test_a_result_of_another_size_is_refused():
    face = align(photograph(), upright())
    with pytest.raises(ValueError, match=r"must be of shape \(218, 178, 3\), not \(218, 170, 3\)"):
        paste(photograph(), [face], [face.pixels[:, :170]])


def test_labels_follow_their_picture():
    labels = face_labels(500, 500, 250, 260, scale=2)
    transform = fit(upright(2.0, 250, 250, 0.3), TEMPLATE_POINTS)
    turned = warp_labels(labels, transform, 218, 178)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    assert set(np.unique(turned)) <= {*range(11), 255}
    # Colours and labels agree wherever no border of two labels is near.
    inside = turned != 255
    near = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            near |= np.roll(turned, step, axis) != turned
    plain = inside & ~near
    drawn = warp(colours[labels], transform, 218, 178)
    assert plain.mean() > 0.6
    assert np.abs(drawn[plain].astype(int) - colours[turned][plain]).mean() < 3


def test_labels_of_the_same_size_are_only_cut_out():
    labels = face_labels(400, 420, 210, 190)
    assert np.array_equal(warp_labels(labels, Similarity(1, 0, -100, -80), 218, 178), labels[80:298, 100:278])


def test_outside_the_photograph_labels_are_unknown():
    labels = np.full((100, 100), 10, np.uint8)
    turned = warp_labels(labels, Similarity(1, 0, 30, 40), 218, 178)
    assert (turned[40:140, 30:130] == 10).all()
    assert (turned == 255).sum() == 218 * 178 - 100 * 100


def test_eyes_and_mouth_do_where_a_dataset_has_no_five_points():
    labels = face_labels(512, 512, 250, 200)
    turned = np.rot90(labels).copy()  # the head lies to the left
    points = FacePoints.from_labels(turned)
    pixels = np.repeat(turned[..., None] * 20, 3, axis=2)
    cut, cut_labels = align_face(pixels, turned, points, 156)
    assert cut.shape == (218, 178, 3)
    eyes = [np.argwhere(cut_labels == label).mean(axis=0) + 0.5 for label in (5, 4)]
    assert eyes[0] == pytest.approx([111, 69.5], abs=1.2)
    assert eyes[1] == pytest.approx([111, 107.6], abs=1.2)
