"""Which device the networks run on."""

from __future__ import annotations

import torch

from blurgen.errors import Argument, InputError


def usable_device(name: str) -> torch.device:
    """Return the device of that name; ``auto``: a GPU where there is one. InputError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            Argument("device", name), f" cannot be used here ({reason}); try ", Argument("device", "cpu"), "."
        ) from error
    return device
