"""Tests that need a browser, or Ray, are collected where there is one."""

from __future__ import annotations

import importlib.util
import shutil

_BROWSER = shutil.which("chromium") and shutil.which("chromedriver") and importlib.util.find_spec("selenium")

collect_ignore = [] if _BROWSER else ["test_report_browser.py"]
collect_ignore += [] if importlib.util.find_spec("ray") else ["test_ray.py"]
