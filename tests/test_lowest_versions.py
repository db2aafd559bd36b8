"""The lowest versions that CI installs are those that setup.cfg allows."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROVED = ("train", "eval", "plot", "export")
"""Extras whose tests run with the lowest versions; and so do those of blurgen alone."""


def pins(lines, operator):
    """Return version by package name of lines such as ``numpy>=1.26``."""
    found = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in lines)):
        name, version = re.fullmatch(rf"([A-Za-z0-9_.-]+)(?:\[.*\])?{operator}([0-9.]+)", line).groups()
        found[name.lower()] = version
    return found


def test_constraints_are_the_bounds_of_setup_cfg():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    extras = setup["options.extras_require"]
    allowed = pins(setup["options"]["install_requires"].splitlines(), ">=")
    for extra in PROVED:
        allowed |= pins(extras[extra].splitlines(), ">=")
    tools = pins(extras["dev"].splitlines(), ">=")
    lowest = pins((ROOT / "constraints-lowest.txt").read_text("utf-8").splitlines(), "==")
    assert lowest == allowed | {name: tools[name] for name in lowest.keys() & tools.keys()}


def test_one_package_has_one_bound_wherever_it_is_named():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    bounds = {}
    for lines in (setup["options"]["install_requires"], *setup["options.extras_require"].values()):
        for name, version in pins(lines.splitlines(), ">=").items():
            assert bounds.setdefault(name, version) == version, name
