"""The networks that a stage begins with: those of the stages before it, of this training or of another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from blurgen.errors import Argument, InputError
from umsn.checkpoint import load_networks
from umsn.runs.folder import describe


@dataclass(frozen=True)
class StageCheckpoints:
    """Checkpoints of stages by name."""

    chosen: Collection[str]
    """Stages of this training: they are, or will be, in ``out``."""
    out: Path
    start: Path
    """Where the other stages are."""

    def path(self, name: str) -> Path:
        """Return where the checkpoint of a stage is, or will be."""
        return (self.out if name in self.chosen else self.start) / f"{name}.safetensors"

    def exists(self, name: str) -> bool:
        """Tell whether a stage is, or will have been, trained."""
        return name in self.chosen or self.path(name).exists()

    def digest(self, name: str) -> str:
        """Return the SHA-256 of the checkpoint of a stage, in hex."""
        return hashlib.sha256(self.path(name).read_bytes()).hexdigest()

    def network(self, name: str, *, size: str | None, batch_statistics: bool) -> Any:
        """Return the network that a stage trained.

        Raises InputError where its training is not finished, it is not of ``size`` (None: any will do), or
        it is an S-Net that normalises over the batch although ``batch_statistics`` says otherwise, or the
        other way round.
        """
        path = self.path(name)
        network: Any = load_networks(path, torch.device("cpu"))["network"]
        about = describe(path)
        done, iterations = about.iteration or 0, about.of.iterations
        if done < iterations:
            raise InputError(f"{path} is of iteration {done} of {iterations}; finish stage {name} first.")
        if size is not None and about.size != size:
            raise InputError(
                f"{path} is a network of size '{about.size}', and what it is to become part of is of size "
                f"'{size}'; choose ",
                Argument("networks", about.size),
                f", or train stage {name} anew.",
            )
        if getattr(network.config, "batch_statistics", batch_statistics) != batch_statistics:
            raise InputError(
                f"{path} was trained with ",
                Argument("snet_batch_statistics", network.config.batch_statistics),
                "; choose the same here, or train it anew.",
            )
        return network
