"""What made a dataset, and what is said where the same recipe gives other bytes here.

It should not happen: bytes follow from faces, kernels and recipe alone (FORMAT.md). Where a fault in some
version of a package broke that promise, shards are whole and yet not what is made here, and no repair helps.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

from blurgen._version import __version__
from blurgen.building.shard_job import difference, planned_index
from blurgen.dataset.manifest import MANIFEST, DatasetManifest, shard_file
from blurgen.dataset.render import Renderer
from blurgen.errors import InputError
from blurgen.files.inside import inside

_PACKAGES: Final = ("numpy", "numba", "pillow")


def add_maker(manifest: DatasetManifest) -> None:
    """Record the versions at work here, unless they are recorded already."""
    here = {"blurgen": __version__, **{name: version(name) for name in _PACKAGES}}
    here |= {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    if here not in manifest.made_by:
        manifest.made_by.append(here)


def other_arithmetic(manifest: DatasetManifest) -> str:
    """Return what is the matter with shards that are as listed but not what is made here, and what helps."""
    makers = "; ".join(", ".join(f"{name} {of}" for name, of in maker.items()) for maker in manifest.made_by)
    return (
        f"made by other arithmetic than here ({makers or 'by an earlier blurgen'}). It can be read as it is, "
        f"and finished or repaired by those versions; or delete {MANIFEST}, 'full' and 'isolated', and the "
        "same 'blurgen build-dataset' makes it anew"
    )


def check_arithmetic(root: Path, manifest: DatasetManifest) -> None:
    """Compare a row of the first listed shard that can be read; InputError when it is not what is made here.

    So that no dataset is begun by one arithmetic and finished by another.
    """
    listed = ((name, number) for name, records in manifest.sets.items() for number in sorted(records))
    renderer = None
    try:
        for set_name, number in listed:
            path = root / shard_file(set_name, number)
            try:
                if not inside(root, shard_file(set_name, number)).is_file():
                    continue
                renderer = renderer or Renderer(root, manifest.recipe)
                other = difference(renderer, path, set_name, planned_index(renderer, number)[set_name])
            except InputError:
                continue  # damaged, and to be made again
            if other is not None:
                raise InputError(f"{path}: {other}: the dataset was {other_arithmetic(manifest)}.")
            return
    finally:
        if renderer is not None:
            renderer.close()
