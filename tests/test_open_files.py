"""The limit on open files is raised as far as it goes, and never lowered."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from blurgen.files import open_files
from blurgen.files.open_files import allow_open_files

PROGRAM = """
import resource, sys
from blurgen.files.open_files import allow_open_files
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(allow_open_files(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed"),
    [(200, 900, 500, 500), (200, 900, 5000, 900), (200, 900, 100, 200), (200, 200, 500, 200)],
)
def test_the_soft_limit_goes_towards_the_hard_one(soft, hard, wanted, allowed):
    words = [str(number) for number in (soft, hard, wanted)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(allowed), str(allowed), str(hard)]


def test_a_limit_that_the_system_refuses_to_raise_far_is_raised_a_little(monkeypatch):
    """As on macOS, where the hard limit is no limit but more than 10,240 is refused."""
    limits = [(256, resource.RLIM_INFINITY)]

    def set_limit(_, limit):
        if limit[0] > 10_240:
            raise ValueError("current limit exceeds maximum limit")
        limits.append(limit)

    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(open_files.resource, "setrlimit", set_limit)
    assert allow_open_files(40_000) == 10_240
    assert limits[-1] == (10_240, resource.RLIM_INFINITY)


def test_no_limit_at_all_is_many(monkeypatch):
    monkeypatch.setattr(open_files.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert allow_open_files(5_000) >= 5_000
    monkeypatch.setattr(open_files, "resource", None)
    assert allow_open_files(5_000) >= 5_000
