"""What a dataset or a test set is, in numbers: for ``blurgen info`` and whoever reads its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blurgen.dataset.manifest import FACES, FULL, KERNELS, DatasetManifest, read_manifest, set_names
from blurgen.dataset.shards import row_bytes
from blurgen.faces.store import FaceStore
from blurgen.files.inside import inside
from blurgen.jobs.progress import counted, size_text
from blurgen.kernels.bank import KernelBank
from blurgen.testset.manifest import read_testset


def dataset_info(root: str | Path) -> dict[str, Any]:
    """Return what the dataset in ``root`` is, JSON-able; reads no pixel and counts nothing anew.

    Keys: ``complete``, ``recipe_only``, ``recipe``, ``sets`` (rows, bytes, shards and share of all samples of
    each), ``bytes`` of all shards, ``faces`` and ``kernels``. InputError when there is no dataset.
    """
    root = Path(root)
    manifest = read_manifest(root)
    sets = {name: _set_info(manifest, name) for name in set_names(manifest.recipe)}
    return {
        "complete": manifest.complete,
        "recipe_only": manifest.recipe_only,
        "recipe": manifest.recipe.to_json(),
        "sets": sets,
        "bytes": sum(entry["bytes"] for entry in sets.values()),
        "faces": _faces_info(inside(root, FACES)),
        "kernels": _kernels_info(inside(root, KERNELS)),
    }


def testset_info(root: str | Path) -> dict[str, Any]:
    """Return what the test set in ``root`` is, JSON-able; reads no picture.

    Keys: ``complete``, ``name``, ``pictures`` (how many blurry ones), ``recipe``, ``faces`` (how many, how
    many ``labelled``, of how many ``persons`` where the source knows) and ``folders``. InputError when there
    is none.
    """
    manifest = read_testset(Path(root))
    folders = {"clean": manifest.clean_folder, "blurry": manifest.blurry_folder}
    if manifest.labels_folder is not None:
        folders["labels"] = manifest.labels_folder
    persons = {face.identity for face in manifest.faces} - {-1}
    return {
        "complete": manifest.complete,
        "name": manifest.name,
        "pictures": len(manifest.faces) * manifest.kernels.count,
        "recipe": manifest.to_json()["recipe"],
        "faces": {
            "count": len(manifest.faces),
            "labelled": sum(face.labelled for face in manifest.faces),
            "persons": len(persons),
        },
        "folders": folders,
    }


def testset_text(info: dict[str, Any], title: str) -> str:
    """Return what ``testset_info`` found, for people."""
    recipe, faces = info["recipe"], info["faces"]
    patch = recipe["patch_size"]
    state = "complete" if info["complete"] else "not finished: run the same build-testset again"
    persons = f", {counted(faces['persons'], 'person')}" if faces["persons"] else ""
    lines = [
        f"{title}: test set {info['name']}, "
        f"{counted(info['pictures'], 'blurry picture')} of {patch} x {patch} pixels, {state}",
        f"  seed {recipe['seed']}, noise sigma {recipe['noise_sigma']:g}",
        f"  faces: {faces['count']:,}, {faces['labelled']:,} with labels{persons}",
        f"    {_source_text(recipe['source'])}",
        f"  kernels: {recipe['kernels']['count']:,}, {recipe['per_size']:,} of each size "
        + ", ".join(map(str, recipe["sizes"])),
    ]
    return "\n".join([*lines, *(f"  {kind}: {folder}" for kind, folder in info["folders"].items())])


def info_text(info: dict[str, Any], title: str) -> str:
    """Return what ``dataset_info`` found, for people."""
    recipe, faces, kernels = info["recipe"], info["faces"], info["kernels"]
    state = "complete" if info["complete"] else "not finished: run the same build-dataset again"
    patch = recipe["patch_size"]
    lines = [
        f"{title}: {counted(recipe['count'], 'triplet')} of {patch} x {patch} pixels, "
        + ("recipe only, made on the fly" if info["recipe_only"] else state),
        f"  seed {recipe['seed']}, {_formation_text(recipe)}",
        f"  faces: {faces['count']:,}, {faces['labelled']:,} with labels, {size_text(faces['bytes'])}",
    ]
    lines += [f"    {_source_text(source)}" for source in recipe["faces"]["sources"]]
    lines += [f"    skipped: {entry['reason']}" for entry in faces["skipped"]]
    if (more := faces["skipped_count"] - len(faces["skipped"])) > 0:
        lines.append(f"    and {more:,} more skipped")
    lines.append(f"  kernels: {kernels['count']:,}, sizes {_sizes_text(kernels['sizes'])}")
    for name, entry in info["sets"].items():
        if info["recipe_only"]:
            lines.append(f"  {name}: made on the fly")
        else:
            share = f", {entry['share']:.1%} of all samples" if name != FULL else ""
            lines.append(
                f"  {name}: {counted(entry['rows'], 'row')}{share}, {counted(entry['shards'], 'shard')}, "
                f"{size_text(entry['bytes'])}"
            )
    if info["recipe_only"]:
        whole = recipe["count"] * row_bytes(recipe["patch_size"])
        lines.append(f"  (as shards, the full set would take {size_text(whole)})")
    return "\n".join(lines)


def _set_info(manifest: DatasetManifest, set_name: str) -> dict[str, Any]:
    records = manifest.sets[set_name].values()
    rows = manifest.rows(set_name)
    samples = manifest.rows(FULL)
    return {
        "rows": rows,
        "bytes": sum(record.bytes for record in records),
        "shards": len(records),
        "share": rows / samples if samples else None,
    }


def _faces_info(path: Path) -> dict[str, Any]:
    faces = FaceStore(path)
    skipped = faces.made_with.get("skipped")
    named = [entry for entry in skipped if isinstance(entry, dict)] if isinstance(skipped, list) else []
    count = faces.made_with.get("skipped_count")
    return {
        "count": len(faces),
        "labelled": int(np.count_nonzero(faces.labelled)),
        "bytes": path.stat().st_size,
        "skipped": [{key: str(entry.get(key, "")) for key in ("name", "reason")} for entry in named],
        "skipped_count": count if isinstance(count, int) else len(named),
    }


def _kernels_info(path: Path) -> dict[str, Any]:
    bank = KernelBank.load(path)
    return {"count": len(bank), "sizes": bank.size_counts(), "made_with": bank.made_with}


def _source_text(source: dict[str, Any]) -> str:
    rest = ", ".join(
        f"{name} {value}"
        for name, value in source.items()
        if name not in {"source", "listing", "label_listing"} and value is not None
    )
    return f"{source.get('source', '?')}: {rest}"


def _sizes_text(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size}: {count:,}" for size, count in sizes.items())


def _formation_text(recipe: dict[str, Any]) -> str:
    camera = recipe.get("camera")
    if camera is None:
        return f"noise sigma {recipe['noise_sigma']:g}"
    motion = "shift"
    if camera["motion"] == "rotation":
        motion = f"rotation in {camera['poses']} poses, {camera['focal_mm'][0]} to {camera['focal_mm'][1]} mm"
    return (
        f"camera: {motion}, sensor {camera['sensor']}, highlights from {camera['clip_level']}, "
        f"{camera['demosaic']} demosaicing, tone {camera['tone']}"
    )
