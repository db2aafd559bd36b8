"""Synthetic camera-shake datasets for image deblurring, reproducible to the bit."""

from blurgen._version import __version__

__all__ = ["__version__"]
