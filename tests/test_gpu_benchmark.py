"""What is measured on a GPU runs, and says what it should, without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """The folder of the benchmarks as where modules are looked for; one thread for tiny networks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield BENCHMARKS
    torch.set_num_threads(threads)


def test_the_script_for_a_gpu_runs_on_a_processor(benchmarks, tmp_path, monkeypatch):
    """But for the trainings it starts as processes: those are tried in test_curriculum."""
    import gpu  # noqa: PLC0415  (from the folder just named)

    monkeypatch.setattr(gpu, "killed_and_resumed", lambda *_: {"killed at": 4})
    monkeypatch.setattr(gpu, "two_processes", lambda *_: {"ended with": "[0, 0]"})
    gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert "full" in [row["set"] for row in found["patches equal"]]
    assert all(row["equal to the bit"] for row in found["patches equal"])
    for row in found["bfloat16 against float32"]:
        assert row["last losses, bf16"] == pytest.approx(row["last losses, fp32"], rel=0.2)
    assert all(row["ours, steps/s"] > 0 and row["of the peak"] > 0 for row in found["steps"])
    assert set(found["profile"]) == {"segmentation", "first-stage", "umsn"}
    assert "| full | 16 | True |" in (tmp_path / "gpu.md").read_text()


@pytest.mark.parametrize(("width", "millions"), [(16, 4.35), (32, 17.11)])
def test_nafnet_is_as_large_as_published(benchmarks, width, millions):
    from nafnet import NAFNet  # noqa: PLC0415

    assert sum(p.numel() for p in NAFNet(width).parameters()) == pytest.approx(millions * 1e6, rel=0.001)
