"""The bytes of small banks, faces and datasets, as they have always been.

No version of a package, no machine and no vector width may give others. Whoever changes one of these digests
changes what seeds and recipes mean: FORMAT.md then has to say so.
"""

from __future__ import annotations

import pytest

from blurgen.building.build import build_dataset
from blurgen.dataset.manifest import read_manifest
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank

BANKS = {
    "camera3d": "3c23fcb48336f49bc722fed892958802",
    "boracchi2d": "5de7317767141632cb61f17ee02fc776",
    "gaussian-process": "ce47b645e790cafba3a86fd20dde5316",
    "linear": "bba9d005265695a3a34b9f1faf420b64",
}
FACES = "0c6095ebbe062e213082894506f65200"
SHARDS = {
    "full/0": "e1e2816266412c143e1797f971e7c9c5",
    "full/1": "4b89b2b21cda116924c1642f32ec2d0a",
}
ISOLATED = {
    "composite": {
        "isolated/background/0": "2c7750909c796efdbe50f54e7bb88d46",
        "isolated/background/1": "5c7d191e6c351ddaba5b84292fffc181",
        "isolated/skin/0": "d412d90a6d40f53398caa4a06feeef50",
        "isolated/skin/1": "ba081640a367c419bd02a6ffe85445de",
        "isolated/features/0": "9a5543a73ede0fb757fd70bdf0bd4e6c",
        "isolated/features/1": "ff9f72340ec7f3e81e169e03244ed62d",
        "isolated/hair/0": "2c85befda771d2609ac7cb4a5bf15ba4",
        "isolated/hair/1": "91f95ca926052e6c6e9bd8b962319875",
    },
    "layered": {
        "isolated/background/0": "bedb70cda5c52a0821535650722cd3cf",
        "isolated/background/1": "9c5c0584e4b1fe8aac8f480683f51c12",
        "isolated/skin/0": "ca4b05d0411b2f5f3405efe468a150ee",
        "isolated/skin/1": "a3cda77bc075aa1ee2b274f1efc76765",
        "isolated/features/0": "802c227b016daa4cb0df989ba5c578a5",
        "isolated/features/1": "886e9dc37cd0b0521864d0d3e090e426",
        "isolated/hair/0": "a2e9c4f88c402b5bc2d534f29b3b60ff",
        "isolated/hair/1": "d7a46f75b981098255612c612d522603",
    },
}


@pytest.mark.parametrize("model", BANKS)
def test_a_bank_has_the_digest_it_always_had(model):
    assert make_bank(9, 5, 9, model, seed=11, samples=200).digest == BANKS[model]


@pytest.mark.parametrize("isolation", ["composite", "layered"])
def test_faces_and_shards_have_the_digests_they_always_had(tmp_path, isolation):
    data = build_dataset(
        [parse_source("procedural:3:5", min_side=64, patch_size=32)],
        make_bank(9, 5, 9, seed=11),
        tmp_path,
        per_image=4,
        class_isolated=True,
        isolation=isolation,
        patch_size=32,
        noise_sigma=0.03,
        seed=2**64 - 59,
        shard_size=7,
    )
    sets = read_manifest(tmp_path).sets
    assert data.recipe.faces.digest == FACES
    assert {
        f"{name}/{number}": record.content for name in sets for number, record in sets[name].items()
    } == SHARDS | ISOLATED[isolation]
