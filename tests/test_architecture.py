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


ROOMS = (
    ("blurgen.errors", "blurgen.limits", "blurgen._version", "blurgen.compiling"),
    ("blurgen.files", "blurgen.jobs", "blurgen.randomness", "blurgen.labels"),
    ("blurgen.kernels", "blurgen.faces"),
    ("blurgen.synthesis",),
    ("blurgen.dataset",),
    ("blurgen.building", "blurgen.comparing", "blurgen.export"),
    ("blurgen.testset",),
    ("blurgen.audit", "blurgen.check", "blurgen.info", "blurgen.doctor"),
    ("blurgen",),
    ("umsn._torch", "umsn.folders", "umsn.devices", "umsn.vggface"),
    ("umsn.nets",),
    ("umsn.checkpoint", "umsn.patches"),
    ("umsn.runs", "umsn.scoring"),
    ("umsn.training", "umsn.restore", "umsn.weights"),
    ("umsn.evaluation", "umsn.export"),
    ("umsn.report", "umsn.doctor"),
    ("umsn.public",),
    ("umsn",),
    ("cli",),
)
"""The order in which data flows: a room imports rooms of the rows above its own, and itself."""
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def room_of(module: str) -> str:
    """Return the room a module is in: "blurgen.kernels" of "blurgen.kernels.paths.linear"."""
    package, *rest = module.split(".")
    return f"{package}.{rest[0]}" if rest and package != "cli" else package


def imported_modules(source: Path) -> set[str]:
    """Return the modules of ours that a file imports, wherever in it; ``from package import module`` too."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module.partition(".")[2]
            found |= {node.module} if whole else {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in found if module.split(".")[0] in OURS}


@pytest.mark.parametrize("room", [room for room in LEVEL if room != "cli"])
def test_a_room_imports_only_rooms_before_it(room):
    folder = ROOT.joinpath(*room.split("."))
    sources = [folder / "__init__.py"] if "." not in room else list(folder.rglob("*.py"))
    sources = sources if folder.is_dir() else [folder.with_suffix(".py")]
    for source in sources:
        for module in imported_modules(source):
            reached = room_of(module)
            if reached not in LEVEL:  # a function of the public face
                reached = module.split(".", maxsplit=1)[0]
            before = LEVEL[reached] < LEVEL[room] or reached == room
            assert before, f"{source.relative_to(ROOT)} imports {module}, which comes later"


def test_every_module_is_in_a_room():
    for package in ("blurgen", "umsn"):
        for source in (ROOT / package).rglob("*.py"):
            module = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            assert room_of(module) in LEVEL, f"{module} is in no room; give it one in ROOMS"


def test_every_room_says_what_lives_there():
    for package in ("blurgen", "umsn"):
        for source in (ROOT / package).rglob("__init__.py"):
            assert ast.get_docstring(ast.parse(source.read_text("utf-8"))), (
                f"{source.relative_to(ROOT)} is silent"
            )


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


@pytest.mark.parametrize(
    "package", sorted((ROOT / "blurgen").rglob("*/__init__.py")), ids=lambda p: p.parent.name
)
def test_a_room_says_what_comes_in_and_what_goes_out(package):
    first, _, rest = (ast.get_docstring(ast.parse(package.read_text("utf-8"))) or "").partition("\n\n")
    assert len(first.splitlines()) == 1
    assert rest.startswith("In: ") and "Out: " in rest.splitlines()[0]
