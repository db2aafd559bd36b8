"""Running independent jobs in worker processes: on this machine, or on a Dask or Ray cluster, by joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import joblib

from blurgen.errors import InputError

BACKENDS: Final = ("loky", "dask", "ray")

_SECONDS_TO_ANSWER = 15.0

# What loky, Dask and Ray raise then; by name, for none of them need be installed.
_DEATHS = {"TerminatedWorkerError", "KilledWorker", "WorkerCrashedError"}

_Result = TypeVar("_Result")


class WorkerDied(RuntimeError):
    """A worker process came to a sudden end: killed, or out of memory."""


@dataclass(frozen=True)
class Workers:
    """Who does the work: ``jobs`` processes on this machine (-1: one per core), or all those of a cluster.

    ``scheduler`` is the address of the Dask scheduler or the Ray cluster. Raises ValueError for an unknown
    backend, or a scheduler without a cluster.
    """

    jobs: int = 1
    backend: str = "loky"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1 and self.jobs != -1:
            raise ValueError(f"Argument 'jobs' must be at least 1, or -1 for all cores, not {self.jobs}.")
        if self.backend not in BACKENDS:
            raise ValueError(f"Argument 'backend' must be one of {', '.join(BACKENDS)}, not {self.backend}.")
        if self.scheduler is not None and self.backend == "loky":
            raise ValueError("Argument 'scheduler' must be left out with backend 'loky'.")


def run_jobs(
    function: Callable[..., _Result], arguments: Sequence[tuple[Any, ...]], workers: Workers
) -> Iterator[_Result]:
    """Call ``function(*each)`` for each of ``arguments`` in worker processes; yield results as they come.

    The first exception of a job ends the run. Raises WorkerDied when a worker does not come back, and
    InputError when a cluster's package is not installed or its scheduler does not answer.
    """
    with ExitStack() as stack:
        if workers.backend == "dask":
            _join_dask(stack, workers.scheduler)
        elif workers.backend == "ray":
            _join_ray(workers.scheduler)
        jobs = workers.jobs if workers.backend == "loky" else -1
        stack.enter_context(joblib.parallel_config(workers.backend, n_jobs=jobs))
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        try:
            yield from parallel(joblib.delayed(function)(*each) for each in arguments)
        except Exception as error:
            if type(error).__name__ in _DEATHS:
                raise WorkerDied(
                    "A worker process died (killed, or out of memory?); what is done stays, and the same "
                    "command goes on from there."
                ) from error
            raise


def _join_dask(stack: ExitStack, scheduler: str | None) -> None:
    try:
        from distributed import Client  # noqa: PLC0415
    except ImportError:
        raise InputError("--backend dask needs Dask: pip install distributed") from None
    try:
        stack.enter_context(Client(scheduler, timeout=_SECONDS_TO_ANSWER))
    except (OSError, ValueError) as error:
        raise InputError(f"The Dask scheduler {scheduler} does not answer ({error}).") from None


def _join_ray(scheduler: str | None) -> None:
    try:
        import ray  # noqa: PLC0415
        from ray.util.joblib import register_ray  # noqa: PLC0415
    except ImportError:
        raise InputError("--backend ray needs Ray: pip install ray") from None
    try:
        ray.init(address=scheduler, ignore_reinit_error=True)
    except (ConnectionError, OSError, ValueError) as error:
        raise InputError(f"The Ray cluster {scheduler} does not answer ({error}).") from None
    register_ray()
