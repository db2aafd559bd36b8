"""PyTorch is an extra: whoever only makes data never installs it."""

from __future__ import annotations

import importlib.util

from blurgen.errors import InputError


class TorchMissingError(InputError, ImportError):
    """A package of the `train` extra is not installed. Also an ImportError, so that `try: import umsn` works."""


def require_torch() -> None:
    """Raise TorchMissingError, one line with the remedy, unless the packages that training needs are installed.

    The packages are looked up, not imported: this takes well under a millisecond.
    """
    for package, name in (("torch", "PyTorch"), ("safetensors", "safetensors")):
        if importlib.util.find_spec(package) is None:
            raise TorchMissingError(f'umsn needs {name}, which is not installed: pip install "blurgen[train]"')
