"""``dataset.json``: what a dataset is, and which of its shards are there (FORMAT.md, section 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import xxhash
from msgspec import Meta

from blurgen.dataset.shards import ShardRecord
from blurgen.errors import InputError
from blurgen.files.atomic import write_file
from blurgen.files.digests import FileRecord
from blurgen.files.inside import inside
from blurgen.files.strict_json import Digest, Record, convert, load_json
from blurgen.labels import CLASS_NAMES
from blurgen.synthesis.recipe import Recipe

MANIFEST: Final = "dataset.json"
FACES: Final = "faces.h5"
KERNELS: Final = "kernels.h5"
FORMAT: Final = "blurgen-dataset"
VERSION: Final = 1
FULL: Final = "full"
ISOLATED: Final = tuple(f"isolated/{name}" for name in CLASS_NAMES)


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
        files = {
            name: msgspec.to_builtins(self.files[name]) for name in (FACES, KERNELS) if name in self.files
        }
        return {
            "format": FORMAT,
            "version": VERSION,
            "complete": self.complete,
            "recipe": self.recipe.to_json(),
            "recipe_digest": _digest_of(self.recipe.to_json()),
            **({"made_by": self.made_by} if self.made_by else {}),
            **({"files": msgspec.to_builtins(files)} if files else {}),
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
                    **({"offsets": list(record.offsets)} if record.offsets else {}),
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
    tree = load_json(path, FORMAT, VERSION)
    listed = convert(tree, _Listed, str(path))
    recipe = Recipe.from_json(listed.recipe, f"{path}: recipe")
    if set(listed.sets) != set(set_names(recipe)):
        raise InputError(f"{path}: sets: must be {', '.join(set_names(recipe))} and no others.")
    sets = {name: _read_set(recipe, name, value, f"{path}: {name}") for name, value in listed.sets.items()}
    manifest = DatasetManifest(
        recipe, listed.complete, sets, dict(listed.files.items()), listed.made_by, listed.recipe_digest
    )
    if manifest.recipe_digest is not None:
        manifest.recipe_is_altered = manifest.recipe_digest != _digest_of(listed.recipe)
    full = len(sets[FULL])
    if manifest.complete and full not in {0, recipe.shard_count}:
        raise InputError(f"{path}: says complete, but lists {full} of {recipe.shard_count} shards of 'full'.")
    if manifest.complete and not full and any(sets.values()):
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


class _Listed(Record, frozen=True):
    """The file as it stands, but for what only its recipe can tell."""

    format: str
    version: int
    complete: bool
    recipe: dict[str, Any]
    sets: dict[str, list[Any]]
    files: dict[Literal["faces.h5", "kernels.h5"], FileRecord] = msgspec.field(default_factory=dict)
    made_by: Annotated[list[dict[str, str]], Meta(max_length=1000)] = msgspec.field(default_factory=list)
    recipe_digest: Digest | None = None


_Offset = Annotated[int, Meta(ge=0, lt=2**62)]


class _Shard(FileRecord, frozen=True, kw_only=True):
    """A shard as it is listed: ``rows`` and ``samples`` are ``[first, end]``."""

    file: str
    rows: tuple[int, int]
    samples: tuple[int, int]
    content: Digest
    offsets: tuple[_Offset, _Offset, _Offset, _Offset] | None = None


def _read_set(recipe: Recipe, set_name: str, listed: list[Any], where: str) -> dict[int, ShardRecord]:
    records: dict[int, ShardRecord] = {}
    rows_before = 0
    for position, entry in enumerate(listed):
        here = f"{where}[{position}]"
        shard = convert(entry, _Shard, here)
        number = shard.samples[0] // recipe.shard_size
        if number in records or shard.samples != recipe.shard_samples(number):
            raise InputError(
                f"{here}.samples: {list(shard.samples)} is no shard of this recipe, or listed twice."
            )
        if records and number < max(records):
            raise InputError(f"{here}.samples: shards must be listed in ascending order.")
        if shard.file != (wanted := shard_file(set_name, number)):
            raise InputError(f"{here}.file: must be '{wanted}', not {shard.file!r:.60}.")
        first, end = shard.rows
        held = shard.samples[1] - shard.samples[0]
        if first != rows_before or not 1 <= end - first <= held or (set_name == FULL and end - first != held):
            raise InputError(f"{here}.rows: [{first}, {end}] does not follow from the shards before it.")
        rows_before = end
        records[number] = ShardRecord(end - first, shard.bytes, shard.digest, shard.content, shard.offsets)
    return records
