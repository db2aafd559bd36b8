"""``--backend ray`` makes the same, though workers are killed. Collected where Ray is installed."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import ray
import small_dataset

from blurgen.errors import InputError
from blurgen.parallel import WorkerDied, Workers, run_in_order, run_jobs


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
        )
        yield
        ray.shutdown()


def test_a_cluster_that_is_not_there_is_told_at_once():
    with pytest.raises(InputError, match=r"The Ray cluster 127\.0\.0\.1:1 does not answer \(.*refused"):
        list(run_jobs(square, [(1,)], Workers(backend="ray", scheduler="127.0.0.1:1")))


def test_a_cluster_of_its_own_is_started_and_ended(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # someone's, not to be joined
    assert sorted(run_jobs(square, [(2,), (3,)], Workers(backend="ray"))) == [4, 9]
    assert not ray.is_initialized()


@pytest.mark.parametrize("port", [65536, 10**20])
def test_a_port_that_can_be_none_is_told(port):
    with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port} does not answer \(ports end at 65535\)"):
        list(run_jobs(square, [(1,)], Workers(backend="ray", scheduler=f"127.0.0.1:{port}")))


def test_without_an_address_no_cluster_of_anyone_is_joined(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    asked = []

    def init(address=None, **_):
        asked.append(address)
        raise ConnectionError("that is enough")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match="that is enough"):
        list(run_jobs(square, [(1,)], Workers(backend="ray")))
    assert asked == ["local"]


def test_a_cluster_without_a_core_is_told(cluster, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"memory": 1e9})
    with pytest.raises(InputError, match="has no workers with a core; start some"):
        list(run_jobs(square, [(1,)], Workers(backend="ray")))


def fail(number):
    if number == 2:
        raise InputError("picture.png: is no picture.")
    return number


def kill_self(_number):
    os.kill(os.getpid(), signal.SIGKILL)


def square(number):
    return number * number


def test_jobs_come_back_and_the_first_error_ends_the_run(cluster):
    assert list(run_in_order(square, [(i,) for i in range(9)], Workers(backend="ray"))) == [
        i * i for i in range(9)
    ]
    with pytest.raises(InputError, match=r"^picture\.png: is no picture\.$"):
        list(run_jobs(fail, [(i,) for i in range(50)], Workers(backend="ray")))


def test_a_job_that_kills_its_workers_ends_the_run(cluster, monkeypatch):
    monkeypatch.setattr("blurgen.ray_jobs._DEATHS_SURVIVED", 0)
    with pytest.raises(WorkerDied, match="A worker process died"):
        list(run_jobs(kill_self, [(1,)], Workers(backend="ray")))


def test_a_killed_worker_changes_nothing(cluster, tmp_path):
    photos, out = small_dataset.write_photos(tmp_path / "photos"), tmp_path / "data"
    options = {"per_image": 60, "shard_size": 6}
    killed = []

    def kill_midway():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            if len(list(out.glob("full/shard-*.h5"))) >= 3:
                for process in psutil.Process().children(recursive=True):
                    if not killed and "complete_shard_in_worker" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_midway)
    killer.start()
    data = small_dataset.build(photos, out, backend="ray", **options)
    killer.join()
    assert killed
    assert data.complete
    small_dataset.build(photos, tmp_path / "here", **options)
    assert small_dataset.files_of(out) == small_dataset.files_of(tmp_path / "here")
