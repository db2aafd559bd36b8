"""Making what is damaged again: shards, from the recipe, bit for bit, and no others; kernels as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from blurgen.building.arithmetic import add_maker
from blurgen.building.build import finish
from blurgen.building.folder_lock import lock_update, lock_whole
from blurgen.building.shard_job import close_worker_renderer, complete_shard_in_worker
from blurgen.building.verify import Problem, check_kernels, verify, with_remedy
from blurgen.dataset.manifest import (
    KERNELS,
    MANIFEST,
    DatasetManifest,
    read_manifest,
    shard_file,
    write_manifest,
)
from blurgen.errors import InputError
from blurgen.files.digests import record_file
from blurgen.files.inside import inside
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent
from blurgen.kernels.bank import remake_bank


@dataclass(frozen=True)
class Repaired:
    """Which files were made again, and what is wrong still because no shard is to blame."""

    files: list[str]
    remaining: list[Problem]


def repair(root: str | Path, *, jobs: int = 1, progress: Reporter | None = None) -> Repaired:
    """Make again every shard that ``verify`` finds fault with, and the kernels; the rest stays untouched.

    >>> blurgen.repair(small_dataset).files
    []

    InputError when another build is at work, when the faces, the kernels or ``dataset.json`` are damaged and
    cannot be made again (then nothing is made), or when a shard comes out other than ``dataset.json`` says.
    """
    root, reporter = Path(root), progress or Silent()
    manifest = read_manifest(root)
    with lock_whole(root), lock_update(root):
        files = _make_kernels_again(root, manifest, jobs)
        problems = verify(root, jobs=jobs, progress=reporter)
        for problem in problems:
            if problem.is_other:
                raise InputError(f"{root / problem.file}: {problem.what}.")
            if problem.misleads:
                what = with_remedy(root, problem.file, problem.what)
                raise InputError(f"{root / problem.file}: {what}; shards cannot be made without it.")
        again: dict[int, set[str]] = {}
        for problem in problems:
            if problem.shard is not None:
                again.setdefault(problem.shard[1], set()).add(problem.shard[0])
        if again:
            _make_again(root, again, Workers(jobs), reporter)
        files += sorted(shard_file(name, number) for number, names in again.items() for name in names)
        remaining = [problem for problem in problems if problem.shard is None]
        # The one thing that may be said of dataset.json here is that shards are to come.
        if finish(root, manifest.recipe_only).complete:
            remaining = [problem for problem in remaining if problem.file != MANIFEST]
        return Repaired(files, remaining)


def _make_kernels_again(root: Path, manifest: DatasetManifest, jobs: int) -> list[str]:
    """Make a damaged ``kernels.h5`` again if it still says how; only the right bank takes its place."""
    if not any(check_kernels(root, manifest)):
        return []
    used = manifest.recipe.kernels
    try:
        bank = remake_bank(inside(root, KERNELS), used.count, used.max_size, jobs)
    except InputError:
        return []  # verify says what is wrong, and what helps
    if bank.digest != used.digest:
        return []
    bank.save(root / KERNELS)
    if KERNELS in manifest.files:  # as another HDF5 library may have written it
        manifest.files[KERNELS] = record_file(root / KERNELS)
        write_manifest(root, manifest)
    return [KERNELS]


def _make_again(root: Path, again: dict[int, set[str]], workers: Workers, reporter: Reporter) -> None:
    manifest = read_manifest(root)
    where, recipe = str(root.absolute()), json.dumps(manifest.recipe.to_json())
    arguments = [
        (where, recipe, number, sorted(names), manifest.listed(number))
        for number, names in sorted(again.items())
    ]
    with reporter.bar("Repairing", len(arguments), "shards") as bar:
        try:
            for number, records in run_jobs(complete_shard_in_worker, arguments, workers):
                for name in again[number]:
                    manifest.sets[name][number] = records[name]
                bar.advance()
        finally:
            close_worker_renderer()
    add_maker(manifest)
    write_manifest(root, manifest)
