"""The loop: it learns, wastes no gradient, and can be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_training import build
from torch._dynamo.backends.debugging import aot_eager
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from blurgen.dataset.reading import open_dataset
from blurgen.errors import InputError
from umsn import checkpoint
from umsn.nets import build_network
from umsn.patches.batches import Batches, Patches, ShardPatches, to_device
from umsn.training.differences import Differences
from umsn.training.learners import DeblurLearner, FirstStageLearner, SegmentationLearner
from umsn.training.loop import Plan, Stopped, learning_rate, train_stage
from umsn.training.machine import Machine, arithmetic_of_a_gpu
from umsn.training.precision import faster_precision
from umsn.training.stages import Stage

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


def plan_of(losses, iterations=12, differences=Differences(), **options):
    stage = Stage(
        "tiny",
        "umsn",
        "full",
        "blurry",
        losses,
        iterations,
        3e-3,
        4,
        differences=differences,
    )
    return Plan(stage, **{"log_every": 4, "validate_every": 6, "save_every": 4, "seed": 1, **options})


def train(data, run: Path, iterations=12, kind="umsn", machine=Machine(CPU), **options) -> None:
    learner, losses = learner_of(kind)
    run.mkdir(exist_ok=True)
    train_stage(
        learner,
        ShardPatches(open_dataset(data)),
        plan_of(losses, iterations, **options.pop("plan", {})),
        run,
        machine,
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


def weights(run: Path, iteration: int) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / f"checkpoints/tiny-{iteration:06d}.safetensors", "networks")[0]


def test_a_step_for_every_other_batch_throws_the_gradients_between_away(data, tmp_path):
    kept = {"keep_every": 1, "ema": 0.9}
    train(data, tmp_path, 6, plan={**kept, "differences": Differences(step_every=2)})
    changed = [
        any(not torch.equal(a, b) for a, b in zip(before.values(), after.values(), strict=True))
        for before, after in pairwise(weights(tmp_path, i) for i in range(1, 7))
    ]
    assert changed == [False, True, False, True, False]
    tensors, _ = checkpoint.load(tmp_path / "tiny.state.safetensors", "training")
    assert {float(t) for name, t in tensors.items() if name.endswith(".step")} == {3}


def test_a_gradient_that_is_thrown_away_is_not_computed(data, tmp_path, monkeypatch):
    backward, calls = torch.Tensor.backward, []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: calls.append(1) or backward(self))
    train(data, tmp_path, 6, plan={"differences": Differences(step_every=3)})
    assert len(calls) == 2


def test_a_gradient_that_is_thrown_away_has_no_influence(data, tmp_path):
    """Whatever the batches between are: the weights are those of a training on the others alone."""

    class Every:
        """The rows of a source; those that odd batches are made of may be turned upside down."""

        endless, patch_size = True, 32

        def __init__(self, change):
            self._source, self._change = ShardPatches(open_dataset(data)), change

        def __len__(self):
            return 24

        def read(self, rows):
            patches = self._source.read(rows)
            return self._change(patches) if (rows[0] // 4) % 2 else patches

    def trained(name, change):
        learner, losses = learner_of("umsn")
        (tmp_path / name).mkdir()
        plan = plan_of(losses, 6, differences=Differences(step_every=2))
        train_stage(learner, Every(change), plan, tmp_path / name, Machine(CPU), about={}, quiet=True)
        return checkpoint.load(tmp_path / name / "tiny.state.safetensors", "training")[0]

    plain = trained("plain", lambda patches: patches)
    other = trained("other", lambda patches: Patches(*(255 - t for t in patches[:2]), *patches[2:]))
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_it_logs_speed_waiting_terms_and_confidence(undisturbed):
    start, first, *_ = lines(undisturbed)
    assert start["event"] == "start"
    assert first["iteration"] == 4
    assert first["images_per_second"] > 0
    assert 0 <= first["data_wait"] <= 1
    assert first["loss"] == pytest.approx(first["confidence"])
    for name in ("background", "skin", "features", "hair"):
        assert 0 < first[f"confidence_{name}"] <= 1


def test_it_follows_the_confidence_of_a_few_images(data, undisturbed, tmp_path):
    followed = [line for line in lines(undisturbed) if line.get("event") == "images"]
    assert [line["at"] for line in followed] == [4, 8, 12]
    assert {tuple(line["rows"]) for line in followed} == {(0, 7, 15, 23)}
    source = ShardPatches(open_dataset(data))
    classes = to_device(source.read(np.array([0, 7, 15, 23])), CPU).classes
    for line in followed:
        for name in ("confidence", "l1"):
            assert [len(values) for values in line[name]] == [4] * 4
        for image, values in enumerate(line["confidence"]):
            for number, value in enumerate(values):
                # None where the image does not show the class.
                assert (value is not None) == bool((classes[image] == number).any())
                assert value is None or 0 < value <= 1
    assert followed[0]["l1"] != followed[2]["l1"]

    # Those of the last line are what the trained networks say.
    learner, _ = learner_of("umsn")
    state, _ = checkpoint.load(undisturbed / "tiny.state.safetensors", "training")
    learner.load_state_dict(checkpoint.under_prefix("weight", state), strict=False)
    found = learner.follow(to_device(source.read(np.array([0, 7, 15, 23])), CPU))
    assert found["confidence"] == followed[-1]["confidence"]
    # A stage without confidence has nothing to follow.
    train(data, tmp_path, 4, kind="first-stage")
    assert not [line for line in lines(tmp_path) if line.get("event") == "images"]


def test_killed_and_resumed_it_ends_with_the_same_bits(data, undisturbed, tmp_path):
    run = tmp_path / "run"
    script = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from pathlib import Path\n"
        "import test_train, umsn.training.loop as t\n"
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
        patched.setattr("umsn.training.loop.learning_rate", ask)
        with pytest.raises(Stopped, match="Stopped after iteration 7 of 12"):
            train(data, tmp_path, plan={"ema": 0.9})
    train(data, tmp_path, plan={"ema": 0.9}, resume=True)
    name = "tiny.state.safetensors"
    assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    # Means in the log are of the whole window, the part before the stop too.
    assert losses(tmp_path) == losses(undisturbed)


def test_stopped_between_two_steps_it_resumes_with_the_same_bits(data, tmp_path, monkeypatch):
    plan = {"ema": 0.9, "differences": Differences(step_every=2)}
    train(data, tmp_path / "whole", 6, plan=plan)

    def ask(plan, done):
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return learning_rate(plan, done)

    with monkeypatch.context() as patched:
        patched.setattr("umsn.training.loop.learning_rate", ask)
        with pytest.raises(Stopped, match="after iteration 3 of 6"):
            train(data, tmp_path / "parts", 6, plan=plan)
    train(data, tmp_path / "parts", 6, plan=plan, resume=True)
    for name in ("tiny.state.safetensors", "tiny.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("where", ["loss", "weights"])
@pytest.mark.parametrize("due", ["log_every", "save_every", "keep_every", "validate_every"])
def test_a_training_that_diverges_ends_with_its_last_save(data, tmp_path, monkeypatch, where, due):
    """Whatever comes first of what looks at the loss or writes the network; also where a step goes wrong."""
    never = {"log_every": 100, "save_every": 100, "keep_every": 0, "validate_every": 100}
    train(data, tmp_path, 2)
    state = tmp_path / "tiny.state.safetensors"
    before = state.read_bytes()
    forward, step = DeblurLearner.forward, torch.optim.AdamW.step

    def lost(self, batch):
        terms, trace = forward(self, batch)
        return {name: term * torch.nan for name, term in terms.items()}, trace

    def wrong(self):
        step(self)
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(torch.inf)

    if where == "loss":
        monkeypatch.setattr(DeblurLearner, "forward", lost)
    else:
        monkeypatch.setattr(torch.optim.AdamW, "step", wrong)
    held_out = ShardPatches(open_dataset(data))
    with pytest.raises(
        InputError, match=r"Stage tiny diverged.* iteration 3; .*smaller learning rate.*resume=True"
    ):
        train(data, tmp_path, 5, plan={**never, due: 3}, resume=True, validation=held_out)
    assert state.read_bytes() == before
    assert checkpoint.load(tmp_path / "tiny.safetensors", "networks")[1]["iteration"] == 2
    assert not [*tmp_path.glob("checkpoints/*"), *tmp_path.glob("*.best.safetensors")]


def test_a_file_in_the_place_of_the_kept_networks_is_named(data, tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(InputError, match=r"checkpoints: cannot be made .*; choose another folder"):
        train(data, tmp_path, 2, plan={"keep_every": 1})


def test_a_rate_that_halves_to_nothing_is_noted(data, tmp_path, monkeypatch):
    """Where so few faces make an epoch that the training is as good as over before its end."""
    for name, epoch in (("few", 1), ("many", 2)):
        plan = plan_of({"confidence": 1.0}, 191)
        plan = replace(plan, stage=replace(plan.stage, schedule="halving"), epoch=epoch)
        (tmp_path / name).mkdir()
        with monkeypatch.context() as patched:
            patched.setattr("umsn.runs.signals.Signals.arrived", lambda self, device: True)
            with pytest.raises(Stopped):
                source = ShardPatches(open_dataset(data))
                train_stage(
                    learner_of("umsn")[0], source, plan, tmp_path / name, Machine(CPU), about={}, quiet=True
                )
    few, many = (
        [line["text"] for line in lines(tmp_path / name) if line.get("event") == "note"]
        for name in ("few", "many")
    )
    assert many == []
    assert [note.partition(", the")[0] for note in few] == ["from iteration 190 of 191 on"]


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


@pytest.mark.parametrize(("option", "name"), [({"seed": 2}, "seed"), ({"ema": 0.5}, "ema")])
def test_another_training_is_not_resumed(data, undisturbed, option, name):
    before = (undisturbed / "tiny.state.safetensors").read_bytes()
    with pytest.raises(InputError, match=f"tiny.state.safetensors was trained with {name} = "):
        train(data, undisturbed, plan={"ema": 0.9, **option}, resume=True)
    assert (undisturbed / "tiny.state.safetensors").read_bytes() == before


def test_networks_on_the_way_are_kept_on_demand(data, undisturbed, tmp_path):
    train(data, tmp_path, plan={"ema": 0.9, "keep_every": 5})
    kept = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["tiny-000005.safetensors", "tiny-000010.safetensors"]
    assert [checkpoint.load(path, "networks")[1]["iteration"] for path in kept] == [5, 10]
    # It changes nothing else, not even whether a training may be resumed; and without it, none is kept.
    name = "tiny.state.safetensors"
    assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    train(data, tmp_path, plan={"ema": 0.9}, resume=True)
    assert not (undisturbed / "checkpoints").exists()


def test_a_kept_network_is_that_of_a_training_that_ends_there(data, tmp_path):
    for name, iterations in (("long", 8), ("short", 4)):
        train(data, tmp_path / name, iterations, plan={"ema": 0.9, "keep_every": 4})
    tensors = [
        checkpoint.load(path, "networks")[0]
        for path in (
            tmp_path / "long/checkpoints/tiny-000004.safetensors",
            tmp_path / "short/tiny.safetensors",
        )
    ]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[1])


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


def test_compiled_it_trains_the_same_with_one_graph(data, tmp_path, monkeypatch):
    """Validation, the images it follows and resuming included; what makes code of the graph is left out."""
    graphs = []

    def backend(graph, example):
        graphs.append(graph.code)
        return aot_eager(graph, example)

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_module(self, backend=backend))
    held_out = ShardPatches(open_dataset(data))
    train(data, tmp_path / "plain", 6, validation=held_out)
    for iterations in (4, 6):
        train(
            data,
            tmp_path / "compiled",
            iterations,
            resume=True,
            validation=held_out,
            machine=Machine(CPU, compile=True),
        )
    # Interpolation in it lost the gradient when inductor compiled it for a CPU.
    assert len(graphs) == 1
    assert "group_norm" in graphs[0]
    assert "interpolate" not in graphs[0]
    found, expected = (
        [line["loss"] for line in lines(tmp_path / name) if "loss" in line] for name in ("compiled", "plain")
    )
    assert found == pytest.approx(expected, rel=1e-4)
    files = [
        checkpoint.load(tmp_path / name / "tiny.safetensors", "networks") for name in ("compiled", "plain")
    ]
    assert files[0][0].keys() == files[1][0].keys()
    assert files[0][1]["networks"] == files[1][1]["networks"]


@pytest.mark.parametrize("kind", ["segmentation", "first-stage", "umsn"])
def test_a_whole_step_is_compiled_once_and_in_one_piece(data, tmp_path, monkeypatch, kind):
    """Networks, masks and losses; whatever is validated, followed and saved beside it."""
    torch.compiler.reset()
    counters.clear()
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_module(self, backend="eager"))
    options = {"kind": kind, "validation": ShardPatches(open_dataset(data))}
    train(data, tmp_path, 6, machine=Machine(CPU, compile=True), **options)
    (tried,) = [line for line in lines(tmp_path) if line.get("event") == "compile"]
    assert tried["works"]
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    # What is finished is not compiled again.
    torch.compiler.reset()
    train(data, tmp_path, 6, machine=Machine(CPU, compile=True), resume=True, **options)
    assert counters["stats"]["unique_graphs"] == 1


class Read(TorchDispatchMode):
    """Counts the numbers that are read from tensors, for which a processor has to wait for a GPU."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        self.count += function in waits
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("kind", ["segmentation", "first-stage", "umsn"])
def test_no_step_waits_for_the_device(data, tmp_path, monkeypatch, kind):
    counts = []

    def counted(plan, done):
        counts.append(mode.count)
        return learning_rate(plan, done)

    monkeypatch.setattr("umsn.training.loop.learning_rate", counted)
    never = {"log_every": 100, "save_every": 100, "validate_every": 100, "ema": 0.9}
    with Read() as mode:
        train(data, tmp_path, 8, kind=kind, plan=never)
    # The first steps may have set something up, the last one is logged and saved.
    assert counts[2] == counts[7] < mode.count


@pytest.mark.parametrize("kind", ["segmentation", "first-stage", "umsn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_channels_stay_last_in_memory(data, kind, precision):
    """From the pictures to the loss, or convolutions would copy every map before and after."""
    learner, _ = learner_of(kind)
    learner.to(memory_format=torch.channels_last)
    others = []

    def look(module, arguments, output):
        for tensor in (*arguments, output):
            is_map = isinstance(tensor, torch.Tensor) and tensor.ndim == 4 and min(tensor.shape[1:]) > 1
            if is_map and not tensor.is_contiguous(memory_format=torch.channels_last):
                others.append((type(module).__name__, tuple(tensor.shape), tensor.stride()))

    for module in learner.modules():
        module.register_forward_hook(look)
    batch = Batches(ShardPatches(open_dataset(data)), batch_size=4, seed=0, device=CPU).at(0)
    with Machine(CPU, precision=precision).autocast():
        learner(batch)
    assert not others


def test_float32_on_a_gpu_is_float32_where_it_was_asked_for():
    def now():
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark

    before = now()
    for precision, expected in (
        ("fp32", ("highest", False, True)),
        ("bf16", ("high", True, True)),
        ("auto", ("high", True, True)),
    ):
        with arithmetic_of_a_gpu(precision):
            assert now() == expected
        assert now() == before


def test_the_faster_precision_is_chosen_and_kept(data, tmp_path, monkeypatch):
    """A trial changes no weight; a resumed training does not try again."""
    for chosen in ("fp32", "bf16"):
        with monkeypatch.context() as patched:
            seconds = {"fp32": 2.0, "bf16": 1.0 if chosen == "bf16" else 3.0}
            clock = Clock(seconds, patched)
            run = tmp_path / chosen
            train(data, run, 8, machine=Machine(CPU, precision="auto"))
            assert clock.trials == {"fp32": 4, "bf16": 4}
            train(data, run, 12, machine=Machine(CPU, precision="auto"), resume=True)
            assert clock.trials == {"fp32": 4, "bf16": 4}
        (said,) = [line for line in lines(run) if line.get("event") == "precision"]
        assert said["precision"] == chosen
        assert said["why"] == f"a step takes 2.000 s in fp32, {seconds['bf16']:.3f} s in bf16"
        # As if it had been asked for from the beginning.
        train(data, tmp_path / f"{chosen} asked", 12, machine=Machine(CPU, precision=chosen))
        name = "tiny.state.safetensors"
        assert (run / name).read_bytes() == (tmp_path / f"{chosen} asked" / name).read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_optimiser_steps_in_the_precision_of_the_training(data, tmp_path, monkeypatch, precision):
    """Muon multiplies matrices, in bfloat16 sixteen times slower where a processor has no such arithmetic."""
    seen, step = set(), torch.optim.AdamW.step

    def seeing(self, *arguments):
        seen.add(torch.is_autocast_enabled("cpu"))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", seeing)
    train(data, tmp_path, 1, machine=Machine(CPU, precision=precision))
    assert seen == {precision == "bf16"}


def test_what_is_not_the_same_twice_is_not_chosen():
    """Fast as it may be: a training in it could not be repeated."""
    weight, calls = torch.nn.Parameter(torch.ones(3)), []

    def loss(precision):
        calls.append(precision)
        if precision == "fp32":
            time.sleep(0.01)
        return (weight * (1 if precision == "fp32" else len(calls))).sum()

    choice = faster_precision(loss, [weight], CPU)
    assert choice == ("fp32", "in bf16 the same batch gives another gradient each time")


@pytest.mark.parametrize("kind", ["segmentation", "first-stage", "umsn"])
def test_a_gradient_in_bfloat16_is_the_same_each_time(data, kind):
    """Whatever memory held before: grouped convolutions of oneDNN 3.12 read what they had not written."""
    learner, _ = learner_of(kind)
    learner.to(memory_format=torch.channels_last)
    batch = Batches(ShardPatches(open_dataset(data)), batch_size=4, seed=0, device=CPU).at(0)
    trained = [p for p in learner.parameters() if p.requires_grad]
    found = []
    for size in range(1, 6):
        before = [torch.full((1000 * size,), torch.nan) for _ in range(50)]
        del before
        with torch.autocast("cpu", torch.bfloat16):
            terms, _ = learner(batch)
        found.append(torch.autograd.grad(sum(terms.values()), trained))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


class Clock:
    """A clock by which a trial takes as long as ``seconds`` says of its precision."""

    def __init__(self, seconds, patched):
        self.trials = {"fp32": 0, "bf16": 0}
        self._now, self._seconds, self._grad = 0.0, seconds, torch.autograd.grad

        def autocast(machine):
            self._last = machine.precision
            return torch.autocast("cpu", torch.bfloat16, enabled=machine.precision == "bf16")

        patched.setattr("umsn.training.precision.time", SimpleNamespace(perf_counter=lambda: self._now))
        patched.setattr("umsn.training.machine.Machine.autocast", autocast)
        patched.setattr("umsn.training.precision.torch.autograd.grad", self._trial)

    def _trial(self, *arguments, **options):
        self.trials[self._last] += 1
        self._now += self._seconds[self._last]
        return self._grad(*arguments, **options)


def test_weights_decay_where_the_stage_says_so(data, tmp_path):
    for name, decay in (("plain", 0.0), ("decaying", 0.1)):
        learner, losses = learner_of("umsn")
        plan = plan_of(losses, 1)
        plan = replace(plan, stage=replace(plan.stage, weight_decay=decay))
        (tmp_path / name).mkdir()
        source = ShardPatches(open_dataset(data))
        train_stage(learner, source, plan, tmp_path / name, Machine(CPU), about={}, quiet=True)
    plain, decaying = (
        checkpoint.load(tmp_path / name / "tiny.safetensors", "networks")[0] for name in ("plain", "decaying")
    )
    start = learner_of("umsn")[0].network.state_dict()
    for name, value in start.items():
        expected = plain[f"network.{name}"] - 3e-3 * 0.1 * value
        torch.testing.assert_close(decaying[f"network.{name}"], expected, rtol=1e-5, atol=1e-6)


def test_the_schedules():
    plan = plan_of({"l1": 1.0}, iterations=100)
    assert {learning_rate(plan, i) for i in range(100)} == {3e-3}
    cosine = replace(plan, stage=replace(plan.stage, schedule="cosine"))
    rates = [learning_rate(cosine, i) for i in range(100)]
    assert rates[0] == 3e-3
    assert rates[50] == pytest.approx(1.5e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5
