"""Faces, kernels and a recipe into shards: in parallel, resumable, and nothing that is done is touched.

The order of work is what makes a build safe to kill at any moment: ``faces.h5`` and ``kernels.h5`` appear
whole, then ``dataset.json`` with the recipe, then shards under their final names, each whole. What
``dataset.json`` lists is done; a shard it does not list yet is checked and taken over. Where one shard of a
number is gone, its sisters in the other sets are read as well, and stay only if they are those listed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import numpy as np

from blurgen.building.arithmetic import add_maker, check_arithmetic
from blurgen.building.folder_lock import lock_slice, lock_update, lock_whole
from blurgen.building.prepare import Decoding, Wanted, check_only_ours, prepare, remove_leftovers
from blurgen.building.shard_job import complete_shard, complete_shard_in_worker
from blurgen.dataset.manifest import (
    FULL,
    MANIFEST,
    DatasetManifest,
    missing_shards,
    read_manifest,
    set_names,
    shard_file,
    write_manifest,
)
from blurgen.dataset.reading import Dataset
from blurgen.dataset.render import Renderer
from blurgen.dataset.shards import ShardRecord, row_bytes
from blurgen.errors import Argument, ArgumentError, DiskLost, InputError, check_range
from blurgen.faces import FaceSource, read_faces
from blurgen.files.folders import make_folder
from blurgen.jobs.parallel import Workers, is_short, run_jobs
from blurgen.jobs.progress import Bar, Reporter, Silent, counted, size_text
from blurgen.kernels.bank import KernelBank
from blurgen.synthesis.camera.settings import Camera
from blurgen.synthesis.recipe import FacesUsed, Isolation, KernelsUsed, Recipe

_SECONDS_BETWEEN_UPDATES = 5.0
_SAMPLED_FOR_ESTIMATE = 20_000
_TIMED = 16  # samples made to see how long one takes
_OVERHEAD = 16384  # most bytes of a shard beside its rows: headers and page alignment


def build_dataset(
    sources: str | FaceSource | Sequence[str | FaceSource],
    bank: KernelBank | str | Path,
    out: str | Path,
    *,
    per_image: int = 63,
    count: int | None = None,
    class_isolated: bool = False,
    isolation: Isolation = "composite",
    patch_size: int = 128,
    noise_sigma: float | None = None,
    camera: Camera | None = None,
    seed: int = 0,
    shard_size: int = 4096,
    shards: tuple[int, int] | None = None,
    recipe_only: bool = False,
    on_error: Literal["skip", "fail"] = "skip",
    jobs: int = 1,
    backend: Literal["loky", "dask", "ray"] = "loky",
    scheduler: str | None = None,
    progress: Reporter | None = None,
) -> Dataset:
    """Make a dataset in the folder ``out``, or finish one that was begun there, and return it.

    ``sources`` are faces: strings such as ``"helen:PATH"`` or ``"procedural:500"``, or what
    ``blurgen.read_faces`` opened, which has more options. ``bank`` is a kernel bank or its file.

    >>> dataset = blurgen.build_dataset("procedural:1:7", small_bank, new_folder, per_image=2, patch_size=32)
    >>> len(dataset), dataset.complete
    (2, True)

    The result is a pure function of the faces, the kernels and the options down to ``shard_size``; the
    others say how it is made. ``per_image`` crops of each face (the paper: 63), or ``count`` triplets in
    all; ``class_isolated`` adds a set per class (section IV-A.2a); ``noise_sigma`` is 0.03 (the paper's)
    unless a ``camera`` takes the pictures, which has a sensor's noise; ``shards`` ``(first, end)`` makes only
    those shard numbers, so that several machines can share one folder; ``recipe_only`` makes none. ``jobs``
    worker processes (-1: one per core), or those of a Dask or Ray cluster.

    Raises ValueError for an option out of range; InputError when the folder holds something else or another
    recipe, when another build is at work in it, when the faces cannot be used, or when the disk is too small
    or fails (then DiskLost); WorkerDied when a worker process is killed.
    """
    root, reporter = Path(out), progress or Silent()
    workers = Workers(jobs, backend, scheduler)
    check_range("per_image", per_image, 1)
    if shards is not None and not 0 <= shards[0] < shards[1]:
        raise ArgumentError(Argument("shards"), f" must be (first, end) with first < end, not {shards}.")
    bank = bank if isinstance(bank, KernelBank) else KernelBank.load(bank)
    draft = Recipe(
        seed=seed,
        count=1 if count is None else count,
        patch_size=patch_size,
        noise_sigma=noise_sigma if noise_sigma is not None else 0.03 if camera is None else 0.0,
        shard_size=shard_size,
        class_isolated=class_isolated,
        isolation=isolation,
        faces=FacesUsed(1, "0" * 32, []),  # until they are decoded
        kernels=KernelsUsed.of(bank),
        camera=camera,
    )
    wanted = Wanted(draft, per_image if count is None else None)
    sources = _opened(sources, patch_size, bank.max_size, seed)
    make_folder(root)
    if not (root / MANIFEST).exists():
        check_only_ours(root)  # before a lock file is put into a folder that is not ours
    locked = lock_whole(root) if shards is None else lock_slice(root, *shards)
    with locked:
        with lock_update(root):
            remove_leftovers(root, shards)
            manifest = prepare(root, sources, bank, wanted, Decoding(jobs, on_error, reporter))
        numbers = [] if recipe_only else _unfinished(root, manifest, shards)
        if numbers:
            check_arithmetic(root, manifest)
            try:
                _announce(root, manifest, numbers, reporter)
            except InputError:
                # Nothing of this recipe is there yet, so a smaller one may take its place.
                if shards is None and not manifest.complete and not any(manifest.sets.values()):
                    (root / MANIFEST).unlink()
                raise
            total = sum(end - first for first, end in map(manifest.recipe.shard_samples, numbers))
            with reporter.bar("Making triplets", total, "triplets") as bar:
                try:
                    with closing(_results(root, manifest, numbers, workers)) as results:  # stops the workers
                        _collect(root, results, bar)
                except DiskLost:
                    raise  # the lock may be lost as well, and what is half written be another machine's
                except BaseException:
                    with suppress(InputError, OSError), lock_update(root):
                        remove_leftovers(root, shards)  # of workers that were stopped: the disk may be full
                    raise
        with lock_update(root):
            remove_leftovers(root, shards)  # of workers that died on another machine
            return Dataset(root, finish(root, recipe_only))


def _opened(
    sources: str | FaceSource | Sequence[str | FaceSource], patch_size: int, kernel_size: int, seed: int
) -> list[FaceSource]:
    each = list(sources) if isinstance(sources, list | tuple) else [sources]
    opened: list[FaceSource] = []
    for one in each:
        if isinstance(one, str):
            opened += read_faces(one, patch_size=patch_size, kernel_size=kernel_size, seed=seed)
        else:
            opened.append(one)  # type: ignore[arg-type]
    return opened


def _unfinished(root: Path, manifest: DatasetManifest, shards: tuple[int, int] | None) -> list[int]:
    """Return the numbers of which a shard is to be made, and remove what is cut off."""
    first, end = shards or (0, manifest.recipe.shard_count)
    if first >= manifest.recipe.shard_count:
        raise InputError(
            Argument("shards"),
            f" {first}:{end}: the dataset has shards 0 to {manifest.recipe.shard_count - 1} only.",
        )
    numbers = range(first, min(end, manifest.recipe.shard_count))
    gone = missing_shards(root, manifest)
    for name, number in gone:
        if number in numbers:
            _remove(root / shard_file(name, number))
    again = {number for _, number in gone}
    return [number for number in numbers if number in again or number not in manifest.sets[FULL]]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise InputError(f"{path}: cannot be made, a folder is in its place; remove that.")
    path.unlink(missing_ok=True)


def _announce(root: Path, manifest: DatasetManifest, numbers: list[int], reporter: Reporter) -> None:
    """Say what is going to be made; InputError when it does not fit the disk."""
    recipe = manifest.recipe
    rows = sum(end - first for first, end in map(recipe.shard_samples, numbers))
    per_sample = 1.0 + (_isolated_share(root, recipe) if recipe.class_isolated else 0.0)
    overhead = len(numbers) * len(set_names(recipe)) * _OVERHEAD
    size = round(rows * per_sample * row_bytes(recipe.patch_size)) + overhead
    free = shutil.disk_usage(root).free
    if kept := recipe.shard_count - len(numbers):
        reporter.say(f"{root}: {kept:,} of {recipe.shard_count:,} shards are done or left to other builds.")
    isolated = f" and about {round(rows * (per_sample - 1)):,} isolated ones" if per_sample > 1 else ""
    reporter.say(
        f"{root}: {counted(rows, 'triplet')}{isolated} to make, {size_text(size)}; "
        f"{size_text(free)} free on the disk."
    )
    if size > free:
        raise InputError(
            f"{root}: {size_text(size)} do not fit on the disk, which has {size_text(free)} free; free some "
            "space, choose another disk, or use ",
            Argument("recipe_only", True),
            ".",
        )


def _isolated_share(root: Path, recipe: Recipe) -> float:
    """Return how many isolated rows there are per sample, counted on samples spread over all."""
    spread = np.arange(0, recipe.count, max(1, recipe.count // _SAMPLED_FOR_ESTIMATE))
    with closing(Renderer(root, recipe)) as renderer:
        return float(renderer.members(renderer.plan(spread)).sum() / len(spread))


def _results(
    root: Path, manifest: DatasetManifest, numbers: list[int], workers: Workers
) -> Generator[tuple[int, dict[str, ShardRecord]], None, None]:
    is_local = workers.backend == "loky"
    if is_local and (workers.jobs == 1 or len(numbers) == 1 or _is_short(root, manifest.recipe, numbers)):
        yield from _results_here(root, manifest, numbers)
    else:
        recipe, where = json.dumps(manifest.recipe.to_json()), str(root.absolute())
        calls = [(where, recipe, number, (), manifest.listed(number)) for number in numbers]
        yield from run_jobs(complete_shard_in_worker, calls, workers)


def _is_short(root: Path, recipe: Recipe, numbers: list[int]) -> bool:
    """Return whether these shards are made sooner here than workers start, by the time a few samples take.

    What their making needs is compiled then, once, here, and not by every worker.
    """
    with closing(Renderer(root, recipe)) as renderer:
        index = renderer.plan(np.arange(min(recipe.count, _TIMED)))
        renderer.rows_by_set(index[:1])
        renderer.render(index[:1], isolated=recipe.class_isolated)
        began = time.perf_counter()
        renderer.render(index, isolated=recipe.class_isolated)
        seconds = (time.perf_counter() - began) / len(index)
    return is_short(seconds * sum(end - first for first, end in map(recipe.shard_samples, numbers)))


def _results_here(
    root: Path, manifest: DatasetManifest, numbers: list[int]
) -> Generator[tuple[int, dict[str, ShardRecord]], None, None]:
    with closing(Renderer(root, manifest.recipe)) as renderer:
        for number in numbers:
            yield number, complete_shard(renderer, root, number, listed=manifest.listed(number))


def _collect(root: Path, results: Iterator[tuple[int, dict[str, ShardRecord]]], bar: Bar) -> None:
    """List every shard that is done in ``dataset.json``: every few seconds, and whatever ends the run."""
    fresh: dict[int, dict[str, ShardRecord]] = {}
    updated = time.monotonic()
    try:
        for number, records in results:
            fresh[number] = records
            bar.advance(records[FULL].rows, sum(record.bytes for record in records.values()))
            if time.monotonic() - updated > _SECONDS_BETWEEN_UPDATES:
                _update(root, fresh)
                updated = time.monotonic()
    except BaseException:
        with suppress(InputError, OSError):  # the first error is the one to tell
            _update(root, fresh)
        raise
    _update(root, fresh)


def _update(root: Path, fresh: dict[int, dict[str, ShardRecord]]) -> None:
    with lock_update(root):
        manifest = read_manifest(root)  # other slices may have added theirs
        for number, made in fresh.items():
            for name, records in manifest.sets.items():
                if records.get(number) != made.get(name):
                    # Else nothing is new: a machine that was thought dead comes back to a finished dataset.
                    manifest.complete = False
                    records.pop(number, None)
                    if name in made:
                        records[number] = made[name]
                        add_maker(manifest)
        write_manifest(root, manifest)


def finish(root: Path, recipe_only: bool) -> DatasetManifest:
    """Mark the dataset complete if it is, and return what ``dataset.json`` says."""
    manifest = read_manifest(root)
    shards = len(manifest.sets[FULL])
    complete = shards == manifest.recipe.shard_count or (recipe_only and shards == 0)
    complete = complete and not missing_shards(root, manifest)  # another slice's, to be made again
    if complete != manifest.complete:
        manifest.complete = complete
        write_manifest(root, manifest)
    return manifest
