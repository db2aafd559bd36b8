"""``--backend ray`` makes the same, though workers and a whole node are killed.

Collected where Ray is installed.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray
import small_dataset

from blurgen.errors import InputError
from blurgen.jobs.parallel import WorkerDied, Workers, run_in_order, run_jobs


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


@pytest.fixture
def nodes(monkeypatch):
    """Two Ray nodes of one core each, in processes of their own, that ask for a token: address and nodes."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")  # else a dead node is waited for
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    started = []
    # Ray puts sockets there, and their names may not be long.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        try:
            client_port = str(free_port())
            words = ("--head", "--port", "0", "--temp-dir", folder, "--ray-client-server-port", client_port)
            started.append(start_node(Path(folder) / "head.log", *words, "--include-dashboard", "false"))
            address = (Path(folder) / "ray_current_cluster").read_text().strip()
            started.append(start_node(Path(folder) / "node.log", "--address", address))
            yield address, *started
        finally:
            for node in started:
                end_node(node)


def start_node(log, *words):
    """Start a Ray node and wait until it runs; its processes end with the one returned."""
    program = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    with log.open("w") as out:
        node = psutil.Popen(
            [*program, "--object-store-memory", str(80 << 20), *words], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text() or node.poll() is not None)
        assert node.poll() is None, log.read_text()
    except BaseException:
        end_node(node)
        raise
    return node


def end_node(node):
    """Kill a node with all that belongs to it."""
    if node.poll() is None:
        family = [*node.children(recursive=True), node]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=20)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(node):
    """Return the processes of a node that are making a shard."""
    found = []
    for process in node.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "complete_shard_in_worker" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_nodes_by_address_make_the_same_though_a_worker_and_a_node_are_killed(nodes, tmp_path):
    address, head, node = nodes
    photos, out = small_dataset.write_photos(tmp_path / "photos"), tmp_path / "data"
    small_dataset.small_bank().save(tmp_path / "kernels.h5")
    words = [
        *("build-dataset", "--faces", f"folder:{photos}", "--kernels", tmp_path / "kernels.h5"),
        *("--patch-size", "24", "--shard-size", "6", "--per-image", "60", "--class-isolated"),
    ]
    build = small_dataset.command(*words, "--out", out, "--backend", "ray", "--scheduler", address)
    try:
        for victim in (head, node):
            done = len(list(out.glob("full/shard-*.h5")))
            wait_until(lambda done=done: len(list(out.glob("full/shard-*.h5"))) >= done + 3)
            wait_until(lambda victim=victim: workers_of(victim) or build.poll() is not None)
            assert build.poll() is None, build.stderr.read()
            if victim is head:
                workers_of(head)[0].kill()
            else:
                end_node(node)
        _, errors = build.communicate(timeout=120)
    finally:
        build.kill()
    assert build.returncode == 0, errors
    small_dataset.build(photos, tmp_path / "here", per_image=60, shard_size=6, seed=0)
    assert small_dataset.files_of(out) == small_dataset.files_of(tmp_path / "here")


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


@pytest.mark.parametrize("error", [ConnectionError, ray.exceptions.RayError])
def test_a_cluster_that_cannot_be_joined_is_told_and_what_helps(monkeypatch, error):
    def init(**_):
        raise error("Failed to connect to Ray cluster. And a long text.\nOf many lines.")

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        workers = Workers(backend="ray", scheduler=f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(InputError, match=r"\(Failed to connect to Ray cluster\).*RAY_AUTH_MODE=token"):
            list(run_jobs(square, [(1,)], workers))


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
    monkeypatch.setattr("blurgen.jobs.ray_jobs._DEATHS_SURVIVED", 0)
    with pytest.raises(WorkerDied, match="A worker process died"):
        list(run_jobs(kill_self, [(1,)], Workers(backend="ray")))
