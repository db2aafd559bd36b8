"""Jobs run in processes here and elsewhere; a worker that dies never hangs the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import small_dataset

from blurgen.errors import InputError
from blurgen.faces.store import write_store
from blurgen.jobs.parallel import WorkerDied, Workers, run_in_order, run_jobs


def square(number):
    return number * number


def kill_self(_number):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    if number == 2:
        raise InputError("picture.png: is no picture.")
    time.sleep(0.1)


def test_every_job_is_done_once():
    results = run_jobs(square, [(i,) for i in range(20)], Workers(jobs=2))
    assert sorted(results) == [i * i for i in range(20)]


def test_workers_that_stay_follow_the_working_folder(tmp_path, monkeypatch):
    """As in a notebook that changes it: loky's workers began in the folder of then."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found = set(run_jobs(os.path.abspath, [("data",)] * 4, Workers(jobs=2)))
        assert found == {str(tmp_path / name / "data")}


def test_the_first_error_ends_the_run():
    with pytest.raises(InputError, match=r"picture\.png: is no picture"):
        list(run_jobs(fail, [(i,) for i in range(100)], Workers(jobs=2)))


def test_a_dying_worker_ends_the_run():
    with pytest.raises(WorkerDied, match="A worker process died"):
        list(run_jobs(kill_self, [(i,) for i in range(4)], Workers(jobs=2)))


def test_results_come_in_order_if_they_are_wanted_so():
    assert list(run_in_order(slow_first, [(i,) for i in range(8)], Workers(jobs=2))) == list(range(8))


def slow_first(number):
    time.sleep(0.3 * (number == 0))
    return number


def test_what_takes_no_longer_than_workers_need_to_start_starts_none(monkeypatch):
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_ALONE", 60.0)
    monkeypatch.setattr("blurgen.jobs.parallel._run_by_joblib", None)
    calls = [(i,) for i in range(8)]
    assert list(run_in_order(process_of, calls, Workers(jobs=2), alone_first=True)) == [os.getpid()] * 8


def test_workers_take_over_when_work_goes_on(monkeypatch):
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_ALONE", 0.25)
    who = list(run_in_order(process_of, [(0.1,)] * 8, Workers(jobs=2), alone_first=True))
    here = who.count(os.getpid())
    assert 1 <= here <= 3
    assert os.getpid() not in who[here:]


def process_of(seconds):
    time.sleep(min(seconds, 0.1))
    return os.getpid()


def test_giving_up_in_the_middle_is_not_talked_about(recwarn):
    results = run_jobs(slow_first, [(i,) for i in range(50)], Workers(jobs=2))
    assert next(results) is not None
    results.close()
    with pytest.raises(InputError):
        list(run_jobs(fail, [(i,) for i in range(50)], Workers(jobs=2)))
    assert [str(warning.message) for warning in recwarn if "cancelled" in str(warning.message)] == []


def test_a_worker_that_dies_over_a_face_is_told(tmp_path):
    with pytest.raises(WorkerDied, match="A worker process died"):
        write_store(tmp_path / "faces.h5", [Deadly()], jobs=2)
    assert list(tmp_path.iterdir()) == []


class Deadly:
    """Faces that kill who reads them."""

    spec = "deadly:100"

    def __len__(self):
        return 100

    def name(self, i):
        return f"deadly:{i}"

    def read(self, _i):
        kill_self(0)

    def describe(self):
        return {"source": "deadly", "count": 100}


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_backend_that_is_not_installed_is_told(monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"backend='{backend}' needs .*pip install {package}"):
        list(run_jobs(square, [(1,)], Workers(backend=backend)))


@pytest.fixture
def scheduler(tmp_path):
    """A Dask scheduler in a process of its own, over TCP: the file with its address."""
    file = tmp_path / "scheduler.json"
    words = ("--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1", "--port", "0")
    process = start("distributed.cli.dask_scheduler", *words)
    try:
        wait_until(file.exists)
        yield file
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(scheduler):
    """A Dask scheduler and two workers, in processes of their own, over TCP: its address and the workers."""
    words = ("--scheduler-file", str(scheduler), "--no-dashboard", "--no-nanny", "--nthreads", "1")
    workers = [start("distributed.cli.dask_worker", *words) for _ in range(2)]
    try:
        yield json.loads(scheduler.read_text())["address"], workers
    finally:
        for process in workers:
            process.kill()
            process.wait()


def start(module, *words):
    return subprocess.Popen(
        [sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_dask_cluster_makes_the_same_though_a_worker_is_killed(cluster, tmp_path):
    address, (victim, _) = cluster
    photos, out = small_dataset.write_photos(tmp_path / "photos"), tmp_path / "data"
    options = {"per_image": 60, "shard_size": 12}

    def kill_midway():
        wait_until(lambda: len(list(out.glob("full/shard-*.h5"))) >= 3)
        victim.kill()

    killer = threading.Thread(target=kill_midway)
    killer.start()
    data = small_dataset.build(photos, out, backend="dask", scheduler=address, **options)
    killer.join()
    assert data.complete
    assert victim.poll() is not None
    small_dataset.build(photos, tmp_path / "here", **options)
    assert small_dataset.files_of(out) == small_dataset.files_of(tmp_path / "here")


def test_a_scheduler_without_workers_is_told(scheduler, monkeypatch):
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_TO_ANSWER", 3.0)
    address = json.loads(scheduler.read_text())["address"]
    with pytest.raises(InputError, match=f"The Dask scheduler {address} has no workers; start some"):
        list(run_jobs(square, [(1,)], Workers(backend="dask", scheduler=address)))


def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("blurgen.jobs.parallel._SECONDS_TO_ANSWER", 1.0)
    with pytest.raises(InputError, match="does not answer"):
        list(run_jobs(square, [(1,)], Workers(backend="dask", scheduler="tcp://127.0.0.1:1")))
