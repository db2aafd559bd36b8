"""What confidence does in a real training (equation 4, Table VII), if a small one.

UMSN of 20,000 parameters and a confidence network, 100 steps on 24 patches of drawn discs: skin is the large
middle ring and hardest, features the small disc within and easiest.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_training import build

from blurgen.dataset.reading import open_dataset
from blurgen.labels import CLASS_NAMES
from umsn.nets import build_network
from umsn.patches.batches import ShardPatches, to_device
from umsn.training.differences import LAMBDA
from umsn.training.learners import DeblurLearner
from umsn.training.loop import Machine, Plan, train_stage
from umsn.training.losses import class_confidence
from umsn.training.stages import Stage

CPU = torch.device("cpu")
TRUNK = {"width": 4, "blocks": 1, "last_width": 4}
CLASSES = {"class_width": 2, "class_blocks": 1, "class_channels": 2}
SKIN, FEATURES = CLASS_NAMES.index("skin"), CLASS_NAMES.index("features")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The source, the learner after its training, and the log."""
    folder = tmp_path_factory.mktemp("confidence")
    source = ShardPatches(open_dataset(build(folder, 1).root))
    torch.manual_seed(0)
    learner = DeblurLearner(
        build_network("umsn", TRUNK | CLASSES),
        confidence=build_network("confidence", {"width": 4, "stages": 3}),
        perceptual=None,
        s_net=None,
        s_net_clean=None,
        masks="labels",
    )
    stage = Stage("umsn", "umsn", "full", "blurry", {"confidence": 1.0}, 100, 1e-2, 4, "cosine")
    plan = Plan(stage, log_every=10, validate_every=1_000, save_every=1_000)
    train_stage(learner, source, plan, folder, Machine(CPU), about={}, quiet=True)
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return source, learner, log


def test_confidence_tends_to_lambda_over_loss(trained):
    """The stationary point of C L - lambda log C, for every class of every image."""
    source, learner, log = trained
    batch = to_device(source.read(np.arange(len(source))), CPU)
    with torch.no_grad():
        output = learner.network(batch.blurry, batch.masks)
        losses, found, shown = class_confidence(learner.confidence, output, batch.clean, batch.masks)
    best = (LAMBDA / losses).clamp(max=1).log()
    # The optimum differs by a factor of 2.5 between images and classes; C follows it within 20 %.
    assert best[shown].max() - best[shown].min() > np.log(2.5)
    assert (found - best)[shown].abs().mean() < np.log(1.2)
    assert torch.corrcoef(torch.stack((found[shown], best[shown])))[0, 1] > 0.85
    for number in range(len(CLASS_NAMES)):
        means = [values.exp()[:, number][shown[:, number]].mean() for values in (found, best)]
        assert float(means[0]) == pytest.approx(float(means[1]), rel=0.25)

    # It was not so from the beginning.
    first, last = (line for line in (log_of_images(log)[0], log_of_images(log)[-1]))
    assert distance(last) < 0.6 * distance(first)


def log_of_images(log):
    return [line for line in log if line.get("event") == "images"]


def distance(line) -> float:
    """Mean |log C - log of its optimum| over the images and classes that a line of the log follows."""
    pairs = zip(np.ravel(line["confidence"]), np.ravel(line["l1"]), strict=True)
    return np.mean([abs(np.log(c) - np.log(min(1, LAMBDA / loss))) for c, loss in pairs if c is not None])


def test_the_hardest_class_has_the_lowest_confidence_early(trained):
    *_, log = trained
    early = [line for line in log if "loss" in line and 20 <= line["iteration"] <= 50]
    assert len(early) == 4
    for line in early:
        confidence = [line[f"confidence_{name}"] for name in CLASS_NAMES]
        losses = [line[f"l1_{name}"] for name in CLASS_NAMES]
        assert np.argmax(losses) == SKIN
        assert np.argmin(losses) == FEATURES
        assert np.argmin(confidence) == SKIN


def test_confidence_grows_as_classes_are_learnt(trained):
    *_, log = trained
    measured = [line for line in log if "loss" in line]
    for name in CLASS_NAMES:
        assert measured[-1][f"confidence_{name}"] > measured[1][f"confidence_{name}"]
        assert measured[-1][f"l1_{name}"] < measured[0][f"l1_{name}"]
