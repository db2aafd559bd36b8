"""Benchmarks and examples are run by hand; what they take from the packages must be there all the same."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_of_ours_is_there(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] in ("blurgen", "umsn")
        ):
            module = importlib.import_module(node.module)
            for name in (each.name for each in node.names):
                is_module = not hasattr(module, name) and importlib.util.find_spec(f"{node.module}.{name}")
                assert hasattr(module, name) or is_module, f"{node.module} has no {name}"
