"""Compiled code is that of the source as it is now, wherever the package lies and whoever else is at work."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "blurgen"

OUTER = """
from blurgen.compiling.njit import njit
from blurgen.inner import SHIFT, scaled

@njit(cache=True)
def outer(x):
    return scaled(x) + SHIFT
"""
INNER = """
from blurgen.compiling.njit import njit

SHIFT = 5

@njit(cache=True)
def scaled(x):
    return 3 * x
"""
RUN = "from blurgen.outer import outer; print(outer(7), sum(outer.stats.cache_hits.values()))"


@pytest.fixture
def tree(tmp_path):
    """A copy of what compiles, and two modules of which one calls the other."""
    shutil.copytree(PACKAGE / "compiling", tmp_path / "tree/blurgen/compiling")
    (tmp_path / "tree/blurgen/__init__.py").write_text("")
    (tmp_path / "tree/blurgen/outer.py").write_text(OUTER)
    (tmp_path / "tree/blurgen/inner.py").write_text(INNER)
    return tmp_path / "tree"


def run(tree, **environment):
    """Call the outer function in a new process; return its value and how often code was found on disk."""
    clean = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    settings = {"XDG_CACHE_HOME": str(tree.parent / "cache"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tree,
        env=clean | settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    value, hits = done.stdout.split()
    return int(value), int(hits)


def replace(path, old, new):
    """Change a source so that neither its length nor its time says so."""
    before = path.stat()
    text = path.read_text()
    assert old in text and len(old) == len(new)
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("inline", ["never", "always"])
def test_a_change_in_a_function_that_another_file_calls_is_seen(tree, inline):
    (tree / "blurgen/inner.py").write_text(INNER.replace("cache=True", f'cache=True, inline="{inline}"'))
    assert run(tree) == (26, 0)
    assert run(tree) == (26, 1)
    replace(tree / "blurgen/inner.py", "3 * x", "4 * x")
    assert run(tree) == (33, 0)
    assert run(tree) == (33, 1)
    replace(tree / "blurgen/inner.py", "SHIFT = 5", "SHIFT = 6")
    assert run(tree) == (34, 0)
    replace(tree / "blurgen/inner.py", "SHIFT = 6", "SHIFT = 5")
    assert run(tree) == (33, 1)  # what was compiled before is still there


def test_two_trees_with_the_same_sources_share_what_is_compiled(tree):
    assert run(tree) == (26, 0)
    other = tree.parent / "other"
    shutil.copytree(tree, other)
    assert run(other) == (26, 1)


def test_every_module_compiles_that_way():
    modules = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "compiling"]
    assert len(modules) > 80
    assert [
        str(path) for path in modules if re.search(r"^from numba import .*\bn?jit\b", path.read_text(), re.M)
    ] == []


def test_nothing_is_written_beside_the_sources(tree):
    run(tree, PYTHONDONTWRITEBYTECODE="1")
    assert {path.suffix for path in tree.rglob("*") if path.is_file()} == {".py"}


def test_numba_s_own_setting_of_the_folder_is_heeded(tree, tmp_path):
    assert run(tree, NUMBA_CACHE_DIR=str(tmp_path / "mine")) == (26, 0)
    assert not (tmp_path / "cache").exists()
    assert list((tmp_path / "mine/blurgen/blurgen.outer").rglob("*.nbc"))


def test_a_folder_that_cannot_be_written_is_replaced_by_a_private_one(tree, tmp_path):
    (tmp_path / "a file").touch()
    (tmp_path / "temporary").mkdir()
    places = {"XDG_CACHE_HOME": str(tmp_path / "a file/cache"), "TMPDIR": str(tmp_path / "temporary")}
    assert run(tree, **places) == (26, 0)
    assert run(tree, **places) == (26, 1)
    (private,) = (tmp_path / "temporary").glob("blurgen-*")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize("trap", ["open to all", "a link", "a file"])
def test_a_temporary_folder_in_which_others_could_write_is_not_used(tree, tmp_path, trap):
    (tmp_path / "a file").touch()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    private = tmp_path / f"temporary/blurgen-{os.getuid()}"
    if trap == "open to all":
        private.mkdir()
        private.chmod(0o777)
    elif trap == "a link":
        private.symlink_to(tmp_path / "elsewhere")
    else:
        private.touch()
    places = {"XDG_CACHE_HOME": str(tmp_path / "a file/cache"), "TMPDIR": str(tmp_path / "temporary")}
    assert run(tree, **places) == run(tree, **places) == (26, 0)
    assert not list(tmp_path.glob("elsewhere/*"))
    assert trap == "a file" or not list(private.iterdir())


@pytest.mark.parametrize(("suffix", "size"), [("nbi", 20), ("nbc", 0)])
def test_what_was_cut_off_by_a_crash_is_compiled_again(tree, tmp_path, suffix, size):
    run(tree)
    files = list((tmp_path / "cache").rglob(f"*.{suffix}"))
    assert files
    for path in files:
        os.truncate(path, size)
    assert run(tree) == (26, 0)
    assert run(tree) == (26, 1)


def test_a_few_versions_of_each_module_are_kept_and_those_used_last(tree, tmp_path):
    run(tree)
    kept = tmp_path / "cache/blurgen/compiled/blurgen.outer"
    (first,) = kept.iterdir()
    for number in range(30):
        (kept / f"{number:032x}").mkdir()
        (kept / f"{number:032x}/outer.nbi").touch()
        os.utime(kept / f"{number:032x}", (1000 + number, 1000 + number))
    assert run(tree) == (26, 1)
    assert len(list(kept.iterdir())) == 31  # removed only where something is added
    replace(tree / "blurgen/inner.py", "3 * x", "4 * x")
    assert run(tree) == (33, 0)
    versions = {path.name for path in kept.iterdir()}
    assert len(versions) == 10
    assert {first.name, *(f"{number:032x}" for number in range(22, 30))} < versions
