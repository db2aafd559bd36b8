"""The patches that a stage sees: of which dataset, which of its sets, and whether they are what it needs."""

from __future__ import annotations

import torch

from blurgen.comparing.contents import compare
from blurgen.dataset.reading import Dataset
from blurgen.errors import Argument, InputError
from blurgen.testset.contents import read_contents
from umsn.nets.kernel_estimator import KERNEL_SIDE
from umsn.patches.batches import FULL, PatchSource, ShardPatches
from umsn.patches.device_patches import DevicePatches
from umsn.training.settings import Settings
from umsn.training.stages import Stage


class TrainingData:
    """The datasets trained on, and the one for validation."""

    def __init__(self, dataset: Dataset, segmentation: Dataset | None, held_out: Dataset | None) -> None:
        self._dataset, self._segmentation, self._held_out = dataset, segmentation or dataset, held_out
        if held_out is not None:
            for trained_on in (dataset, segmentation):
                if trained_on is not None:
                    _refuse_leak(trained_on, held_out)

    def of(self, stage: Stage) -> Dataset:
        """Return the dataset that a stage is trained on."""
        return self._segmentation if stage.kind == "segmentation" else self._dataset

    def check(self, stage: Stage, settings: Settings) -> None:
        """Raise InputError unless the dataset has what the stage trains on."""
        dataset = self.of(stage)
        if stage.shards not in dataset.sets:
            raise InputError(
                f"{dataset.root} has no set '{stage.shards}', which stage {stage.name} trains on; build it: ",
                Argument("class_isolated", True),
                ".",
            )
        if stage.kind.startswith("kernel-") and dataset.bank.max_size > KERNEL_SIDE:
            raise InputError(
                f"Kernels of {dataset.root} are {dataset.bank.max_size} pixels wide, and stage {stage.name} "
                f"estimates those of up to {KERNEL_SIDE}; make them with ",
                Argument("max_size", KERNEL_SIDE),
                ".",
            )
        from_labels = stage.kind == "segmentation" or (stage.kind == "umsn" and settings.masks == "labels")
        if from_labels and settings.variant != "bnet" and not dataset.faces.table["labelled"].any():
            other = (", or name one that has them with ", Argument("segmentation_shards"))
            raise InputError(
                f"None of the faces of {dataset.root} has labels, which stage {stage.name} needs; build the "
                "dataset from labelled faces",
                *(other if stage.kind == "segmentation" else ()),
                ".",
            )

    def patches(
        self, stage: Stage, settings: Settings, device: torch.device, *, on_device: bool
    ) -> PatchSource:
        """Return the patches of a stage: read or made on the host, or made on ``device``."""
        endless = settings.endless and stage.shards == FULL
        return _patches(self.of(stage), stage, device, on_device=on_device, endless=endless)

    def validation(self, stage: Stage, device: torch.device) -> PatchSource | None:
        """Return the patches that a stage is scored on, with noise as it is trained on."""
        if self._held_out is None or stage.shards not in self._held_out.sets:
            return None
        return _patches(self._held_out, stage, device)


def _patches(
    dataset: Dataset, stage: Stage, device: torch.device, *, on_device: bool = False, endless: bool = False
) -> PatchSource:
    """Return the patches of a dataset that a stage sees.

    Those with noise of their own are always made: shards hold 8 bits, with the noise of the recipe.
    """
    noise = stage.differences.noise
    if not on_device and noise == "recipe":
        return ShardPatches(dataset, stage.shards)
    return DevicePatches(
        dataset, stage.shards, device, endless=endless, noise=None if noise == "recipe" else noise
    )


def _refuse_leak(dataset: Dataset, held_out: Dataset) -> None:
    """Raise InputError if a face (the same file), a person or a kernel of the validation is also trained on.

    Faces that merely look the same are for ``blurgen audit``: hashing all of them delays every start by
    half a millisecond a face.
    """
    trained_on, validated_on = (read_contents(each.root, near=False) for each in (dataset, held_out))
    found = list(compare(validated_on, trained_on).findings())
    if found:
        rest = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise InputError(
            f"{held_out.root}: shares with {dataset.root}: {found[0]}{rest}; "
            "validate on faces of another split and kernels of another seed."
        )
