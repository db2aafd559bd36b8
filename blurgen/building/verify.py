"""Is a dataset still what its ``dataset.json`` says? Every byte of every file is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blurgen.building.arithmetic import other_arithmetic
from blurgen.building.shard_job import close_worker_renderer, difference, planned_index, worker_renderer
from blurgen.dataset.manifest import (
    FACES,
    FULL,
    ISOLATED,
    KERNELS,
    MANIFEST,
    DatasetManifest,
    read_manifest,
    shard_file,
)
from blurgen.dataset.render import Renderer, open_faces, open_kernels, sources_of
from blurgen.dataset.shards import ShardRecord, record_shard
from blurgen.errors import InputError
from blurgen.files.digests import record_file
from blurgen.files.inside import inside
from blurgen.jobs.parallel import Workers, run_jobs
from blurgen.jobs.progress import Reporter, Silent, counted

_ONLY_DETAILS: Final = "is damaged in names, identities or the like, though its {} are sound"
_SHARD: Final = re.compile(r"shard-(\d{5,15})\.h5")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file, relative to the dataset, and what is the matter with it.

    ``shard`` is (set, number) where making that shard again helps. ``misleads`` says that shards made from
    the dataset as it is would not be the right ones; ``is_other`` that the file is as listed, and yet not
    what is made here from the recipe.
    """

    file: str
    what: str
    shard: tuple[str, int] | None = None
    misleads: bool = False
    is_other: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def verify(root: str | Path, *, jobs: int = 1, progress: Reporter | None = None) -> list[Problem]:
    """Return everything that is wrong with the dataset in ``root``; an empty list if all is well.

    Finds flipped bits, missing, cut-off and extra shards, a recipe or list that is not that of the shards,
    faces or kernels that are damaged or not the recipe's. ``jobs`` processes read (-1: one per core).
    InputError when ``root`` holds no dataset or its ``dataset.json`` cannot be read.
    """
    root, reporter = Path(root), progress or Silent()
    manifest = read_manifest(root)
    problems = []
    if not manifest.complete:
        shards = f"{len(manifest.sets[FULL])} of {counted(manifest.recipe.shard_count, 'shard')}"
        problems.append(Problem(MANIFEST, f"lists {shards}; the same 'blurgen build-dataset' finishes it"))
    if manifest.recipe_is_altered:
        problems.append(_misleading(root, MANIFEST, "its recipe is damaged: it is not the one written there"))
    ingredients = [*check_faces(root, manifest), *check_kernels(root, manifest)]
    problems += ingredients
    sound = not any(problem.misleads for problem in (*problems, *ingredients))
    listed = sorted({number for records in manifest.sets.values() for number in records})
    with reporter.bar("Verifying", len(listed), "shards") as bar:
        try:
            for number, found in _check_shards(root, manifest, listed, Workers(jobs), sound):
                problems += found
                bar.advance(1, sum(record.bytes for record in manifest.listed(number).values()))
        finally:
            close_worker_renderer()
    problems = _blamed(manifest, problems)
    problems += _extra_files(root, manifest, {problem.file for problem in problems})
    return sorted(problems, key=lambda problem: problem.file)


def _blamed(manifest: DatasetManifest, problems: list[Problem]) -> list[Problem]:
    """Return the problems with the reason for those shards that are as listed, but not of the recipe."""
    others = [problem for problem in problems if problem.is_other]
    if not others:
        return problems
    rest = [problem for problem in problems if not problem.is_other]
    if manifest.recipe_digest is None:  # nothing tells whether the recipe is what it was
        named = [f"its recipe is not that of {each.file}, which is as listed: {each.what}" for each in others]
        return rest + [Problem(MANIFEST, what, misleads=True) for what in named]
    first = min(others, key=lambda problem: problem.file)
    which = first.file if len(others) == 1 else f"{first.file} and {len(others) - 1:,} more shards"
    what = f"{which}, as listed here: {first.what}: {other_arithmetic(manifest)}"
    return [*rest, Problem(MANIFEST, what, misleads=True, is_other=True)]


def check_faces(root: Path, manifest: DatasetManifest) -> Iterator[Problem]:
    """Yield what is wrong with ``faces.h5``: its pixels and labels, and everything else in the file."""
    recipe = manifest.recipe
    try:
        faces = open_faces(root, recipe)
        record, digest = faces.digests()
        if digest != recipe.faces.digest:
            yield _misleading(root, FACES, f"is damaged or not the recipe's: its digest is {digest}")
        elif sources_of(faces) != recipe.faces.sources:
            yield _misleading(root, FACES, f"names other sources than the recipe in {MANIFEST}")
        elif record != manifest.files.get(FACES, record):
            yield Problem(FACES, with_remedy(root, FACES, _ONLY_DETAILS.format("pixels and labels")))
    except InputError as error:
        yield _misleading(root, FACES, _without_path(error, root / FACES))


def check_kernels(root: Path, manifest: DatasetManifest) -> Iterator[Problem]:
    """Yield what is wrong with ``kernels.h5``: its kernels, and everything else in the file."""
    try:
        open_kernels(root, manifest.recipe)
        record = record_file(root / KERNELS)
        if record != manifest.files.get(KERNELS, record):
            yield Problem(KERNELS, with_remedy(root, KERNELS, _ONLY_DETAILS.format("kernels")))
    except (InputError, OSError) as error:
        yield _misleading(root, KERNELS, _without_path(error, root / KERNELS))


def with_remedy(root: Path, file: str, what: str) -> str:
    """Add to what is wrong with a file what helps, where shards cannot be made without the file.

    A build takes over every sound shard, so ``dataset.json`` itself may be deleted as well.
    """
    what = what.partition(";")[0].removesuffix(".")
    delete = "delete it, and " if (root / file).exists() else ""
    return f"{what}; {delete}the same 'blurgen build-dataset' makes it again"


def _misleading(root: Path, file: str, what: str) -> Problem:
    return Problem(file, with_remedy(root, file, what), misleads=True)


def _extra_files(root: Path, manifest: DatasetManifest, named: set[str]) -> Iterator[Problem]:
    """Yield the files among the shards that have no place there and are not ``named`` in another problem."""
    known = {shard_file(name, number) for name, records in manifest.sets.items() for number in records}
    for name in (FULL, *ISOLATED):
        for path in sorted((root / name).glob("*")) if (root / name).is_dir() else ():
            file = f"{name}/{path.name}"
            if file not in known and file not in named and not _is_awaited(manifest, name, path.name):
                yield Problem(file, f"does not belong there: {MANIFEST} does not list it; remove it")


def _is_awaited(manifest: DatasetManifest, set_name: str, file: str) -> bool:
    """Return whether a file is one that a build which was stopped may have made but not listed yet."""
    number = _SHARD.fullmatch(file)
    return (
        not manifest.complete
        and number is not None
        and set_name in manifest.sets
        and int(number[1]) < manifest.recipe.shard_count
    )


def _check_shards(
    root: Path, manifest: DatasetManifest, numbers: list[int], workers: Workers, recompute: bool
) -> Iterator[tuple[int, list[Problem]]]:
    """Yield the problems of each shard number, checked here or in worker processes."""
    recipe = json.dumps(manifest.recipe.to_json()) if recompute else None
    arguments = [(str(root.absolute()), recipe, number, manifest.listed(number)) for number in numbers]
    yield from run_jobs(check_shard, arguments, workers)


def check_shard(
    root: str, recipe: str | None, number: int, records: dict[str, ShardRecord]
) -> tuple[int, list[Problem]]:
    """Check all shards of one number against their records; with ``recipe`` (JSON), also against that."""
    problems = []
    renderer = worker_renderer(root, recipe) if recipe is not None else None
    wanted = planned_index(renderer, number) if renderer else {}
    for name, record in records.items():
        file = shard_file(name, number)
        damage = _damage(Path(root), name, number, record)
        problems += damage
        if renderer is None:
            continue
        if record.rows != len(wanted[name]):
            what = f"lists {record.rows} rows of {file}, but its recipe gives {len(wanted[name])}"
            problems.append(Problem(MANIFEST, what, misleads=True))
        elif not damage:
            problems += _difference(renderer, Path(root), name, number, wanted[name])
    misled = any(problem.misleads for problem in problems)  # then nothing follows from what is planned
    for name in wanted:
        if len(wanted[name]) and name not in records and not misled:
            file = shard_file(name, number)
            problems.append(Problem(file, f"is not listed in {MANIFEST}, but has rows", (name, number)))
    return number, problems


def _damage(root: Path, set_name: str, number: int, record: ShardRecord) -> list[Problem]:
    """Compare a shard with what ``dataset.json`` says of its bytes, all of which are read once."""
    file = shard_file(set_name, number)
    try:
        path = inside(root, file)
        if not path.is_file():
            what = "is missing"
        elif (size := path.stat().st_size) != record.bytes:
            what = f"is {'cut off' if size < record.bytes else 'too long'}: {size} of {record.bytes} bytes"
        else:
            found = _found(path, record)
            if found.digest != record.digest:
                what = "is damaged: its digest is not the one listed"
            elif found.content != record.content:
                what = f"lists another content of {file} than it has, and the file is as listed"
                return [_misleading(root, MANIFEST, what)]
            elif record.offsets not in (found.offsets, None):
                what = f"lists other offsets of {file} than it has, and the file is as listed"
                return [_misleading(root, MANIFEST, what)]
            else:
                return []
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except InputError as error:
        what = _without_path(error, root / file)
    return [Problem(file, what, (set_name, number))]


def _found(path: Path, record: ShardRecord) -> ShardRecord:
    """Return the record of a file; InputError when it is no shard, but one with the digest listed."""
    try:
        return record_shard(path)
    except InputError:
        whole = record_file(path)
        if whole.digest == record.digest:
            raise
        return ShardRecord(0, whole.bytes, whole.digest, "")


def _difference(
    renderer: Renderer, root: Path, set_name: str, number: int, index: NDArray[np.void]
) -> Iterator[Problem]:
    """Compare a shard, which is as it was listed, with the recipe."""
    file = shard_file(set_name, number)
    try:
        if (what := difference(renderer, root / file, set_name, index)) is not None:
            yield Problem(file, what, misleads=True, is_other=True)
    except InputError as error:
        yield Problem(file, _without_path(error, root / file), (set_name, number))


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
