"""Where clean faces come from: one adapter for each dataset (``adapters``), or drawn (``procedural``).

In: a string such as ``helen:PATH``. Out: a ``FaceSource``, and ``faces.h5``, in which all faces are decoded.
Here faces are decoded, cut out, turned upright and numbered; nothing is blurred.
"""

from __future__ import annotations

from importlib import import_module

from blurgen.errors import Argument, InputError, check_choice, check_range
from blurgen.faces.selection import SPLITS, in_split
from blurgen.faces.source import Face, FaceSource, SourceOptions

__all__ = ["SOURCES", "Face", "FaceSource", "SourceOptions", "in_split", "parse_source", "read_faces"]

SOURCES = {
    "folder": "blurgen.faces.adapters.folder",
    "facesynthetics": "blurgen.faces.adapters.facesynthetics",
    "helen": "blurgen.faces.adapters.helen",
    "celeba": "blurgen.faces.adapters.celeba",
    "celebamask-hq": "blurgen.faces.adapters.celebamask_hq",
    "lapa": "blurgen.faces.adapters.lapa",
    "procedural": "blurgen.faces.procedural",
}
"""The module of each kind of source; its ``open_source(argument, options)`` returns a FaceSource."""

_WITHOUT_LABELS = ("folder", "celeba")


def read_faces(
    *specs: str,
    kernel_size: int = 29,
    patch_size: int = 128,
    seed: int = 0,
    split: str = "all",
    limit: int | None = None,
    labels: str | None = None,
    align: bool = False,
) -> list[FaceSource]:
    """Open sources of faces, to be mixed in a dataset or test set; see ``parse_source``.

    Faces are large enough for patches of ``patch_size`` under kernels of up to ``kernel_size`` pixels.
    ``labels`` goes to those sources that may come without label maps, so that labelled and unlabelled
    ones mix. Raises InputError also where ``labels`` is of use to none of them.

    >>> (source,) = blurgen.read_faces("procedural:3", seed=1)
    >>> len(source), source.read(0).pixels.dtype
    (3, dtype('uint8'))
    """
    bare = [spec.partition(":")[0] in _WITHOUT_LABELS for spec in specs]
    if labels is not None and not any(bare):
        raise InputError(
            Argument("labels"), f" is of no use: {', '.join(specs)} come with labels; leave it out."
        )
    return [
        parse_source(
            spec,
            min_side=patch_size + kernel_size - 1,
            patch_size=patch_size,
            seed=seed,
            split=split,
            limit=limit,
            labels=labels if is_bare else None,
            align=align,
        )
        for spec, is_bare in zip(specs, bare, strict=True)
    ]


def parse_source(
    spec: str,
    *,
    min_side: int,
    patch_size: int = 128,
    seed: int = 0,
    split: str = "all",
    limit: int | None = None,
    labels: str | None = None,
    align: bool = False,
) -> FaceSource:
    """Open the source that ``spec`` names: ``KIND:PATH``, or ``procedural:N`` for drawn faces.

    ``split`` is a part of the source (``all``, ``train``, ``test``, and ``validation`` where the
    dataset has one), ``limit`` how many of its faces are taken, chosen by ``seed``, ``labels`` a
    folder of label maps for a source that has none. ``align`` turns faces upright, onto the template of
    the paper's aligned faces (blurgen.faces.align). Raises InputError for an unknown kind, a folder that is
    missing or empty, or a layout that is not the dataset's.
    """
    kind, colon, argument = spec.partition(":")
    if kind not in SOURCES or not colon or not argument:
        raise InputError(
            f"{spec!r} is not a source of faces; write KIND:PATH, KIND one of {', '.join(SOURCES)}."
        )
    if labels is not None and kind not in _WITHOUT_LABELS:
        raise InputError(f"{spec} has its own labels; leave out the label folder {labels}.")
    check_choice("split", split, SPLITS)
    if limit is not None:
        check_range("limit", limit, 1)
    check_range("min_side", min_side, patch_size)
    options = SourceOptions(patch_size, min_side, seed, split, limit, labels, align)
    source: FaceSource = import_module(SOURCES[kind]).open_source(argument, options)
    return source
