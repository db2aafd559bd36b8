"""Making damaged shards again: from the recipe, bit for bit, and no others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from blurgen.build_lock import lock_update, lock_whole
from blurgen.errors import InputError
from blurgen.manifest import MANIFEST, read_manifest, shard_file, write_manifest
from blurgen.parallel import Workers, run_jobs
from blurgen.progress import Reporter, Silent
from blurgen.shard_job import complete_shard_in_worker
from blurgen.verify import Problem, verify


@dataclass(frozen=True)
class Repaired:
    """Which shards were made again, and what is wrong still because no shard is to blame."""

    files: list[str]
    remaining: list[Problem]


def repair(root: str | Path, *, jobs: int = 1, progress: Reporter | None = None) -> Repaired:
    """Make again every shard that ``verify`` finds fault with; all others stay untouched.

    InputError when another build is at work, when the faces, the kernels or ``dataset.json`` are damaged
    (then nothing is made), or when a shard comes out other than ``dataset.json`` says.
    """
    root, reporter = Path(root), progress or Silent()
    read_manifest(root)
    with lock_whole(root), lock_update(root):
        problems = verify(root, jobs=jobs, progress=reporter)
        for problem in problems:
            if problem.misleads:
                what = f"{root}/{problem}".removesuffix(".")
                raise InputError(f"{what}; restore {problem.file}, shards cannot be made without it.")
        again: dict[int, set[str]] = {}
        for problem in problems:
            if problem.shard is not None:
                again.setdefault(problem.shard[1], set()).add(problem.shard[0])
        if again:
            _make_again(root, again, Workers(jobs), reporter)
        files = sorted(shard_file(name, number) for number, names in again.items() for name in names)
        return Repaired(files, [problem for problem in problems if problem.shard is None])


def _make_again(root: Path, again: dict[int, set[str]], workers: Workers, reporter: Reporter) -> None:
    manifest = read_manifest(root)
    where, recipe = str(root.absolute()), json.dumps(manifest.recipe.to_json())
    arguments = [(where, recipe, number, sorted(names)) for number, names in sorted(again.items())]
    with reporter.bar("Repairing", len(arguments), "shards") as bar:
        results = (
            (complete_shard_in_worker(*each) for each in arguments)
            if workers == Workers(jobs=1)
            else run_jobs(complete_shard_in_worker, arguments, workers)
        )
        for number, records in results:
            for name in sorted(again[number]):
                listed = manifest.sets[name].get(number)
                if listed is not None and listed.content != records[name].content:
                    raise InputError(
                        f"{root / shard_file(name, number)}: comes out other than {MANIFEST} says; "
                        "the recipe there, or its list of shards, is damaged."
                    )
                manifest.sets[name][number] = records[name]
            bar.advance()
    write_manifest(root, manifest)
