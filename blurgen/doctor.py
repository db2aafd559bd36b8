"""What a bug report needs to know: versions, machine, and whether compiled code works here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any, Final

PACKAGES: Final = (
    *("blurgen", "numpy", "scipy", "numba", "llvmlite", "h5py", "pillow", "joblib", "click"),
    *("torch", "safetensors", "onnx", "onnxruntime", "scikit-image"),
)


def facts() -> dict[str, Any]:
    """Return what this machine and this installation are, JSON-able.

    Keys: ``python``, ``platform``, ``processor``, ``cores`` (those this process may use), ``packages`` (name
    to version, None where it is not installed), ``compiled`` ("works", or why compiled code does not).

    >>> sorted(facts())
    ['compiled', 'cores', 'packages', 'platform', 'processor', 'python']
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": usable_cores(),
        "packages": {name: _version(name) for name in PACKAGES},
        "compiled": _compiled(),
    }


def text(facts: Mapping[str, Any]) -> str:
    """Return facts as lines to paste into a report."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            lines.append(f"{name}:")
            lines += [
                f"  {key} {what if what is not None else '(not installed)'}" for key, what in value.items()
            ]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def usable_cores() -> int:
    """Return how many cores this process may use: fewer than the machine has where it is held to some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def _compiled() -> str:
    """Return "works" where numba can compile and the result is right, else what went wrong."""
    try:
        import numpy as np  # noqa: PLC0415

        from blurgen.randomness.philox import block_words  # noqa: PLC0415  (compiles)

        zero = np.uint32(0)
        found = [int(word) for word in block_words(np.uint64(0), zero, np.uint64(0), zero)]
    except Exception as error:  # whatever it is, the report is to show it
        return f"{type(error).__name__}: {error}".splitlines()[0]
    # The published answer for a counter and a key of zeros.
    expected = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    return "works" if found == expected else f"gives wrong numbers: {found}"
