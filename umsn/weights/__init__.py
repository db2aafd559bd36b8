"""Trained weights that come with the package, ``TASK.safetensors`` in this folder, and making such files.

In: a checkpoint of a training. Out: half-precision weights of what a task needs, with what is said of them.
"""

from __future__ import annotations

from umsn.weights.shipped import FOLDER, MOST_BYTES, default_checkpoint, name_of, shipped_checkpoint

__all__ = ["FOLDER", "MOST_BYTES", "default_checkpoint", "name_of", "shipped_checkpoint"]
