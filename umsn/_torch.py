"""PyTorch is an extra: whoever only makes data never installs it."""

from __future__ import annotations

import importlib.util

from blurgen.errors import InputError


class TorchMissingError(InputError, ImportError):
    """A package of the `train` extra is missing. Also an ImportError, as `try: import umsn` expects."""


def require_torch() -> None:
    """Raise TorchMissingError, one line with the remedy, unless what training needs is installed.

    The packages are looked up, not imported: this takes well under a millisecond.
    """
    for package, name in (("torch", "PyTorch"), ("safetensors", "safetensors")):
        if importlib.util.find_spec(package) is None:
            raise TorchMissingError(f'umsn needs {name}; to install it: pip install "blurgen[train]"')
