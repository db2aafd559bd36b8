"""The one training loop. Every stage of the curriculum (``umsn.training.stages``) runs through it.

    train("data", "run", Settings(preset="quick"))

leaves in ``run``, for each stage: ``STAGE.safetensors`` (the trained network), ``STAGE.best.safetensors``
(the one with the best validation score on the way) and ``STAGE.state.safetensors`` (what is needed to go on:
weights, optimiser, average, random state, position in the data); and ``metrics.jsonl`` and ``tensorboard/``;
with ``keep_every``, ``checkpoints/STAGE-000400.safetensors`` and so on, the networks on the way.
Killed at any moment and resumed, a training on the CPU ends with the same weights, bit for bit.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from blurgen.errors import Argument, InputError
from umsn import checkpoint
from umsn.folders import make_folder
from umsn.nets import config_of, network_name
from umsn.patches.batches import Batch, Batches, PatchSource, to_device
from umsn.runs.folder import kept_path
from umsn.runs.log import Log
from umsn.runs.memory import keep_freed_memory
from umsn.runs.meter import Meter
from umsn.runs.processes import any_process, mean_over_processes, require_shared
from umsn.runs.signals import Signals
from umsn.training import schedules
from umsn.training.compiled import compile_where_it_works
from umsn.training.learners import Learner, Terms
from umsn.training.machine import Machine
from umsn.training.optimizers import make_optimizer
from umsn.training.precision import Precision, faster_precision
from umsn.training.stages import Stage
from umsn.training.state import Standing, restore_state, save_state

_VALIDATION_PATCHES: Final = 64
_PICTURES: Final = 8
_FOLLOWED: Final = 4
_VANISHED: Final = 1e-3  # of the first learning rate


class Stopped(Exception):
    """A signal asked the training to leave; its state is saved."""


@dataclass(frozen=True)
class Plan:
    """How one stage is trained, to the last number; kept in its checkpoints."""

    stage: Stage
    seed: int = 0
    epoch: int = 1
    """Iterations in an epoch; of influence only where the learning rate goes by epochs."""
    ema: float = 0.0
    """Decay of the running average of the weights; 0: none."""
    log_every: int = 100
    validate_every: int = 1_000
    save_every: int = 1_000
    keep_every: int = 0
    """Networks of every so many iterations are kept in ``RUN/checkpoints``; 0: none."""


def train_stage(
    learner: Learner,
    source: PatchSource,
    plan: Plan,
    run: Path,
    machine: Machine,
    *,
    about: Mapping[str, Any],
    validation: PatchSource | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> None:
    """Train one stage and leave its checkpoints in ``run``.

    ``about`` is JSON-able: what besides the plan the result depends on (data, preset, starting networks); a
    training is resumed only if it is still the same. Raises Stopped when SIGINT or SIGTERM came, after
    saving; InputError when there is no room to save, the state in ``run`` is of another training, or this one
    diverges: then what was saved before stays.
    """
    stage, device = plan.stage, machine.device
    if machine.ranks > 1:
        require_shared(run, device)
    trained_path, state_path = (run / f"{stage.name}{end}.safetensors" for end in ("", ".state"))
    # As it will come back from a file, lists for tuples.
    about = msgspec.json.decode(msgspec.json.encode({**about, **_identity(plan)}))

    # What is trained, and where it stands.
    torch.manual_seed(plan.seed)
    keep_freed_memory()
    # Convolutions want the channels last, on a GPU and on a processor, as the pixels of a batch come.
    learner.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = [p for p in learner.parameters() if p.requires_grad]
    optimizer = make_optimizer(stage, trained)
    average = [p.detach().clone() for p in learner.network.parameters()] if plan.ema else []
    begins = Standing()
    if resume and state_path.exists():
        begins = restore_state(state_path, learner, optimizer, average, about)
    done, best, recorded, window = begins
    precision = recorded if machine.precision == "auto" else machine.precision
    leader = machine.rank == 0
    model: nn.Module = learner
    if machine.ranks > 1:
        # Gradients are averaged in buckets whose order would change after the first step, and with it the
        # rounding of a resumed training, were it not for find_unused_parameters.
        model = DistributedDataParallel(learner, find_unused_parameters=True)
        # It means 1x1 convolutions, whose strides have many names.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if plan.keep_every:
        make_folder(kept_path(run, stage.name, done).parent)

    def forward(batch: Batch) -> tuple[Tensor, Terms, Terms]:
        """Return loss, terms and trace: in bfloat16 where the machine does that, losses always in float32."""
        if machine.ranks > 1:
            # Beside the step that is compiled, in which no process waits for another.
            batch = replace(batch, known=mean_over_processes(batch.count_known()))
        with machine.autocast():
            terms, trace = model(batch)
        return torch.stack([stage.losses[name] * term for name, term in terms.items()]).sum(), terms, trace

    def save_trained(path: Path) -> None:
        with _averaged(learner.network, average):
            save_networks(path, learner, {**about, "iteration": done})

    if leader and done:
        # The state is written first: killed in between, the two would differ.
        save_trained(trained_path)

    batches = Batches(
        source,
        batch_size=stage.batch_size,
        seed=plan.seed,
        device=device,
        flips=stage.flips,
        rank=machine.rank,
        ranks=machine.ranks,
        threads=machine.threads,
    )
    with (
        Log(run, stage.name, done, stage.iterations, leader=leader, quiet=quiet) as log,
        contextlib.closing(batches.starting_at(done)) as stream,
        Signals() as signals,
    ):
        log.event(event="start", at=done, parameters=sum(p.numel() for p in trained), about=about)
        if precision == "auto":
            precision = _choose_precision(learner, batches.at(done), trained, log, machine)
        machine = replace(machine, precision=precision)
        if machine.compile and done < stage.iterations:
            _compile(learner, batches.at(done), log, done, machine)
        _note_vanishing_rate(plan, log, done)
        meter = Meter(batches, {name: value.to(device) for name, value in window.items()})
        while done < stage.iterations:
            loss, terms, trace = forward(next(stream))

            # One step for every batch, unless the plan has the gradients of some thrown away.
            rate = learning_rate(plan, done)
            if done % stage.differences.step_every == 0:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with machine.autocast():  # Muon multiplies matrices
                    optimizer.step()
                if average:
                    torch._foreach_lerp_(
                        average, [p.detach() for p in learner.network.parameters()], 1 - plan.ema
                    )
            done += 1
            log.advance(done)
            meter.add({"loss": loss, **terms, **trace})

            # What is read, shown and kept.
            last = done == stage.iterations
            logging = done % plan.log_every == 0 or last
            # Processes agree on leaving only when they log: asking one another every time would cost time.
            stopping = (machine.ranks == 1 or logging) and signals.arrived(device)
            saving = done % plan.save_every == 0 or last or stopping
            validating = validation is not None and (done % plan.validate_every == 0 or last)
            keeping = plan.keep_every > 0 and done % plan.keep_every == 0
            if logging or saving or validating or keeping:
                _refuse_divergence(meter.total_loss, trained, plan, done, machine)
            if logging:
                log.scalars(done, {**meter.read(stage.batch_size, machine.ranks), "learning_rate": rate})
                if leader and learner.follows:
                    followed = source if validation is None else validation
                    _follow(learner, followed, log, done, machine)
            if leader and validation is not None and validating:
                with _averaged(learner.network, average):
                    score = _validate(learner, validation, log, done, machine)
                    if score > best:
                        best = score
                        path = run / f"{stage.name}.best.safetensors"
                        save_networks(path, learner, {**about, "iteration": done, "score": score})
            if leader and keeping:
                save_trained(kept_path(run, stage.name, done))
            if leader and saving:
                standing = Standing(done, best, machine.precision, meter.window())
                save_state(state_path, learner, optimizer, average, about, standing)
                save_trained(trained_path)
            if stopping:
                break
        # Also for a signal that came after the last look, in the last iteration: no stage is to follow.
        if signals.arrived(device):
            raise Stopped(f"Stopped after iteration {done} of {stage.iterations} of stage {stage.name}.")


def learning_rate(plan: Plan, iteration: int) -> float:
    """Return the learning rate of one iteration, counted from 0."""
    stage = plan.stage
    return stage.learning_rate * schedules.share(
        stage.schedule, iteration, iterations=stage.iterations, epoch=plan.epoch
    )


def save_networks(path: Path, learner: Learner, about: dict[str, Any]) -> None:
    """Write the checkpoint of what a stage trained, complete: it needs no other file to be used."""
    networks = {name: {"name": network_name(n), "config": config_of(n)} for name, n in learner.kept().items()}
    tensors: dict[str, Tensor] = {}
    for name, network in learner.kept().items():
        tensors |= checkpoint.with_prefix(name, network.state_dict())
    checkpoint.save(path, "networks", tensors, {**about, "networks": networks})


def _choose_precision(
    learner: Learner, batch: Batch, trained: list[nn.Parameter], log: Log, machine: Machine
) -> Precision:
    """Return the faster precision for a step on this machine, and say which and why."""

    def loss(precision: Precision) -> Tensor:
        with replace(machine, precision=precision).autocast():
            return torch.stack([*learner(batch)[0].values()]).sum()

    choice = faster_precision(loss, trained, machine.device)
    log.event(event="precision", at=0, precision=choice.precision, why=choice.why)
    log.say(f"{log.stage}: precision {choice.precision}: {choice.why}.")
    return choice.precision


def _compile(learner: Learner, batch: Batch, log: Log, iteration: int, machine: Machine) -> None:
    """Compile the whole step if the same is then learnt from a batch, and say so if not.

    Networks, losses and the S-Nets that make the masks are one graph. Validation and all else go by the
    networks themselves, which stay as they are.
    """

    def loss() -> Tensor:
        with machine.autocast():
            return torch.stack([*learner(batch)[0].values()]).sum()

    parameters = [p for p in learner.parameters() if p.requires_grad]
    why = compile_where_it_works(learner, loss, parameters, machine.precision)
    log.event(event="compile", at=iteration, works=why is None, why_not=why)
    if why is not None:
        log.say(f"{log.stage}: not compiled: {why}.")


def _note_vanishing_rate(plan: Plan, log: Log, iteration: int) -> None:
    """Say so where halving leaves next to nothing of the learning rate long before the end."""
    stage = plan.stage
    if stage.schedule != "halving":
        return
    too_low = _VANISHED * learning_rate(plan, 0)
    if learning_rate(plan, stage.iterations - 1) >= too_low:
        return
    first = next(i for i in range(0, stage.iterations, plan.epoch) if learning_rate(plan, i) < too_low)
    note = (
        f"from iteration {first:,} of {stage.iterations:,} on, the learning rate is below a thousandth of "
        f"the first: an epoch has {plan.epoch:,} iterations (faces / batch size)"
    )
    log.event(event="note", at=iteration, text=note)
    log.say(f"{stage.name}: {note}.")


def _refuse_divergence(
    loss: Tensor, trained: list[nn.Parameter], plan: Plan, iteration: int, machine: Machine
) -> None:
    """Raise InputError, in all processes or none, where the loss or a weight is not finite."""
    finite = torch.stack([torch.isfinite(values).all() for values in (loss, *trained)]).all()
    if any_process(not finite, machine.device):
        raise InputError(
            f"Stage {plan.stage.name} diverged: its loss is not finite at iteration {iteration}; train it "
            "anew with a smaller learning rate. What was saved before is kept; to go on from it: ",
            Argument("resume", True),
            ".",
        )


@torch.no_grad()
def _validate(learner: Learner, source: PatchSource, log: Log, iteration: int, machine: Machine) -> float:
    """Score the network on rows spread evenly over ``source``; return the score that chooses the best."""
    rows = _spread(source, _VALIDATION_PATCHES)
    scores: dict[str, list[float]] = {}
    pictures = []
    for first in range(0, len(rows), 16):
        batch = to_device(source.read(rows[first : first + 16]), machine.device)
        with machine.autocast():
            judgement = learner.judge(batch)
        for name, values in judgement.scores.items():
            scores.setdefault(name, []).extend(values)
        pictures.append(judgement.pictures)
    means = {name: float(np.nanmean(values)) for name, values in scores.items() if not np.isnan(values).all()}
    log.scalars(iteration, means, prefix="validation_")
    log.pictures(iteration, "validation", np.concatenate(pictures)[:_PICTURES])
    return next(iter(means.values()))


def _follow(learner: Learner, source: PatchSource, log: Log, iteration: int, machine: Machine) -> None:
    """Record what the learner follows of a few images, always the same ones (as in Table VII)."""
    rows = _spread(source, _FOLLOWED)
    batch = to_device(source.read(rows), machine.device)
    with machine.autocast():
        log.event(event="images", at=iteration, rows=rows.tolist(), **learner.follow(batch))


def _spread(source: PatchSource, most: int) -> NDArray[np.int64]:
    """Return up to ``most`` rows spread evenly over a source."""
    return np.linspace(0, len(source) - 1, min(most, len(source))).astype(np.int64)


def _identity(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON; how often it logs, validates and saves does not change what it trains."""
    identity = {"stage": plan.stage, "seed": plan.seed, "ema": plan.ema}
    return identity | ({"epoch": plan.epoch} if plan.stage.schedule == "halving" else {})


@contextlib.contextmanager
def _averaged(network: nn.Module, average: list[Tensor]) -> Iterator[None]:
    """Put the averaged weights in place for a while, where there are any."""
    if not average:
        yield
        return
    weights = [p.detach().clone() for p in network.parameters()]
    with torch.no_grad():
        for p, value in zip(network.parameters(), average, strict=True):
            p.copy_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(network.parameters(), weights, strict=True):
                p.copy_(value)
