"""``dataset.json``: what a dataset is, and which of its shards are there (FORMAT.md, section 4)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import xxhash

from blurgen.errors import InputError
from blurgen.files import strict_json
from blurgen.files.atomic import write_file
from blurgen.files.digests import FileRecord
from blurgen.files.inside import inside
from blurgen.labels import CLASS_NAMES
from blurgen.synthesis.recipe import Recipe

MANIFEST: Final = "dataset.json"
FACES: Final = "faces.h5"
KERNELS: Final = "kernels.h5"
FORMAT: Final = "blurgen-dataset"
VERSION: Final = 1
FULL: Final = "full"
ISOLATED: Final = tuple(f"isolated/{name}" for name in CLASS_NAMES)

_MOST_BYTES = 2**62
_MOST_MAKERS = 1000


@dataclass(frozen=True)
class ShardRecord:
    """One shard as ``dataset.json`` lists it: rows, bytes, digest of the file, digest of its arrays."""

    rows: int
    bytes: int
    digest: str
    content: str


@dataclass
class DatasetManifest:
    """The recipe, whether all shards are there, and for each set its shards by number.

    ``files`` are ``faces.h5`` and ``kernels.h5`` as they were put there, ``made_by`` the versions that put
    something there, package by package; none in a dataset of an earlier blurgen. ``recipe_digest`` is what
    the file read says its recipe's digest is, None where it does not say or was not read.
    """

    recipe: Recipe
    complete: bool = False
    sets: dict[str, dict[int, ShardRecord]] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    made_by: list[dict[str, str]] = field(default_factory=list)
    recipe_digest: str | None = None
    recipe_is_altered: bool = False

    def __post_init__(self) -> None:
        for name in set_names(self.recipe):
            self.sets.setdefault(name, {})

    @property
    def recipe_only(self) -> bool:
        """Whether the dataset is complete without a single shard."""
        return self.complete and not self.sets[FULL]

    def rows(self, set_name: str) -> int:
        """Return how many rows the shards of a set hold."""
        return sum(record.rows for record in self.sets[set_name].values())

    def listed(self, number: int) -> dict[str, ShardRecord]:
        """Return the shards of one number, by set."""
        return {name: records[number] for name, records in self.sets.items() if number in records}

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it stands in the file."""
        files = {name: asdict(self.files[name]) for name in (FACES, KERNELS) if name in self.files}
        return {
            "format": FORMAT,
            "version": VERSION,
            "complete": self.complete,
            "recipe": self.recipe.to_json(),
            "recipe_digest": _digest_of(self.recipe.to_json()),
            **({"made_by": self.made_by} if self.made_by else {}),
            **({"files": files} if files else {}),
            "sets": {name: self._set_to_json(name) for name in set_names(self.recipe)},
        }

    def _set_to_json(self, set_name: str) -> list[dict[str, Any]]:
        entries, first = [], 0
        for number, record in sorted(self.sets[set_name].items()):
            entries.append(
                {
                    "file": shard_file(set_name, number),
                    "rows": [first, first + record.rows],
                    "samples": list(self.recipe.shard_samples(number)),
                    "bytes": record.bytes,
                    "digest": record.digest,
                    "content": record.content,
                }
            )
            first += record.rows
        return entries


def set_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the sets a recipe has."""
    return (FULL, *ISOLATED) if recipe.class_isolated else (FULL,)


def set_called(name: str) -> str:
    """Return the name of a set; a class by itself, such as "skin", is short for "isolated/skin"."""
    return f"isolated/{name}" if name in CLASS_NAMES else name


def shard_file(set_name: str, number: int) -> str:
    """Return the path of a shard, relative to the dataset."""
    return f"{set_name}/shard-{number:05d}.h5"


def missing_shards(root: Path, manifest: DatasetManifest) -> list[tuple[str, int]]:
    """Return set and number of every listed shard that is not there in its full length."""
    return [
        (name, number)
        for name, records in manifest.sets.items()
        for number, record in records.items()
        if not _has_size(root / shard_file(name, number), record.bytes)
    ]


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def read_manifest(root: Path) -> DatasetManifest:
    """Read ``dataset.json`` of the dataset in ``root``; InputError on anything that does not belong there."""
    path = inside(root, MANIFEST)
    if not path.is_file():
        raise InputError(
            f"{root}: is no dataset (it has no {MANIFEST}); make one with 'blurgen build-dataset'."
        )
    top = strict_json.fields(
        strict_json.load_json(path),
        str(path),
        ("format", "version", "complete", "recipe", "sets"),
        optional=("files", "made_by", "recipe_digest"),
    )
    if top["format"] != FORMAT:
        raise InputError(f"{path}: format must be '{FORMAT}', not {top['format']!r:.60}.")
    if top["version"] != VERSION or isinstance(top["version"], bool):
        raise InputError(f"{path}: is version {top['version']!r:.20}; this blurgen reads version {VERSION}.")
    recipe = Recipe.from_json(top["recipe"], f"{path}: recipe")
    complete = strict_json.flag(top["complete"], f"{path}: complete")
    listed = strict_json.fields(top["sets"], f"{path}: sets", set_names(recipe))
    sets = {name: _read_set(recipe, name, listed[name], f"{path}: {name}") for name in listed}
    manifest = DatasetManifest(
        recipe,
        complete,
        sets,
        _read_files(top.get("files", {}), f"{path}: files"),
        _read_makers(top.get("made_by", []), f"{path}: made_by"),
    )
    if "recipe_digest" in top:
        manifest.recipe_digest = strict_json.digest(top["recipe_digest"], f"{path}: recipe_digest")
        manifest.recipe_is_altered = manifest.recipe_digest != _digest_of(top["recipe"])
    full = len(sets[FULL])
    if complete and full not in {0, recipe.shard_count}:
        raise InputError(f"{path}: says complete, but lists {full} of {recipe.shard_count} shards of 'full'.")
    if complete and not full and any(sets.values()):
        raise InputError(f"{path}: lists isolated shards, but none of 'full'.")
    return manifest


def write_manifest(root: Path, manifest: DatasetManifest) -> None:
    """Write ``dataset.json``, at once and whole."""
    write_file(root / MANIFEST, _text(manifest.to_json()))


def _text(tree: dict[str, Any]) -> str:
    """Return JSON for people: the recipe spread out, one line for each shard."""
    sets = tree["sets"]
    lines = json.dumps({**tree, "sets": 0}, indent=2).splitlines()[:-2]
    lines.append('  "sets": {')
    for name, shards in sets.items():
        end = "" if name == list(sets)[-1] else ","
        if shards:
            rows = ",\n".join("      " + json.dumps(shard) for shard in shards)
            lines.append(f"    {json.dumps(name)}: [\n{rows}\n    ]{end}")
        else:
            lines.append(f"    {json.dumps(name)}: []{end}")
    return "\n".join([*lines, "  }", "}", ""])


def _digest_of(recipe: dict[str, Any]) -> str:
    """Return XXH3-128 of a recipe as it stands in the file, in a form that no layout changes."""
    plain = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(plain.encode("ascii"))


def _read_makers(value: object, where: str) -> list[dict[str, str]]:
    makers = strict_json.items(value, where)
    for maker in makers:
        if not isinstance(maker, dict) or not all(isinstance(text, str) for text in maker.values()):
            raise InputError(f"{where}: must be a list of objects with text, not of {maker!r:.60}.")
    if len(makers) > _MOST_MAKERS:
        raise InputError(f"{where}: has {len(makers)} entries; {_MOST_MAKERS} is the most.")
    return makers


def _read_files(value: object, where: str) -> dict[str, FileRecord]:
    files = strict_json.fields(value, where, (), optional=(FACES, KERNELS))
    return {name: _read_file(entry, f"{where}.{name}") for name, entry in files.items()}


def _read_file(value: object, where: str) -> FileRecord:
    entry = strict_json.fields(value, where, ("bytes", "digest"))
    return FileRecord(
        strict_json.whole(entry["bytes"], f"{where}.bytes", 1, _MOST_BYTES),
        strict_json.digest(entry["digest"], f"{where}.digest"),
    )


def _read_set(recipe: Recipe, set_name: str, value: object, where: str) -> dict[int, ShardRecord]:
    records: dict[int, ShardRecord] = {}
    rows_before = 0
    for position, entry in enumerate(strict_json.items(value, where)):
        here = f"{where}[{position}]"
        shard = strict_json.fields(entry, here, ("file", "rows", "samples", "bytes", "digest", "content"))
        samples = strict_json.span(shard["samples"], f"{here}.samples", recipe.count)
        number = samples[0] // recipe.shard_size
        if number in records or samples != recipe.shard_samples(number):
            raise InputError(f"{here}.samples: {list(samples)} is no shard of this recipe, or listed twice.")
        if records and number < max(records):
            raise InputError(f"{here}.samples: shards must be listed in ascending order.")
        if shard["file"] != shard_file(set_name, number):
            wanted = shard_file(set_name, number)
            raise InputError(f"{here}.file: must be '{wanted}', not {shard['file']!r:.60}.")
        first, end = strict_json.span(shard["rows"], f"{here}.rows", recipe.count)
        held = samples[1] - samples[0]
        if first != rows_before or not 1 <= end - first <= held or (set_name == FULL and end - first != held):
            raise InputError(f"{here}.rows: [{first}, {end}] does not follow from the shards before it.")
        rows_before = end
        records[number] = ShardRecord(
            end - first,
            strict_json.whole(shard["bytes"], f"{here}.bytes", 1, _MOST_BYTES),
            strict_json.digest(shard["digest"], f"{here}.digest"),
            strict_json.digest(shard["content"], f"{here}.content"),
        )
    return records
