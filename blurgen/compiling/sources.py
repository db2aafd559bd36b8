"""What the compiled code of a module follows from: its source, and that of every module it imports."""

from __future__ import annotations

import ast
import hashlib
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import llvmlite
import llvmlite.binding
import numba
import numpy as np

_settings: Any = numba.config
_PACKAGE: Final = __name__.partition(".")[0]
_ROOT: Final = Path(__file__).parents[1]


@cache
def code_digest(module: str) -> str:
    """Return 32 hexadecimal digits that change with whatever compiled code of a module depends on.

    That is every source of this package which the module imports, at any remove (numba looks at the file
    of the function alone), the versions of Python, numba, llvmlite and numpy, and the processor.
    """
    digest = hashlib.blake2b(repr(_compiler()).encode(), digest_size=16)
    for name in sorted(_with_imports(module)):
        source = _source(name).read_bytes()
        digest.update(f"\n{name} {len(source)}\n".encode())
        digest.update(source)
    return digest.hexdigest()


@cache
def _compiler() -> tuple[str, ...]:
    return (
        platform.python_implementation(),
        platform.python_version(),
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        _settings.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        _settings.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten(),
    )


def _with_imports(module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        fresh = _imports(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return found


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of this package that a module imports anywhere in its source."""
    tree = ast.parse(_source(module).read_bytes())
    return frozenset(name for node in ast.walk(tree) for name in _imported(node) if _source(name).is_file())


def _imported(node: ast.AST) -> Iterator[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        # What is imported from a package may be a module of it.
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    yield from (name for name in names if name.partition(".")[0] == _PACKAGE)


def _source(module: str) -> Path:
    package, *names = module.split(".")
    # A module that compiles may be of another package, one that is built on this.
    root = _ROOT if package == _PACKAGE else Path(sys.modules[package].__path__[0])
    path = root.joinpath(*names)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
