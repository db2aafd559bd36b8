"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

import blurgen

MODULES = (
    "blurgen",
    "blurgen.check",
    "blurgen.errors",
    "blurgen.building.build",
    "blurgen.building.repair",
    "blurgen.dataset.reading",
    "blurgen.dataset.table",
    "blurgen.faces",
    "blurgen.kernels.bank",
    "blurgen.synthesis.blur",
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The names that the examples take for granted: a bank, and a dataset of 6 triplets in a folder."""
    folder = tmp_path_factory.mktemp("doctests")
    bank = blurgen.make_kernels(4, 3, 5)
    blurgen.build_dataset("procedural:2", bank, folder / "data", per_image=3, patch_size=32)
    return {"blurgen": blurgen, "small_bank": bank, "small_dataset": folder / "data"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, small, tmp_path):
    names = {**small, "new_folder": tmp_path / "new"}
    module = import_module(name)
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, name, extraglobs=names)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in tests:
        runner.run(test)
    result = runner.summarize(verbose=False)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize("name", [name for name in blurgen.__all__ if callable(getattr(blurgen, name))])
def test_every_public_function_has_an_example(name):
    assert ">>>" in (getattr(blurgen, name).__doc__ or ""), f"blurgen.{name} has no example"
