"""What an exported dataset says of itself: the dataset card for people, Croissant metadata for machines.

The card follows the Hugging Face Hub's form (YAML, then Markdown); the metadata is Croissant 1.0
(https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from blurgen._version import __version__
from blurgen.dataset.reading import Dataset
from blurgen.export.rows import PICTURES
from blurgen.jobs.progress import counted, size_text

SPLIT: Final = "train"
"""The name of the one split; whether the faces are for training or for tests is the user's choice."""

# Where each size category of the Hub ends.
_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)

_WHAT: Final = {
    "clean": "RGB patch of a photograph, sharp",
    "blurry": "the same patch, blurred by one kernel, with noise",
    "mask": "label of every pixel: 0 background, 1 skin, 2 to 9 features, 10 hair, 255 unknown",
    "sample": "sample number in the recipe",
    "face": "name of the face, SOURCE:FILE",
    "top": "row of the patch's upper edge in the face, pixels",
    "left": "column of the patch's left edge in the face, pixels",
    "kernel": "number of the kernel in the bank",
    "kernel_size": "side of the kernel, pixels",
}

# The JSON-LD context that Croissant 1.0 prescribes: its own terms, and two that hold JSON.
_TERMS: Final = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
} | {term: f"cr:{term}" for term in _TERMS.split()}


def dataset_card(
    dataset: Dataset, set_name: str, rows: int, size: int, jpeg_quality: int | None = None
) -> str:
    """Return ``README.md``: the Hub's YAML header, then what the data are and how to make them again.

    ``rows`` and ``size`` (bytes) are those of what was exported; ``jpeg_quality`` is that of ``export``.
    """
    jpeg = "" if jpeg_quality is None else f"Blurry pictures went through JPEG of quality {jpeg_quality}.\n"
    recipe, side = dataset.recipe, dataset.recipe.patch_size
    category = next((name for end, name in _SIZES if rows < end), "10M<n<100M")
    columns = "\n".join(f"| `{name}` | {what} |" for name, what in _WHAT.items())
    sources = "\n".join(f"- `{json.dumps(source)}`" for source in recipe.to_json()["faces"]["sources"])
    return f"""---
license: other
license_name: terms-of-the-face-sources
task_categories:
- image-to-image
tags:
- deblurring
- faces
- synthetic
size_categories:
- {category}
configs:
- config_name: default
  data_files:
  - split: {SPLIT}
    path: data/{SPLIT}-*.parquet
---

# Blurred faces, set `{set_name}`

{counted(rows, "triplet")} of {side} x {side} pixels ({size_text(size)}), made by blurgen {__version__}.
{jpeg}
```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="data/*.parquet", split="{SPLIT}")
rows[0]["blurry"]  # a PIL picture
```

| column | what it is |
|---|---|
{columns}

## Terms

The pictures are parts of other people's photographs. The terms of their sources hold for them, and nobody can
give you more rights than those. Read the terms of each source before you share or train:

{sources}

## How to make it again

{"Before JPEG, every" if jpeg else "Every"} pixel is a pure function of the faces, the kernel bank and this
recipe:

```json
{json.dumps(recipe.to_json(), indent=2)}
```
"""


def croissant(
    dataset: Dataset, set_name: str, files: list[Path], numbers: Mapping[str, str]
) -> dict[str, Any]:
    """Return the Croissant metadata (JSON-LD) of an export.

    ``files`` are its Parquet files, which are read for their SHA-256; ``numbers`` gives the columns beside
    the pictures and their types.
    """
    kinds = {"int64": "sc:Integer", "int32": "sc:Integer", "string": "sc:Text"}
    columns = dict.fromkeys(PICTURES, "sc:ImageObject") | {n: kinds[kind] for n, kind in numbers.items()}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"blurgen-{set_name.replace('/', '-')}",
        "description": f"Clean, blurry and label patches, set {set_name}. Recipe: "
        + json.dumps(dataset.recipe.to_json(), sort_keys=True),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "license": "Terms of the face sources",
        "citeAs": "Made by blurgen from the recipe in the description.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path.name,
                "name": path.name,
                "contentUrl": f"data/{path.name}",
                "contentSize": f"{path.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": _sha256(path),
            }
            for path in files
        ]
        + [
            {
                "@type": "cr:FileSet",
                "@id": "parquet",
                "name": "parquet",
                "encodingFormat": "application/x-parquet",
                "includes": "data/*.parquet",
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"rows/{name}",
                        "name": name,
                        "description": _WHAT[name],
                        "dataType": kind,
                        "source": _source(name, kind),
                    }
                    for name, kind in columns.items()
                ],
            }
        ],
    }


def _source(name: str, kind: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "parquet"}, "extract": {"column": name}}
    if kind == "sc:ImageObject":
        source["transform"] = {"jsonPath": "bytes"}
    return source


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
