"""What a training left beside a checkpoint: S-Nets, first-stage networks, kept checkpoints, the log."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from torch import nn

from blurgen.errors import InputError
from blurgen.files.strict_json import convert
from umsn import checkpoint
from umsn.checkpoint import load_networks
from umsn.nets import VARIANTS
from umsn.runs.metrics_log import LOG, read_lines

_KEPT: Final = re.compile(r"(.+)-(\d{6,})\.safetensors")


def kept_path(folder: Path, stage: str, iteration: int) -> Path:
    """Return where ``umsn train --keep-every`` keeps the networks of an iteration; ``_KEPT`` reads it."""
    return folder / "checkpoints" / f"{stage}-{iteration:06d}.safetensors"


class _Stage(msgspec.Struct, frozen=True):
    """What is read of a checkpoint's stage (``umsn.training.stages.Stage``)."""

    name: str = ""
    kind: str = ""
    image: str = ""
    iterations: int = 0
    differences: Any = None


class Trained(msgspec.Struct, frozen=True):
    """What a checkpoint says about its training; a text is empty where it does not say."""

    file: str
    of: _Stage = msgspec.field(default=_Stage(), name="stage")
    variant: str = ""
    """A row of Table VI for kind ``umsn``."""
    masks: str = ""
    """``snet`` or ``labels``: where the masks of its loss came from."""
    size: str = ""
    """Of its networks (``umsn.nets.SIZES``)."""
    iteration: int | None = None
    """After how many iterations it was saved."""
    seed: Any = None
    data: Any = None
    """The recipe of the dataset."""
    starts_from: Any = None

    @property
    def path(self) -> Path:
        """Where the checkpoint is."""
        return Path(self.file)

    @property
    def stage(self) -> str:
        """The name of its stage."""
        return self.of.name

    @property
    def settings(self) -> dict[str, Any]:
        """What else makes a training the same."""
        same = {"seed": self.seed, "data": self.data, "starts_from": self.starts_from}
        return {**same, "differences": self.of.differences}


def describe(path: str | os.PathLike[str]) -> Trained:
    """Read what a checkpoint says about itself. Raises InputError when it is missing, damaged or foreign."""
    about = checkpoint.read_header(path, "networks").about
    return convert({**about, "file": str(path)}, Trained, str(path))


def require_segmentation(path: Path, image: str) -> None:
    """Raise InputError unless the checkpoint is of the S-Net trained on ``image``, clean or blurry."""
    found = describe(path)
    if (found.of.kind, found.of.image) != ("segmentation", image):
        stage = "segmentation" if image == "clean" else "segmentation-blurry"
        raise InputError(
            f"{path} is of stage '{found.stage}', not of stage '{stage}'; give RUN/{stage}.safetensors."
        )


def require_variant(path: Path, variant: str) -> None:
    """Raise InputError unless the checkpoint is of that row of Table VI."""
    found = describe(path)
    if found.variant != variant:
        what = f"variant '{found.variant}'" if found.variant else f"stage '{found.stage}'"
        raise InputError(
            f"{path} is of {what}, not of variant '{variant}'; name the checkpoint of a training of that, or "
            "give it another name."
        )


def variants_in(folder: Path) -> dict[str, Path]:
    """Return the checkpoints of the rows of Table VI that a run folder holds; InputError when it has none."""
    found = {v: folder / f"{v}.safetensors" for v in VARIANTS if (folder / f"{v}.safetensors").is_file()}
    if not found:
        names = ", ".join(f"{variant}.safetensors" for variant in VARIANTS)
        raise InputError(f"{folder} holds no checkpoint of the ablation; expected some of {names}.")
    for variant, path in found.items():
        require_variant(path, variant)
    return found


def ablation_rows(texts: Sequence[str]) -> dict[str, Path]:
    """Return checkpoints by name from texts that are ``NAME=CHECKPOINT`` or a run folder.

    A run folder gives those of ``variants_in``. Raises InputError for a text that is neither, and for two of
    one name.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if Path(text).is_dir():
            rows = variants_in(Path(text))
        elif separator and name.strip() and path:
            rows = {name.strip(): Path(path)}
        else:
            raise InputError(f"{text}: there is no such folder, and it is not NAME=CHECKPOINT.")
        twice = sorted(found.keys() & rows.keys())
        if twice:
            raise InputError(f"{text}: there is already a row '{twice[0]}'; give it another name.")
        found |= rows
    return found


def kept_checkpoints(trained: Trained) -> dict[int, Path]:
    """Return what a training kept on its way to a checkpoint, by iteration, in order, without reading it."""
    folder = kept_path(trained.path.parent, trained.stage, 0).parent
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = _KEPT.fullmatch(path.name)
        if name is None or name[1] != trained.stage:
            continue
        if trained.iteration is None or int(name[2]) < trained.iteration:
            found[int(name[2])] = path
    return dict(sorted(found.items()))


def require_moment(path: Path, trained: Trained, iteration: int) -> None:
    """Raise InputError unless the checkpoint is of ``trained``'s own training, after ``iteration``."""
    found = describe(path)
    if (found.stage, found.variant, found.iteration) != (trained.stage, trained.variant, iteration):
        raise InputError(
            f"{path} is of stage '{found.stage}', iteration {found.iteration}, which is not what its name "
            "says; take it away."
        )
    other = [name for name, value in trained.settings.items() if found.settings[name] != value]
    if other:
        raise InputError(f"{path} is of another training than {trained.path} ({other[0]}); take it away.")


def first_stage(folder: Path, class_name: str, device: torch.device) -> nn.Module | None:
    """Return the first-stage network of a class, or None where the folder has none."""
    path = folder / f"first-stage-{class_name}.safetensors"
    return load_networks(path, device)["network"] if path.is_file() else None


def confidence_network(path: Path, device: torch.device) -> nn.Module | None:
    """Return the confidence network that was trained with a checkpoint, or None where there was none."""
    return load_networks(path, device).get("confidence")


def log_lines(folder: Path, stage: str) -> list[dict[str, Any]]:
    """Return the measurements that the training of a stage logged, in order; none where there is no log."""
    path = folder / LOG
    if not path.is_file():
        return []
    found = [
        values
        for values in read_lines(path)
        if values.get("stage") == stage and isinstance(values.get("iteration"), int)
    ]
    return sorted(found, key=lambda values: values["iteration"])
