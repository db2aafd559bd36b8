"""Names of files that would be another file, or none, on another system are told from others."""

from __future__ import annotations

import pytest

from blurgen.files.names import folded, is_portable


@pytest.mark.parametrize(
    "name", ["a", "232_1", "a.b.png", "ä ö", "-", "con-1", "console", ".hidden", "com10"]
)
def test_names_for_every_system(name):
    assert is_portable(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "/a", "a\\b", "..\\a", "C:a", "C:\\a", "\\\\host\\a", "a:stream", "a."),
        *("a ", "CON", "con.png", "Nul .txt", "aux", "COM1", "lpt9.x.y", "com²", "a\nb", "a?", 'a"', "a|b"),
    ],
)
def test_names_that_would_lead_elsewhere_or_nowhere(name):
    assert not is_portable(name)


def test_names_that_some_file_systems_do_not_tell_apart():
    assert folded("A.PNG") == folded("a.png")
    assert folded("STRASSE") == folded("straße")
    assert folded("\u00e9") == folded("e\u0301") == folded("E\u0301")
    assert folded("a") != folded("b")
