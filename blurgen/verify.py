"""Is a dataset still what its ``dataset.json`` says? Every byte of every file is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from blurgen.manifest import (
    FACES,
    FULL,
    ISOLATED,
    KERNELS,
    MANIFEST,
    Manifest,
    ShardRecord,
    inside,
    read_manifest,
    shard_file,
)
from blurgen.parallel import Workers, run_jobs
from blurgen.progress import Reporter, Silent
from blurgen.recipe import Recipe
from blurgen.render import Renderer, open_faces, open_kernels, sources_of
from blurgen.shard_job import difference, worker_renderer
from blurgen.shards import digest_file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file, relative to the dataset, and what is the matter with it.

    ``shard`` is (set, number) where making that shard again helps. ``misleads`` says that shards made from
    the dataset as it is would not be the right ones.
    """

    file: str
    what: str
    shard: tuple[str, int] | None = None
    misleads: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def verify(root: str | Path, *, jobs: int = 1, progress: Reporter | None = None) -> list[Problem]:
    """Return everything that is wrong with the dataset in ``root``; an empty list if all is well.

    Finds flipped bits, missing, cut-off and extra shards, a recipe or list that is not that of the shards,
    and other faces or kernels than the recipe's. ``jobs`` processes read (-1: one per core). InputError when
    ``root`` holds no dataset or its ``dataset.json`` cannot be read.
    """
    root, reporter = Path(root), progress or Silent()
    manifest = read_manifest(root)
    problems = []
    if not manifest.complete:
        shards = f"{len(manifest.sets[FULL])} of {manifest.recipe.shard_count} shards"
        problems.append(Problem(MANIFEST, f"lists {shards}; the same 'blurgen build-dataset' finishes it"))
    ingredients = [*_check_faces(root, manifest.recipe), *_check_kernels(root, manifest.recipe)]
    problems += ingredients
    problems += _extra_files(root, manifest)
    listed = sorted({number for records in manifest.sets.values() for number in records})
    with reporter.bar("Verifying", len(listed), "shards") as bar:
        for number, found in _check_shards(root, manifest, listed, Workers(jobs), not ingredients):
            problems += found
            bar.advance(1, sum(r[number].bytes for r in manifest.sets.values() if number in r))
    return sorted(problems, key=lambda problem: problem.file)


def _check_faces(root: Path, recipe: Recipe) -> Iterator[Problem]:
    try:
        faces = open_faces(root, recipe)
        if faces.digest != recipe.faces.digest:
            what = f"is damaged or not the recipe's: its digest is {faces.digest}"
            yield Problem(FACES, what, misleads=True)
        elif sources_of(faces) != recipe.faces.sources:
            yield Problem(FACES, f"names other sources than the recipe in {MANIFEST}", misleads=True)
        faces.close()
    except InputError as error:
        yield Problem(FACES, _without_path(error, root / FACES), misleads=True)


def _check_kernels(root: Path, recipe: Recipe) -> Iterator[Problem]:
    try:
        open_kernels(root, recipe)
    except InputError as error:
        yield Problem(KERNELS, _without_path(error, root / KERNELS), misleads=True)


def _extra_files(root: Path, manifest: Manifest) -> Iterator[Problem]:
    wanted = {shard_file(name, number) for name, records in manifest.sets.items() for number in records}
    for name in (FULL, *ISOLATED):
        for path in sorted((root / name).glob("*")) if (root / name).is_dir() else ():
            file = f"{name}/{path.name}"
            if file not in wanted:
                yield Problem(file, f"does not belong there: {MANIFEST} does not list it; remove it")


def _check_shards(
    root: Path, manifest: Manifest, numbers: list[int], workers: Workers, recompute: bool
) -> Iterator[tuple[int, list[Problem]]]:
    """Yield the problems of each shard number, checked here or in worker processes."""
    recipe = json.dumps(manifest.recipe.to_json()) if recompute else None
    arguments = [
        (
            str(root.absolute()),
            recipe,
            number,
            {name: records[number] for name, records in manifest.sets.items() if number in records},
        )
        for number in numbers
    ]
    if workers == Workers(jobs=1):
        for each in arguments:
            yield check_shard(*each)
    else:
        yield from run_jobs(check_shard, arguments, workers)


def check_shard(
    root: str, recipe: str | None, number: int, records: dict[str, ShardRecord]
) -> tuple[int, list[Problem]]:
    """Check all shards of one number against their records; with ``recipe`` (JSON), also against that."""
    problems = []
    renderer = worker_renderer(root, recipe) if recipe is not None else None
    planned = _planned(renderer, number) if renderer else {}
    for name, record in records.items():
        file = shard_file(name, number)
        if (what := _damage(Path(root), file, record)) is not None:
            problems.append(Problem(file, what, (name, number)))
        if renderer is None:
            continue
        if record.rows != len(planned[name]):
            what = f"lists {record.rows} rows of {file}, but its recipe gives {len(planned[name])}"
            problems.append(Problem(MANIFEST, what, misleads=True))
        elif what is None:
            problems += _difference(renderer, Path(root), name, number, planned[name])
    misled = any(problem.misleads for problem in problems)  # then nothing follows from what is planned
    for name in planned:
        if len(planned[name]) and name not in records and not misled:
            file = shard_file(name, number)
            problems.append(Problem(file, f"is not listed in {MANIFEST}, but has rows", (name, number)))
    return number, problems


def _planned(renderer: Renderer, number: int) -> dict[str, NDArray[np.void]]:
    """Return the index that each shard of one number should have."""
    index = renderer.plan(np.arange(*renderer.recipe.shard_samples(number)))
    return {name: index[rows] for name, rows in renderer.rows_by_set(index).items()}


def _damage(root: Path, file: str, record: ShardRecord) -> str | None:
    try:
        path = inside(root, file)
        if not path.is_file():
            return "is missing"
        size = path.stat().st_size
        if size != record.bytes:
            return f"is {'cut off' if size < record.bytes else 'too long'}: {size} of {record.bytes} bytes"
        if digest_file(path) != record.digest:
            return "is damaged: its digest is not the one listed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except InputError as error:
        return _without_path(error, root / file)
    return None


def _difference(
    renderer: Renderer, root: Path, name: str, number: int, index: NDArray[np.void]
) -> Iterator[Problem]:
    """Compare a shard with the recipe, which is to blame for a difference: the shard is as it was listed."""
    file = shard_file(name, number)
    try:
        if (what := difference(renderer, root / file, name, index)) is not None:
            what = f"its recipe is not that of {file}, which is as listed: {what}"
            yield Problem(MANIFEST, what, misleads=True)
    except InputError as error:
        yield Problem(file, _without_path(error, root / file), (name, number))


def _without_path(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
