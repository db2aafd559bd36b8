"""A dataset's folder before its first shard: the faces, the kernels and the recipe are put in their places.

All of it may have been done before, wholly or in part. What is there is kept if it is what this build
would make, and refused by name if it is not.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from blurgen.building.arithmetic import add_maker
from blurgen.building.folder_lock import is_lock
from blurgen.building.shard_job import difference, planned_index
from blurgen.dataset.manifest import (
    FACES,
    FULL,
    ISOLATED,
    KERNELS,
    MANIFEST,
    DatasetManifest,
    read_manifest,
    shard_file,
    write_manifest,
)
from blurgen.dataset.render import Renderer, sources_of
from blurgen.dataset.shards import open_shard
from blurgen.errors import Argument, InputError
from blurgen.faces import FaceSource
from blurgen.faces.store import FaceStore, write_store
from blurgen.files.digests import FileRecord, record_file
from blurgen.files.folders import refuse_others
from blurgen.files.inside import inside
from blurgen.jobs.progress import Reporter, counted
from blurgen.kernels.bank import KernelBank
from blurgen.synthesis.recipe import FacesUsed, Recipe

# What blurgen.files.atomic.write_aside and blurgen.faces.store.write_store leave when they are killed.
_PART = re.compile(r"\.(.+)\.[^.]+\.parts?")
_MOST_NAMED = 20  # skipped files told one by one
_SHARD = re.compile(r"shard-(\d+)\.h5")


@dataclass(frozen=True)
class Wanted:
    """The recipe as the user gives it, without faces yet: of each face ``per_image`` triplets, or None."""

    draft: Recipe
    per_image: int | None

    def recipe(self, faces: FacesUsed) -> Recipe:
        """Return the recipe for these faces."""
        count = self.draft.count if self.per_image is None else self.per_image * faces.count
        return msgspec.structs.replace(self.draft, faces=faces, count=count)


@dataclass(frozen=True)
class Decoding:
    """How the faces are decoded: processes, what is done about a face that cannot be used, who is told."""

    jobs: int
    on_error: Literal["skip", "fail"]
    reporter: Reporter


def prepare(
    root: Path, sources: Sequence[FaceSource], bank: KernelBank, wanted: Wanted, decoding: Decoding
) -> DatasetManifest:
    """Bring ``root`` to where shards can be made, and return what ``dataset.json`` says then.

    InputError when the folder holds something else, or was made from another recipe or other faces (also
    where only its shards tell), or no face is labelled and the recipe has class sets.
    """
    described = json.loads(json.dumps([source.describe() for source in sources]))
    old = read_manifest(root) if (root / MANIFEST).exists() else None
    if old is None:
        check_only_ours(root)
    else:
        if old.recipe_is_altered:
            raise InputError(
                f"{root / MANIFEST}: its recipe is damaged: it is not the one written there; delete the "
                "file, and the same command makes it again."
            )
        _check_sources(root / MANIFEST, old.recipe.faces.sources, described, sources)
        _check_recipe(root, old.recipe, wanted.recipe(old.recipe.faces))
    placed = _place_faces(root, sources, described, old, decoding)
    recipe = wanted.recipe(FacesUsed(len(placed.store), placed.digest, described))
    _check_labels(recipe, placed.store, sources, decoding.reporter)
    files = {FACES: placed.record, KERNELS: _place_kernels(root, bank, old)}
    if old is None:
        _check_shards(root, recipe)
    manifest = old or DatasetManifest(recipe)
    fresh = {name: record for name, record in files.items() if record is not None}
    if old is None or not fresh.items() <= old.files.items():
        manifest.files |= fresh
        if old is None:
            add_maker(manifest)
        write_manifest(root, manifest)
    return manifest


def check_only_ours(root: Path) -> None:
    """Raise InputError when the folder holds anything that is no part of a dataset."""
    ours = {MANIFEST, FACES, KERNELS, FULL, ISOLATED[0].split("/", maxsplit=1)[0]}

    def is_ours(name: str) -> bool:
        part = _PART.fullmatch(name)
        return name in ours or is_lock(name) or (part is not None and part[1] in ours)

    refuse_others(root, is_ours, "a dataset")


def remove_leftovers(root: Path, shards: tuple[int, int] | None = None) -> None:
    """Remove what killed builds left half written; with ``shards``, no shards but those ``[first, end)``.

    To be called under the lock for updates, where nobody writes what is not a shard. InputError when a folder
    of shards leads out of ``root``.
    """
    for folder in (root, *(inside(root, name) for name in (FULL, *ISOLATED))):
        for path in [*folder.glob(".*.part"), *folder.glob(".*.parts")]:
            part = _PART.fullmatch(path.name)
            shard = _SHARD.fullmatch(part[1]) if part else None
            mine = shards is None or shard is None or shards[0] <= int(shard[1]) < shards[1]
            if part and mine and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif part and mine:
                path.unlink(missing_ok=True)


def _check_sources(
    manifest: Path, there: list[dict[str, Any]], here: list[dict[str, Any]], sources: Sequence[FaceSource]
) -> None:
    if there == here:
        return
    specs = [source.spec for source in sources]
    if [_kind(source) for source in there] == [_kind(source) for source in here]:
        changed = [spec for spec, one, other in zip(specs, there, here, strict=True) if one != other]
        raise InputError(
            f"{manifest.parent}: the files of {', '.join(changed)} are not those it was made from (some were "
            "added, removed or changed); restore them or choose another folder."
        )
    raise InputError(
        f"{manifest.parent}: was made from other faces than {', '.join(specs)} (see 'blurgen info'); "
        "give the same ones in the same order or choose another folder."
    )


def _kind(description: dict[str, Any]) -> dict[str, Any]:
    """Return a source's description without what says which files there are."""
    return {name: value for name, value in description.items() if name != "count" and "listing" not in name}


def _check_recipe(root: Path, there: Recipe, here: Recipe) -> None:
    if differences := here.differences(there):
        raise InputError(
            f"{root}: was made from another recipe ({'; '.join(differences)}); "
            "give the same options or choose another folder."
        )


def _check_shards(root: Path, recipe: Recipe) -> None:
    """Raise InputError when a shard that no list names is whole, but of another recipe.

    The others will be taken over, and what cannot be read is made again.
    """
    there = [
        (name, int(shard[1]))
        for name in (FULL, *ISOLATED)
        for path in sorted(inside(root, name).glob("shard-*.h5"))
        if (shard := _SHARD.fullmatch(path.name))
    ]
    if not there:
        return
    with closing(Renderer(root, recipe)) as renderer:
        for name, number in there:
            if _is_of_another_recipe(renderer, root, name, number):
                raise InputError(
                    f"{root / shard_file(name, number)}: is whole, but of another recipe or made by other "
                    "versions; give the options it was made with, or remove 'full' and 'isolated'."
                )


def _is_of_another_recipe(renderer: Renderer, root: Path, set_name: str, number: int) -> bool:
    try:
        path = inside(root, shard_file(set_name, number))
        open_shard(path)
        wanted = planned_index(renderer, number) if number < renderer.recipe.shard_count else {}
        has_rows = set_name in wanted and len(wanted[set_name]) > 0
        return not has_rows or difference(renderer, path, set_name, wanted[set_name]) is not None
    except InputError:
        return False  # it cannot be read


@dataclass(frozen=True)
class _Faces:
    """The dataset's faces, in their place: the store, its digest, and the file where it was not listed."""

    store: FaceStore
    digest: str
    record: FileRecord | None


def _place_faces(
    root: Path,
    sources: Sequence[FaceSource],
    described: list[dict[str, Any]],
    old: DatasetManifest | None,
    decoding: Decoding,
) -> _Faces:
    path = inside(root, FACES)
    is_new = not path.exists()
    if is_new:
        _decode(path, sources, decoding)
    faces = FaceStore(path)
    if sources_of(faces) != described:
        raise InputError(
            f"{path}: was made from other faces, or their files have changed since; delete it to decode the "
            "faces anew, or choose another folder."
        )
    record, digest = faces.digests()
    if old is not None and is_new and digest != old.recipe.faces.digest:
        raise InputError(
            f"{path}: comes out other than {MANIFEST} says (were the files changed, or is Pillow another?); "
            "restore the file, or choose another folder."
        )
    if old is not None and (digest != old.recipe.faces.digest or not _as_listed(old, FACES, record, is_new)):
        raise InputError(
            f"{path}: is not what {MANIFEST} says (damaged?); delete it, and the same command makes it again."
        )
    return _Faces(faces, digest, record if is_new or old is None else None)


def _as_listed(manifest: DatasetManifest, name: str, record: FileRecord, is_new: bool) -> bool:
    """Return whether a file is the one listed; one just made need not be, for HDF5 may be another now."""
    return is_new or manifest.files.get(name, record) == record


def _decode(path: Path, sources: Sequence[FaceSource], decoding: Decoding) -> None:
    reporter = decoding.reporter
    report = write_store(path, sources, jobs=decoding.jobs, on_error=decoding.on_error, progress=reporter)
    for skipped in report.skipped[:_MOST_NAMED]:
        reporter.say(f"Skipped: {skipped.reason}")
    if len(report.skipped) > _MOST_NAMED:
        reporter.say(f"... and {len(report.skipped) - _MOST_NAMED:,} more; 'blurgen info' lists them.")
    reporter.say(f"{path}: {counted(report.count, 'face')}, {report.labelled:,} of them with labels.")


def _check_labels(
    recipe: Recipe, faces: FaceStore, sources: Sequence[FaceSource], reporter: Reporter
) -> None:
    if not recipe.class_isolated:
        return
    unlabelled = int(np.count_nonzero(~faces.labelled))
    if unlabelled == len(faces):
        raise InputError(
            f"{', '.join(source.spec for source in sources)}: no face has labels, which are needed by ",
            Argument("class_isolated"),
            "; give labelled faces (or a folder of label maps, ",
            Argument("labels"),
            "), or leave it out.",
        )
    if unlabelled:
        reporter.say(f"{unlabelled:,} of {len(faces):,} faces have no labels and give no isolated rows.")


def _place_kernels(root: Path, bank: KernelBank, old: DatasetManifest | None) -> FileRecord | None:
    """Put the bank in its place, and return the file where it was not listed."""
    path = inside(root, KERNELS)
    is_new = not path.exists()
    if is_new:
        bank.save(path)
    elif old is None and KernelBank.load(path).digest != bank.digest:
        raise InputError(f"{path}: is another kernel bank than the one given; choose another folder.")
    record = record_file(path)
    if old is not None and not (_as_listed(old, KERNELS, record, is_new) and bank.is_in(path)):
        raise InputError(
            f"{path}: is not what {MANIFEST} says (damaged?); delete it, and the same command makes it again."
        )
    return record if is_new or old is None else None
