"""A training keeps the memory it has used, where the C library is glibc."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from umsn.runs.memory import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    x = torch.ones(1 << 24)
    y = x + 1
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the settings")
def test_memory_that_was_freed_is_not_cleared_again():
    """Ten tensors of 64 MiB are 163,840 pages."""
    faults = {}
    for how in ("keep", "give back"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
        )
        faults[how] = int(done.stdout)
    assert faults["keep"] < 1000
    assert faults["give back"] > 10 * faults["keep"]
