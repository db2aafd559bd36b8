"""What a user reads of long work where there is no terminal."""

from __future__ import annotations

import io

import pytest

from blurgen.jobs.progress import Console


def test_slow_work_has_a_rate_that_is_not_zero(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 4.0])
    monkeypatch.setattr("blurgen.jobs.progress.time.monotonic", lambda: next(now))
    with Console(told := io.StringIO()).bar("Verifying", 1, "shards") as bar:
        bar.advance()
    assert told.getvalue() == "Verifying: 1 of 1 shards, 0.25 shards/s\n"


def test_work_that_was_refused_before_it_began_says_nothing():
    with pytest.raises(ValueError, match="no"), Console(told := io.StringIO()).bar("kernels", 9, "kernels"):
        raise ValueError("no")
    assert told.getvalue() == ""
