"""``torch.export``: one file that PyTorch loads without this package."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from blurgen.files.atomic import check_writable, write_aside
from blurgen.jobs.progress import Reporter, Silent
from umsn.export.whole import exported
from umsn.restore.deblur import Deblurrer


def export_pt2(deblurrer: Deblurrer, path: str | os.PathLike[str], *, reporter: Reporter = Silent()) -> Path:
    """Write the whole network as a ``torch.export`` archive; read it with ``torch.export.load``.

    ``torch.export.load(path).module()`` takes blurry pictures float32 ``[N, 3, H, W]`` in [0, 1] and returns
    sharp ones. InputError when the folder cannot be written.
    """
    check_writable(path)
    reporter.say("Exporting the network with torch.export.")
    program = exported(deblurrer)
    # An open file: of a name that does not end in .pt2 torch would complain.
    with write_aside(path) as aside, aside.open("wb") as file:
        torch.export.save(program, file)
    return Path(path)
