"""Which of the weights in the package do a task."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from blurgen.errors import Argument, InputError

MOST_BYTES: Final = 30_000_000
"""Of each file."""

FOLDER: Final = Path(__file__).parent

_FILES: Final[dict[str, tuple[str, ...]]] = {
    "deblur": ("deblur", "umsn"),
    "segment": ("segment", "umsn", "deblur"),
}
"""By task, the files that can do it, the best first: the checkpoint of UMSN has an S-Net."""


def default_checkpoint(task: str) -> Path:
    """Return the weights that come with the package for ``deblur`` or ``segment``.

    Raises InputError where there are none, ValueError for another task.
    """
    found = shipped_checkpoint(task)
    if found is None:
        raise InputError(
            f"No weights to {task} come with this version; train some ('umsn train') and give ",
            Argument("checkpoint", f"RUN/{'segmentation' if task == 'segment' else 'umsn'}.safetensors"),
            ".",
        )
    return found


def name_of(checkpoint: Path) -> str:
    """Return what readers of a result know a checkpoint by: its path, unless it lies in the package."""
    shipped = checkpoint.resolve().parent == FOLDER.resolve()
    return f"the weights that come with the package ({checkpoint.name})" if shipped else str(checkpoint)


def shipped_checkpoint(task: str) -> Path | None:
    """Return what ``default_checkpoint`` returns, or None where there is none."""
    if task not in _FILES:
        raise ValueError(f"Argument 'task' must be one of {', '.join(_FILES)}, not '{task}'.")
    paths = (FOLDER / f"{name}.safetensors" for name in _FILES[task])
    return next((path for path in paths if path.is_file()), None)
