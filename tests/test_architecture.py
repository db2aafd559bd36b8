"""The packages keep to their layers: data flows one way, and blurgen works without torch."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "blurgen": {"blurgen"},
    "umsn": {"blurgen", "umsn"},
    "cli": {"blurgen", "umsn", "blurgen_cli"},
}
OURS = {"blurgen", "umsn", "blurgen_cli", "cli"}


def imported_packages(source: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_stands_before_it(package):
    for source in (ROOT / package).rglob("*.py"):
        reached = imported_packages(source) & OURS
        assert reached <= MAY_IMPORT[package], f"{source.relative_to(ROOT)} imports {reached}"


def test_blurgen_never_imports_torch():
    for source in (ROOT / "blurgen").rglob("*.py"):
        assert "torch" not in imported_packages(source), source.relative_to(ROOT)


def test_every_blurgen_module_works_without_torch():
    modules = [
        ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for source in sorted((ROOT / "blurgen").rglob("*.py"))
    ]
    program = (
        "import sys, importlib\n"
        "sys.modules['torch'] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(folder.parent.relative_to(ROOT).parts)
        for top in MAY_IMPORT
        for folder in (ROOT / top).rglob("__init__.py")
    }
    assert listed == {"blurgen_cli" if name == "cli" else name for name in found}
