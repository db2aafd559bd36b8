"""The unit of work of a build: everything that is made from the samples of one shard number."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurgen.dataset.manifest import FULL, MANIFEST, shard_file
from blurgen.dataset.render import Renderer, rows_of_set
from blurgen.dataset.shards import ShardRecord, create_shard, open_shard, record_shard
from blurgen.errors import InputError
from blurgen.files.inside import inside
from blurgen.synthesis.recipe import Recipe

_BATCH = 4  # rows made at a time: few enough to be still in the second-level cache when they are written

_opened = threading.local()


def complete_shard(
    renderer: Renderer,
    root: Path,
    number: int,
    again: Collection[str] = (),
    listed: Mapping[str, ShardRecord] | None = None,
) -> dict[str, ShardRecord]:
    """Make what is missing of one shard number, in all sets, and return the records of all its shards.

    A sound shard of the recipe that is already there is left untouched, unless its set is in ``again`` or it
    is not the one ``listed`` for its set. Sets without a row have no shard. InputError when there is no room,
    or when a shard comes out other than it was listed.
    """
    index = renderer.plan(np.arange(*renderer.recipe.shard_samples(number)))
    rows = {name: rows for name, rows in renderer.rows_by_set(index).items() if len(rows)}
    known = listed or {}
    kept = {}
    for name in rows.keys() - set(again):
        record = _sound_shard(renderer, root, name, number, index[rows[name]])
        if record is not None and record == known.get(name, record):
            kept[name] = record
    missing = {name: rows[name] for name in rows if name not in kept}
    for name in missing:
        inside(root, name)  # nothing is written outside the folder
    made = _make(renderer, root, number, index, missing) if missing else {}
    for name, record in made.items():
        if name in known and record.content != known[name].content:
            raise InputError(
                f"{root / shard_file(name, number)}: comes out other than {MANIFEST} says; "
                f"the list there is damaged, or it was made by other versions; delete {MANIFEST}, and the "
                "same 'blurgen build-dataset' makes it again."
            )
    return made | kept


def complete_shard_in_worker(
    root: str,
    recipe: str,
    number: int,
    again: Collection[str] = (),
    listed: Mapping[str, ShardRecord] | None = None,
) -> tuple[int, dict[str, ShardRecord]]:
    """Do ``complete_shard`` in a worker process; ``recipe`` is JSON."""
    return number, complete_shard(worker_renderer(root, recipe), Path(root), number, again, listed)


def worker_renderer(root: str, recipe: str) -> Renderer:
    """Return the renderer of a dataset, which each thread of a worker opens once; ``recipe`` is JSON."""
    if getattr(_opened, "key", None) != (root, recipe):
        _opened.renderer = Renderer(Path(root), Recipe.from_json(json.loads(recipe)))
        _opened.key = (root, recipe)
    renderer: Renderer = _opened.renderer
    return renderer


def close_worker_renderer() -> None:
    """Close what ``worker_renderer`` opened in this thread, if it did: the caller may be its own worker."""
    if hasattr(_opened, "key"):
        _opened.renderer.close()
        del _opened.renderer, _opened.key


def planned_index(renderer: Renderer, number: int) -> dict[str, NDArray[np.void]]:
    """Return for every set of the recipe the index that its shard of this number should have."""
    index = renderer.plan(np.arange(*renderer.recipe.shard_samples(number)))
    return {name: index[rows] for name, rows in renderer.rows_by_set(index).items()}


def difference(renderer: Renderer, path: Path, set_name: str, index: NDArray[np.void]) -> str | None:
    """Return how a shard of set ``set_name`` differs from what the recipe says, or None if it does not.

    ``index`` is the one it should have. It says nothing of noise, isolation or patch size, so one row is
    made anew and compared as well. InputError when the file is no sound shard.
    """
    shard = open_shard(path)
    if not np.array_equal(shard.index, index):
        return "its index is another"
    row = int(index["sample"][0]) % len(index)
    made = renderer.rows(index[row : row + 1], set_name)
    if not all(np.array_equal(a[0], b[row]) for a, b in zip(made.parts(), shard.parts(), strict=True)):
        return f"row {row}, made anew, is another"
    return None


def _sound_shard(
    renderer: Renderer, root: Path, set_name: str, number: int, index: NDArray[np.void]
) -> ShardRecord | None:
    """Return the record of a shard that is there already, or None if it is not, or is none of this recipe."""
    path = inside(root, shard_file(set_name, number))
    if not path.exists():
        return None
    try:
        if difference(renderer, path, set_name, index) is not None:
            return None
        return record_shard(path)
    except InputError:
        return None


def _make(
    renderer: Renderer, root: Path, number: int, index: NDArray[np.void], rows: dict[str, NDArray[np.intp]]
) -> dict[str, ShardRecord]:
    isolated = any(name != FULL for name in rows)
    writers = {}
    with ExitStack() as shards:
        # The first to be opened is the last to appear: where the full shard is, the isolated ones are too.
        for name in sorted(rows, key=lambda name: name != FULL):
            path = root / shard_file(name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            writers[name] = shards.enter_context(
                create_shard(path, len(rows[name]), renderer.recipe.patch_size)
            )
        for start, triplets in renderer.batches(index, _BATCH, isolated=isolated):
            batch = index[start : start + _BATCH]
            for name, writer in writers.items():
                first, end = np.searchsorted(rows[name], (start, start + _BATCH))
                chosen = rows[name][first:end] - start
                writer.append(
                    rows_of_set(triplets, batch, name, chosen if len(chosen) < len(batch) else None)
                )
    return {name: writer.record for name, writer in writers.items()}
