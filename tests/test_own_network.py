"""The example of a network of one's own learns from a dataset, and its pictures are scored by name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from small_dataset import PATCH, build, small_bank, sources, write_photos

from blurgen.testset.build import build_testset

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/own_network.py"
NETWORK = """
import torch

class Gain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 3, 1)
        torch.nn.init.zeros_(self.mix.weight)

    def forward(self, blurry):
        return self.mix(blurry)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a network of twelve numbers on four faces for two seconds, and deblur a test set with it."""
    root = tmp_path_factory.mktemp("own")
    build(write_photos(root / "photos"), root / "data", class_isolated=False)
    (faces,) = sources(write_photos(root / "others", seed=1))
    how = {"face_count": 2, "sizes": (5,), "per_size": 1, "patch_size": PATCH, "name": "t"}
    build_testset(faces, small_bank(1), root / "set", **how)
    (root / "network.py").write_text(NETWORK, "utf-8")
    command = (
        f"{EXAMPLE} network.py:Gain --data data --minutes 0.03 --learning-rate 0.1 --testset set --out out"
    )
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=root, capture_output=True, text=True, check=True
    )
    return root, done.stdout


def test_it_learns(trained):
    root, _ = trained
    mix = load_file(root / "out/network.safetensors")["mix.weight"][..., 0, 0].numpy()
    # The best three by three matrix for photographs of noise leaves colours where they are.
    assert (mix.argmax(axis=1) == np.arange(3)).all()


def test_it_says_how_many_steps_it_took(trained):
    _, said = trained
    assert re.search(r"[1-9][\d,]* steps of 8 patches in 0\.03 minutes, (fp32|bf16)", said)


def test_every_picture_of_the_test_set_is_there(trained):
    root, _ = trained
    blurry = sorted(path.name for path in (root / "set/final_t_blur").iterdir())
    assert sorted(path.name for path in (root / "out/set").iterdir()) == blurry
    assert Image.open(root / "out/set" / blurry[0]).size == (24, 24)
