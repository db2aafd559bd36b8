"""Synthetic camera-shake datasets for image deblurring, reproducible to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blurgen._version import __version__

if TYPE_CHECKING:
    from blurgen.dataset.reading import Dataset, open_dataset

__all__ = ["Dataset", "__version__", "open_dataset"]


def __getattr__(name: str) -> Any:
    # On first use: reading a dataset needs numba and h5py, and asking for the version does not.
    if name in {"Dataset", "open_dataset"}:
        from blurgen.dataset import reading  # noqa: PLC0415

        return getattr(reading, name)
    raise AttributeError(f"module 'blurgen' has no attribute '{name}'")
