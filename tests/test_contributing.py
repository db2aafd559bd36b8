"""The files that the documents send a newcomer to are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"])
def test_every_file_named_is_there(page):
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`((?:blurgen|umsn|tests|cli|docs|\.ci)/[\w./-]*)`", text))
    for name in named:
        assert (ROOT / name).exists(), f"{page} names {name}, which is not there"
    assert named or page == "docs/glossary.md"
