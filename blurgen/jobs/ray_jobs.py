"""Running jobs as Ray tasks: what a worker that dies was at, another does.

Not through Ray's joblib backend: that gives nothing before all is done, and a worker that dies ends it.
"""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from blurgen.errors import Argument, InputError

_DEATHS_SURVIVED: Final = 3  # of workers that were at the same job; after that, the job is to blame
_SECONDS_TO_ANSWER: Final = 15.0
_LAST_PORT: Final = 65535
_JOBS_PER_CORE: Final = 2  # handed out at a time, so that no worker waits

_Result = TypeVar("_Result")


def run_on_ray(
    function: Callable[..., _Result], arguments: Sequence[tuple[Any, ...]], address: str | None
) -> Iterator[_Result]:
    """Call ``function(*each)`` for each of ``arguments`` on a Ray cluster; yield results as they come.

    ``address`` is that of the cluster, "auto" for the one this machine belongs to; None starts one here for
    as long as it takes, unless the process is connected to one already. The first exception of a job ends
    the run. Raises InputError when Ray is not installed, or the cluster does not answer or has no worker.
    """
    with _joined(address) as ray:
        if _cores(ray) < 1:
            raise InputError(f"The Ray cluster {address or ''} has no workers with a core; start some.")
        task = ray.remote(function).options(max_retries=_DEATHS_SURVIVED, num_cpus=1)
        waiting = iter(arguments)
        running: list[Any] = []
        try:
            while True:
                room = _JOBS_PER_CORE * max(1, _cores(ray)) - len(running)
                running += [task.remote(*each) for each in itertools.islice(waiting, max(room, 0))]
                if not running:
                    return
                done, running = ray.wait(running)
                yield _result(ray, done[0])
        finally:
            for each in running:
                ray.cancel(each, force=True)


def _cores(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # what the job raised, without the worker's traceback in its text


@contextmanager
def _joined(address: str | None) -> Iterator[Any]:
    try:
        import ray  # noqa: PLC0415
    except ImportError:
        raise InputError(Argument("backend", "ray"), " needs Ray: pip install ray") from None
    if ray.is_initialized():
        yield ray
        return
    try:
        _knock(address)  # Ray itself knocks for minutes, and complains
    except (OSError, ValueError) as error:
        raise InputError(f"The Ray cluster {address} does not answer ({error}).") from None
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        if address is None:
            raise InputError(f"A Ray cluster on this machine cannot be started ({reason}).") from None
        raise InputError(
            f"The Ray cluster {address} cannot be joined ({reason}). If it asks for a token, set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with its token."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise OSError or ValueError when nobody listens at HOST:PORT; other addresses are Ray's to judge."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        if int(port) > _LAST_PORT:  # the system would count on from 0
            raise ValueError(f"ports end at {_LAST_PORT}")
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
