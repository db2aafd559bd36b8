"""Running independent jobs in worker processes: on this machine or a Dask cluster by joblib, or on Ray."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import joblib

from blurgen.errors import Argument, ArgumentError, InputError, check_choice

BACKENDS: Final = ("loky", "dask", "ray")

_SECONDS_TO_ANSWER = 15.0
_SECONDS_ALONE = 1.5  # worker processes take about as long to start

# What loky, Dask and Ray raise then; by name, for none of them need be installed.
_DEATHS = {"TerminatedWorkerError", "KilledWorker", "WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"}

_Result = TypeVar("_Result")


class WorkerDied(RuntimeError):
    """A worker process came to a sudden end: killed, or out of memory."""


@dataclass(frozen=True)
class Workers:
    """Who does the work: ``jobs`` processes on this machine (-1: one per core), or all those of a cluster.

    ``scheduler`` is the address of the Dask scheduler or the Ray cluster. Raises ArgumentError for an unknown
    backend, or a scheduler without a cluster.
    """

    jobs: int = 1
    backend: str = "loky"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1 and self.jobs != -1:
            raise ArgumentError(
                Argument("jobs"), f" must be at least 1, or -1 for all cores, not {self.jobs}."
            )
        check_choice("backend", self.backend, BACKENDS)
        if self.scheduler is not None and self.backend == "loky":
            raise ArgumentError(
                Argument("scheduler"), " is of no use with ", Argument("backend", "loky"), "; leave it out."
            )


def is_short(seconds: float) -> bool:
    """Return whether the calling process does so much work sooner than workers have started."""
    return seconds < _SECONDS_ALONE


def run_jobs(
    function: Callable[..., _Result],
    arguments: Sequence[tuple[Any, ...]],
    workers: Workers,
    *,
    alone_first: bool = False,
) -> Generator[_Result, None, None]:
    """Call ``function(*each)`` for each of ``arguments`` in worker processes; yield results as they come.

    A single process on this machine is the calling one. With ``alone_first`` that process works alone while
    the time spent ``is_short``; so little work starts no workers, and those that start find compiled code.
    The first exception of a job ends the run. Raises WorkerDied when a worker does not come back, and
    InputError when a cluster's package is not installed, its scheduler does not answer, or it has no workers.
    """
    if workers == Workers(jobs=1):
        yield from (function(*each) for each in arguments)
        return
    if alone_first:
        began, done, seconds = time.monotonic(), 0, 0.0
        while done < len(arguments) and is_short(seconds):
            yield function(*arguments[done])
            done, seconds = done + 1, time.monotonic() - began
        arguments = arguments[done:]
    if not arguments:
        return
    start = _run_on_ray if workers.backend == "ray" else _run_by_joblib
    results = start(function, arguments, workers)
    try:
        # Not "yield from": the results are to be closed below, when no one hears what joblib says of it.
        for result in results:  # noqa: UP028
            yield result
    except Exception as error:
        if type(error).__name__ in _DEATHS:
            raise WorkerDied(
                "A worker process died (killed, or out of memory?); what is done stays, and the same "
                "command goes on from there."
            ) from error
        raise
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that jobs were given up is no news to who gave them up
            results.close()


def run_in_order(
    function: Callable[..., _Result],
    arguments: Sequence[tuple[Any, ...]],
    workers: Workers,
    *,
    alone_first: bool = False,
) -> Generator[_Result, None, None]:
    """Do the same as ``run_jobs``, but yield the results in the order of the arguments."""
    early: dict[int, _Result] = {}
    following = 0
    calls = [(function, number, each) for number, each in enumerate(arguments)]
    with closing(run_jobs(_numbered, calls, workers, alone_first=alone_first)) as results:
        for number, result in results:
            early[number] = result
            while following in early:
                yield early.pop(following)
                following += 1


def _run_by_joblib(
    function: Callable[..., _Result], arguments: Sequence[tuple[Any, ...]], workers: Workers
) -> Generator[_Result, None, None]:
    with ExitStack() as stack:
        if workers.backend == "dask":
            _join_dask(stack, workers.scheduler)
        jobs = -1
        if workers.backend == "loky":
            jobs, function = workers.jobs, partial(_in_folder, os.getcwd(), function)
        stack.enter_context(joblib.parallel_config(workers.backend, n_jobs=jobs))
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        yield from parallel(joblib.delayed(function)(*each) for each in arguments)


def _run_on_ray(
    function: Callable[..., _Result], arguments: Sequence[tuple[Any, ...]], workers: Workers
) -> Generator[_Result, None, None]:
    from blurgen.jobs.ray_jobs import run_on_ray  # noqa: PLC0415

    yield from run_on_ray(function, arguments, workers.scheduler)


def _in_folder(folder: str, function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function where the caller is: loky keeps workers, which began in the working folder of then."""
    os.chdir(folder)
    return function(*arguments)


def _numbered(
    function: Callable[..., _Result], number: int, arguments: tuple[Any, ...]
) -> tuple[int, _Result]:
    return number, function(*arguments)


def _join_dask(stack: ExitStack, scheduler: str | None) -> None:
    try:
        from distributed import Client, TimeoutError  # noqa: PLC0415  (in Python 3.10, not the built-in)
    except ImportError:
        raise InputError(Argument("backend", "dask"), " needs Dask: pip install distributed") from None
    try:
        client = stack.enter_context(Client(scheduler, timeout=_SECONDS_TO_ANSWER))
    except (OSError, ValueError) as error:
        raise InputError(f"The Dask scheduler {scheduler} does not answer ({error}).") from None
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
    except TimeoutError:
        raise InputError(f"The Dask scheduler {scheduler} has no workers; start some.") from None
