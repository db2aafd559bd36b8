"""What a training finds of its log when it starts, and what all that read it take from it."""

from __future__ import annotations

import json

import pytest

from blurgen.errors import InputError
from umsn.runs.log import Log
from umsn.runs.metrics_log import read_lines

LINES = [
    {"stage": "umsn", "event": "start", "at": 0},
    {"stage": "umsn", "iteration": 10, "loss": 0.1},
    {"stage": "bnet", "event": "start", "at": 0},
    {"stage": "bnet", "iteration": 30, "loss": None},
    {"stage": "umsn", "iteration": 20, "loss": 2.5},
    {"stage": "umsn", "event": "start", "at": 20},
]
BROKEN = [b"[1]", b"3", b'"x"', b"null", b"", b'{"stage": "\xff\xfe"}', b"[" * 100_000, b'{"stage": "um']


def write(path) -> None:
    whole = [json.dumps(line).encode() for line in LINES]
    path.write_bytes(b"\n".join([*whole[:2], *BROKEN[:-1], *whole[2:], BROKEN[-1]]))


def test_reading_passes_over_what_is_no_object(tmp_path):
    write(tmp_path / "metrics.jsonl")
    assert list(read_lines(tmp_path / "metrics.jsonl")) == LINES


def test_a_log_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be read \(Is a directory\)"):
        (tmp_path / "metrics.jsonl").mkdir()
        list(read_lines(tmp_path / "metrics.jsonl"))


@pytest.mark.parametrize(
    ("done", "kept"), [(0, [2, 3]), (10, [0, 1, 2, 3]), (15, [0, 1, 2, 3]), (20, [0, 1, 2, 3, 4, 5])]
)
def test_a_stage_keeps_the_lines_up_to_where_it_goes_on(tmp_path, done, kept):
    write(tmp_path / "metrics.jsonl")
    with Log(tmp_path, "umsn", done, 40, quiet=True) as log:
        log.scalars(done + 5, {"loss": 1.0})
    expected = [*(LINES[i] for i in kept), {"stage": "umsn", "iteration": done + 5, "loss": 1.0}]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == expected
