"""The report says what is installed, and finds out whether compiled code works."""

from __future__ import annotations

import importlib.metadata
import json

import numpy as np
import pytest
from click.testing import CliRunner

from blurgen import doctor
from blurgen_cli import blurgen, umsn


@pytest.mark.parametrize("group", [blurgen.main, umsn.main])
def test_both_commands_tell_versions_and_devices(group):
    done = CliRunner().invoke(group, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["torch"] == importlib.metadata.version("torch")
    assert found["compiled"] == "works"
    assert "cpu" in found["devices"]


def test_lines_name_what_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    lines = doctor.text(doctor.facts()).splitlines()
    assert "  no-such-package (not installed)" in lines
    assert f"  numpy {np.__version__}" in lines


def test_compiled_code_that_is_wrong_or_fails_is_told(monkeypatch):
    def fails(*_):
        raise RuntimeError("no compiler\nhere")

    monkeypatch.setattr("blurgen.randomness.philox.block_words", lambda *_: (1, 2, 3, 4))
    assert doctor.facts()["compiled"] == "gives wrong numbers: [1, 2, 3, 4]"
    monkeypatch.setattr("blurgen.randomness.philox.block_words", fails)
    assert doctor.facts()["compiled"] == "RuntimeError: no compiler"
