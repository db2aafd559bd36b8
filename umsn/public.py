"""What ``import umsn`` gives: training, and using what was trained, in one call each."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurgen.errors import InputError
from umsn.checkpoint import made_in, read_header
from umsn.evaluation.evaluate import Evaluation, Request
from umsn.evaluation.evaluate import evaluate as evaluate_pairs
from umsn.restore.deblur import Deblurrer, Segmenter
from umsn.scoring.pairs import open_pairs, read_picture
from umsn.training.curriculum import train as train_stages
from umsn.training.settings import Settings
from umsn.weights import default_checkpoint

PathOrText = str | os.PathLike[str]
Picture = NDArray[np.uint8] | PathOrText
"""A picture, uint8 ``[H, W, 3]`` RGB, or its file."""


def train(dataset: PathOrText, out: PathOrText, **options: Any) -> list[Path]:
    """Train on the dataset in a folder; return the checkpoints written to ``out``, the last one for ``load``.

    ``options`` are the fields of ``umsn.training.settings.Settings`` (``preset="paper"``, "compact" or
    "quick", ``iterations``, ``batch_size``, ...) and of ``umsn.training.differences.Differences``, and the
    arguments of ``umsn.training.curriculum.train`` (``stage="all"``, ``resume=False``, ``device="auto"``,
    ...). Raises what that raises.

    >>> quick = {"preset": "quick", "iterations": 1, "batch_size": 2, "perceptual": False}
    >>> umsn.train(small_dataset, new_folder, stage="segmentation", device="cpu", quiet=True, **quick)
    [...Path('...segmentation.safetensors')]
    """
    settings = Settings.taken_from(options)
    return train_stages(Path(dataset), Path(out), settings, **options)


def load(checkpoint: PathOrText, device: str = "auto") -> Deblurrer | Segmenter:
    """Return the deblurring network or S-Net in a checkpoint, ready for pictures uint8 ``[H, W, 3]``.

    Raises InputError when the file is missing, damaged or something else.

    >>> umsn.load(s_net, "cpu")(np.zeros((40, 50, 3), np.uint8)).shape
    (40, 50)
    """
    made = made_in(read_header(checkpoint, "networks"), checkpoint)
    return (Segmenter if made["network"].name == "snet" else Deblurrer)(checkpoint, device)


def deblur(
    picture: Picture, checkpoint: PathOrText | None = None, *, device: str = "auto"
) -> NDArray[np.uint8]:
    """Return a picture sharpened, uint8 ``[H, W, 3]``, of the same size.

    ``checkpoint`` is the weights in the package unless it is given. A network is loaded once for all calls.
    Raises InputError when the picture or the checkpoint cannot be used.

    >>> umsn.deblur(np.zeros((40, 50, 3), np.uint8), b_net, device="cpu").shape
    (40, 50, 3)
    """
    chosen = default_checkpoint("deblur") if checkpoint is None else Path(checkpoint)
    return _loaded(Deblurrer, *_version(chosen), device)(_pixels(picture))


def segment(
    picture: Picture, checkpoint: PathOrText | None = None, *, device: str = "auto"
) -> NDArray[np.uint8]:
    """Return the label map of a picture, uint8 ``[H, W]``: 0 background, 1 skin, 6 features, 10 hair.

    Arguments as for ``deblur``.

    >>> set(umsn.segment(np.zeros((40, 50, 3), np.uint8), s_net, device="cpu").ravel()) <= {0, 1, 6, 10}
    True
    """
    chosen = default_checkpoint("segment") if checkpoint is None else Path(checkpoint)
    return _loaded(Segmenter, *_version(chosen), device)(_pixels(picture))


def evaluate(
    checkpoint: PathOrText | None,
    test: PathOrText,
    out: PathOrText,
    *,
    limit: int | None = None,
    device: str = "auto",
    **request: Any,
) -> Evaluation:
    """Evaluate a checkpoint on the dataset or test set in a folder; write tables and figures into ``out``.

    ``limit`` takes only so many pictures; ``request`` are further fields of
    ``umsn.evaluation.evaluate.Request``, such as ``references=True``. Raises InputError for what cannot be
    used.

    >>> umsn.evaluate(b_net, small_dataset, new_folder, limit=2, device="cpu").tables[0].name
    'methods'
    """
    folder = Path(test)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    is_testset = (folder / "testset.json").exists()
    pairs = open_pairs(testset=folder, limit=limit) if is_testset else open_pairs(shards=folder, limit=limit)
    asked = Request(checkpoint=None if checkpoint is None else Path(checkpoint), **request)
    return evaluate_pairs(pairs, out, asked, device=device)


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    return picture if isinstance(picture, np.ndarray) else read_picture(Path(picture))


def _version(path: Path) -> tuple[str, int]:
    """Return what tells a checkpoint from the one that had its name before."""
    try:
        return str(path), path.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


@lru_cache(maxsize=4)
def _loaded(kind: type[Any], path: str, _changed: int, device: str) -> Any:
    return kind(path, device)
