"""Table IV: the distance of pool5 features is what it says, for weights made up here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_vggface import SIZES, write_dag

from blurgen.errors import InputError
from umsn.patches.batches import to_image
from umsn.scoring.feature_distance import FeatureDistance
from umsn.scoring.pairs import Pair
from umsn.vggface import load_vgg_face

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg_face_dag.pth"
    generator = torch.Generator().manual_seed(0)
    write_dag(
        path,
        {
            name: (
                torch.randn(outputs, inputs, 3, 3, generator=generator) / (4.5 * inputs) ** 0.5,
                torch.randn(outputs, generator=generator),
            )
            for name, inputs, outputs in SIZES
        },
    )
    return path


def picture(seed, side=40):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_the_distance_is_the_norm_of_the_difference_of_all_features(weights):
    distance = FeatureDistance(weights, CPU)
    pairs = [Pair(f"p{i}", f"f{i}", picture(i), picture(10 + i), None, None) for i in range(2)]
    for pair in pairs:
        distance.add(pair, {"blurry": pair.blurry, "perfect": pair.clean})
    found = distance.findings()
    (table,) = found.tables
    values = {row.labels[0]: row.cells[0].mean.value for row in table.rows}
    pool5 = load_vgg_face(weights, "pool5")
    with torch.no_grad():
        by_hand = [
            float(((pool5(to_image(p.blurry, CPU)) - pool5(to_image(p.clean, CPU))) ** 2).sum() ** 0.5)
            for p in pairs
        ]
    assert values["blurry"] == pytest.approx(np.mean(by_hand), rel=1e-4)
    assert values["perfect"] == 0
    assert len(found.records["vgg-face.csv"].splitlines()) == 5


def test_pictures_without_pool5_features_are_named(weights):
    small = picture(0, 31)
    with pytest.raises(InputError, match="p: VGG-Face needs pictures of at least 32 x 32"):
        FeatureDistance(weights, CPU).add(Pair("p", "f", small, small, None, None), {})
