"""Tests that need a browser, Ray, or a file system of their own are collected where there is one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

# Sums of several threads are rounded as the threads share them, and tests that run side by side share cores.
os.environ["OMP_NUM_THREADS"] = "1"

# Hugging Face datasets are loaded from folders here, never from the Hub.
os.environ["HF_HUB_OFFLINE"] = "1"

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
"""Runs a command where it may mount what no other process sees, if the system lets this user do so."""


def _may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        words = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


_BROWSER = shutil.which("chromium") and shutil.which("chromedriver") and importlib.util.find_spec("selenium")

collect_ignore = [] if _BROWSER else ["test_report_browser.py"]
collect_ignore += [] if _BROWSER and shutil.which("npm") else ["test_web_page.py"]
collect_ignore += [] if importlib.util.find_spec("ray") else ["test_ray.py"]
collect_ignore += [] if _may_mount() else ["test_full_disk.py"]


@pytest.fixture(autouse=True)
def _workers_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little a test has to do, the workers it asks for do it."""
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_ALONE", 0.0)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws of torch without a generator of its own is the same each time."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
