"""The loop: it learns, wastes no gradient, and can be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from small_training import build

from blurgen.dataset import open_dataset
from blurgen.errors import InputError
from umsn import checkpoint
from umsn.batches import Batches, ShardPatches
from umsn.learners import DeblurLearner, FirstStageLearner, SegmentationLearner
from umsn.nets import build_network
from umsn.stages import Stage
from umsn.train import Machine, Plan, Stopped, learning_rate, train_stage

CPU = torch.device("cpu")
TINY = {"width": 4, "blocks": 1, "last_width": 4}
TINY_CLASS = {"class_width": 2, "class_blocks": 1, "class_channels": 2}


def learner_of(kind: str):
    """Return a learner with a tiny network and the weights of the terms of its loss."""
    torch.manual_seed(0)
    if kind == "segmentation":
        return SegmentationLearner(build_network("snet", TINY), "clean"), {"cross_entropy": 1.0}
    if kind == "first-stage":
        config = {"width": 2, "blocks": 1, "out_channels": 2, "last_width": 4}
        return FirstStageLearner(build_network("first-stage", config), 1, None), {"l1": 1.0}
    learner = DeblurLearner(
        build_network("umsn", TINY | TINY_CLASS),
        confidence=build_network("confidence", {"width": 2, "stages": 2}),
        perceptual=None,
        s_net=build_network("snet", TINY),
        s_net_clean=build_network("snet", TINY),
        masks="labels",
    )
    return learner, {"confidence": 1.0}


def plan_of(losses, iterations=12, **options):
    stage = Stage("tiny", "umsn", "full", "blurry", MappingProxyType(losses), iterations, 3e-3, 4)
    return Plan(stage, **{"log_every": 4, "validate_every": 6, "save_every": 4, "seed": 1, **options})


def train(data, run: Path, iterations=12, kind="umsn", **options) -> None:
    learner, losses = learner_of(kind)
    run.mkdir(exist_ok=True)
    train_stage(
        learner,
        ShardPatches(open_dataset(data)),
        plan_of(losses, iterations, **options.pop("plan", {})),
        run,
        Machine(CPU),
        about={"data": "of the test"},
        quiet=True,
        **options,
    )


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[tuple[int, float]]:
    return [(line["iteration"], line["loss"]) for line in lines(run) if "loss" in line]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return build(tmp_path_factory.mktemp("train"), 1).root


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed")
    train(data, run, plan={"ema": 0.9})
    return run


@pytest.mark.parametrize("kind", ["segmentation", "first-stage", "umsn"])
def test_one_batch_can_be_learnt_by_heart(data, kind):
    learner, losses = learner_of(kind)
    source = ShardPatches(open_dataset(data))
    batch = next(Batches(source, batch_size=4, seed=0, device=CPU).starting_at(0))
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=1e-2)
    seen = []
    for _ in range(40):
        terms, _ = learner(batch)
        assert terms.keys() == losses.keys()
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < 0.9 * seen[0]


def test_every_backward_reaches_a_step_and_every_weight(undisturbed):
    tensors, about = checkpoint.load(undisturbed / "tiny.state.safetensors", "training")
    assert about["iteration"] == 12
    steps = [t for name, t in tensors.items() if name.endswith(".step")]
    assert steps
    assert all(step == 12 for step in steps)
    # Biases ahead of a normalisation have no effect, by the mathematics of it; there should be none.
    assert all(t.any() for name, t in tensors.items() if name.endswith(".exp_avg_sq"))


def test_it_logs_speed_waiting_terms_and_confidence(undisturbed):
    start, first, *_ = lines(undisturbed)
    assert start["event"] == "start"
    assert first["iteration"] == 4
    assert first["images_per_second"] > 0
    assert 0 <= first["data_wait"] <= 1
    assert first["loss"] == pytest.approx(first["confidence"])
    for name in ("background", "skin", "features", "hair"):
        assert 0 < first[f"confidence_{name}"] <= 1


def test_killed_and_resumed_it_ends_with_the_same_bits(data, undisturbed, tmp_path):
    run = tmp_path / "run"
    script = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from pathlib import Path\n"
        "import test_train, umsn.train as t\n"
        "rate = t.learning_rate\n"
        # Slower near the end, so that the kill comes before it.
        "def slow(plan, done):\n"
        "    if done > 5: t.time.sleep(0.5)\n"
        "    return rate(plan, done)\n"
        "t.learning_rate = slow\n"
        f"test_train.train({str(data)!r}, Path({str(run)!r}), plan={{'ema': 0.9}})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    state = run / "tiny.state.safetensors"
    until(lambda: state.exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.load(state, "training")[1]["iteration"] < 12

    train(data, run, plan={"ema": 0.9}, resume=True)
    for name in ("tiny.state.safetensors", "tiny.safetensors"):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes()
    logged = [
        [(line["iteration"], line["loss"]) for line in lines(r) if "loss" in line] for r in (run, undisturbed)
    ]
    assert logged[0] == logged[1]


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves(data, undisturbed, tmp_path, monkeypatch, number):
    def ask(plan, done):
        if done == 6:
            os.kill(os.getpid(), number)
        return learning_rate(plan, done)

    with monkeypatch.context() as patched:
        patched.setattr("umsn.train.learning_rate", ask)
        with pytest.raises(Stopped, match="Stopped after iteration 7 of 12"):
            train(data, tmp_path, plan={"ema": 0.9})
    train(data, tmp_path, plan={"ema": 0.9}, resume=True)
    name = "tiny.state.safetensors"
    assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


def test_a_finished_stage_is_resumed_without_effect(data, undisturbed, tmp_path):
    train(data, tmp_path, plan={"ema": 0.9})
    train(data, tmp_path, plan={"ema": 0.9}, resume=True)
    for name in ("tiny.state.safetensors", "tiny.safetensors"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    assert losses(tmp_path) == losses(undisturbed)


def test_the_average_follows_the_weights(data, tmp_path):
    train(data, tmp_path, 1, plan={"ema": 0.75})
    trained, _ = checkpoint.load(tmp_path / "tiny.state.safetensors", "training")
    averaged, _ = checkpoint.load(tmp_path / "tiny.safetensors", "networks")
    fresh = learner_of("umsn")[0].network
    for name, start in fresh.named_parameters():
        expected = 0.75 * start + 0.25 * trained[f"weight.network.{name}"]
        torch.testing.assert_close(averaged[f"network.{name}"], expected.detach())


def test_a_finished_training_can_go_on_for_longer(data, undisturbed, tmp_path):
    train(data, tmp_path, 8, plan={"ema": 0.9})
    train(data, tmp_path, 12, plan={"ema": 0.9}, resume=True)
    tensors = [
        checkpoint.load(run / "tiny.state.safetensors", "training")[0] for run in (tmp_path, undisturbed)
    ]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[1])


@pytest.mark.parametrize(
    ("option", "name"), [({"seed": 2}, "seed"), ({"ema": 0.5}, "ema"), ({"crop": 16}, "crop")]
)
def test_another_training_is_not_resumed(data, undisturbed, option, name):
    before = (undisturbed / "tiny.state.safetensors").read_bytes()
    with pytest.raises(InputError, match=f"tiny.state.safetensors was trained with {name} = "):
        train(data, undisturbed, plan={"ema": 0.9, **option}, resume=True)
    assert (undisturbed / "tiny.state.safetensors").read_bytes() == before


def test_validation_keeps_the_best(data, tmp_path):
    held_out = ShardPatches(open_dataset(data))
    train(data, tmp_path, validation=held_out)
    judged = [line for line in lines(tmp_path) if "validation_psnr" in line]
    scores = {line["iteration"]: line["validation_psnr"] for line in judged}
    assert list(scores) == [6, 12]
    _, about = checkpoint.load(tmp_path / "tiny.best.safetensors", "networks")
    assert about["score"] == pytest.approx(max(scores.values()))
    assert scores[about["iteration"]] == max(scores.values())


def test_validation_does_not_change_the_training(data, tmp_path, undisturbed):
    train(data, tmp_path, plan={"ema": 0.9}, validation=ShardPatches(open_dataset(data)))
    tensors = [
        checkpoint.load(run / "tiny.state.safetensors", "training")[0] for run in (tmp_path, undisturbed)
    ]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[1])


def test_the_schedules():
    plan = plan_of({"l1": 1.0}, iterations=100)
    assert {learning_rate(plan, i) for i in range(100)} == {3e-3}
    cosine = replace(plan, schedule="cosine")
    rates = [learning_rate(cosine, i) for i in range(100)]
    assert rates[0] == 3e-3
    assert rates[50] == pytest.approx(1.5e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5
