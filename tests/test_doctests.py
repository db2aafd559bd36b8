"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import numpy as np
import pytest

import blurgen
import umsn

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
    "umsn.public",
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The names that the examples take for granted: a bank, and a dataset of 6 triplets in a folder."""
    folder = tmp_path_factory.mktemp("doctests")
    bank = blurgen.make_kernels(4, 3, 5)
    blurgen.build_dataset("procedural:2", bank, folder / "data", per_image=3, patch_size=32)
    run = folder / "run"
    quick = {"preset": "quick", "iterations": 1, "batch_size": 2, "perceptual": False, "quiet": True}
    (s_net,) = umsn.train(folder / "data", run, stage="segmentation", **quick)
    (b_net,) = umsn.train(folder / "data", run, stage="umsn", variant="bnet", **quick)
    about = {"small_bank": bank, "small_dataset": folder / "data", "s_net": s_net, "b_net": b_net}
    return {"blurgen": blurgen, "umsn": umsn, "np": np, **about}


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


@pytest.mark.parametrize("name", umsn.__all__)
def test_every_public_function_of_umsn_has_an_example(name):
    assert ">>>" in getattr(umsn, name).__doc__


def test_umsn_lists_what_it_gives():
    assert dir(umsn) == sorted(umsn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = umsn.nothing
