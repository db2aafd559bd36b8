"""The kernel-guided network is trained by stages of its own, from a dataset to a checkpoint that deblurs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy.ndimage import gaussian_filter
from small_training import build

from blurgen.errors import InputError
from blurgen_cli.umsn import main
from umsn import checkpoint
from umsn.checkpoint import load_networks
from umsn.nets import KernelEstimator, build_network, config_of, network_config
from umsn.patches.batches import Batches, ShardPatches
from umsn.restore import tiles
from umsn.restore.deblur import Deblurrer
from umsn.runs.folder import describe
from umsn.training.curriculum import train
from umsn.training.kernel_learners import KernelEstimatorLearner, centred, divergence
from umsn.training.settings import Settings

QUICK = Settings(preset="quick", variant="kernel-guided", iterations=2, batch_size=2, seed=1)
CPU = {"device": "cpu", "quiet": True}
SMALL = {"widths": [8, 8], "blocks": [1, 1], "lag_widths": [16, 16], "lag_blocks": [1, 1], "maps": 4}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two unlabelled datasets that share nothing."""
    folder = tmp_path_factory.mktemp("kernel")
    return {
        name: build(folder / name, seed, labelled=False).root for name, seed in (("data", 1), ("held out", 2))
    }


@pytest.fixture(scope="module")
def run(datasets, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train(datasets["data"], out, QUICK, validate=datasets["held out"], **CPU)
    return out


def test_both_stages_leave_their_checkpoints_and_scores(run):
    for name in ("kernel-estimator", "kernel-guided"):
        _, about = checkpoint.load(run / f"{name}.best.safetensors", "networks")
        assert about["iteration"] == 2
        assert np.isfinite(about["score"])
    assert describe(run / "kernel-guided.safetensors").variant == "kernel-guided"


def test_the_second_stage_begins_with_the_estimator_of_the_first(datasets, run, tmp_path):
    still = replace(QUICK, iterations=1, learning_rate=1e-20)
    train(datasets["data"], tmp_path, still, stage="kernel-guided", start_from=run, **CPU)
    first = load_networks(run / "kernel-estimator.safetensors", torch.device("cpu"))["network"].state_dict()
    second = load_networks(tmp_path / "kernel-guided.safetensors", torch.device("cpu"))[
        "network"
    ].state_dict()
    for name, values in first.items():
        torch.testing.assert_close(second[f"estimator.{name}"], values, rtol=0, atol=1e-12)


def test_fine_tuning_needs_nothing_but_the_checkpoint(datasets, run, tmp_path):
    source = run / "kernel-guided.safetensors"
    still = replace(QUICK, learning_rate=1e-30)
    (path,) = train(datasets["data"], tmp_path, still, stage="kernel-guided", weights=source, **CPU)
    before, after = (load_networks(p, torch.device("cpu"))["network"].state_dict() for p in (source, path))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-20)


def test_the_second_stage_needs_the_first(datasets, tmp_path):
    with pytest.raises(InputError, match=r"kernel-guided begins with .*kernel-estimator\.safetensors"):
        train(datasets["data"], tmp_path, QUICK, stage="kernel-guided", **CPU)


def test_the_checkpoint_deblurs_and_shows_the_kernel(run):
    deblur = Deblurrer(run / "kernel-guided.safetensors", "cpu")
    blurry = np.random.default_rng(0).integers(0, 256, (70, 55, 3), np.uint8)
    found, kernel = deblur(blurry), deblur.kernel(blurry)
    assert found.shape == blurry.shape
    assert kernel.shape == (29, 29) and kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(deblur(blurry), found)


def test_a_large_picture_in_tiles_has_one_kernel_and_no_seam(run, monkeypatch):
    deblur = Deblurrer(run / "kernel-guided.safetensors", "cpu", "fp32")
    random = np.random.default_rng(1)
    blurry = gaussian_filter(random.uniform(0, 255, (64, 1200, 3)), (2, 2, 0)).astype(np.uint8)
    whole = deblur(blurry).astype(int)
    monkeypatch.setattr(tiles, "TILE", 960)
    in_tiles = Deblurrer(run / "kernel-guided.safetensors", "cpu", "fp32")(blurry)
    difference = np.abs(in_tiles - whole)
    # A kernel no training has made small is felt far away, and so is the border. A seam would be more.
    assert difference.max() <= 6 and difference.mean() < 1


def test_the_command_line_shows_the_kernel(run, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    options = ["--checkpoint", str(run / "kernel-guided.safetensors"), "--out", str(tmp_path / "out")]
    options += ["--device", "cpu", "--no-align", "--show-kernel"]
    result = CliRunner().invoke(main, ["deblur", str(tmp_path / "a.png"), *options])
    assert result.exit_code == 0, result.output
    kernel = np.asarray(Image.open(tmp_path / "out/a_kernel.png"))
    assert kernel.shape == (174, 174, 3) and kernel.max() == 255
    assert Image.open(tmp_path / "out/a.png").size == (50, 40)


def test_every_face_of_a_photograph_shows_its_kernel(run, tmp_path):
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (300, 500, 3), np.uint8)).save(tmp_path / "a.png")
    points = "{0} 112 {1} 112 {2} 130 {0} 152 {1} 152".format
    (tmp_path / "points.txt").write_text(f"a.png {points(70, 110, 90)}\na.png {points(300, 340, 320)}\n")
    options = ["--checkpoint", str(run / "kernel-guided.safetensors"), "--out", str(tmp_path / "out")]
    options += ["--device", "cpu", "--landmarks", str(tmp_path / "points.txt"), "--show-kernel"]
    result = CliRunner().invoke(main, ["deblur", str(tmp_path / "a.png"), *options])
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "out/a_kernel.png").size == (2 * 174, 174)


def test_other_networks_have_no_kernel_to_show(tmp_path):
    path = tmp_path / "bnet.safetensors"
    net = build_network("bnet", network_config("bnet", "quick"))
    networks = {"network": {"name": "bnet", "config": config_of(net)}}
    checkpoint.save(
        path, "networks", checkpoint.with_prefix("network", net.state_dict()), {"networks": networks}
    )
    with pytest.raises(InputError, match="estimates no kernel"):
        Deblurrer(path, "cpu").kernel(np.zeros((40, 40, 3), np.uint8))


def test_an_estimator_alone_does_not_deblur(run):
    with pytest.raises(InputError, match="kernel-estimator"):
        Deblurrer(run / "kernel-estimator.safetensors", "cpu")


def test_presets_of_the_paper_have_no_such_variant(datasets, tmp_path):
    for settings in (replace(QUICK, preset="paper"), replace(QUICK, networks="paper")):
        with pytest.raises(InputError, match="preset='compact'"):
            train(datasets["data"], tmp_path, settings, **CPU)


def test_a_stage_of_another_variant_is_refused(datasets, tmp_path):
    with pytest.raises(InputError, match="has no stage 'segmentation'"):
        train(datasets["data"], tmp_path, QUICK, stage="segmentation", **CPU)
    with pytest.raises(InputError, match="has no stage 'kernel-guided'"):
        train(datasets["data"], tmp_path, replace(QUICK, variant="umsn"), stage="kernel-guided", **CPU)


def test_kernels_wider_than_the_network_knows_are_refused(tmp_path):
    wide = build(tmp_path, 5, labelled=False, largest=31).root
    with pytest.raises(InputError, match=r"31 pixels wide.*max_size=29"):
        train(wide, tmp_path / "run", QUICK, **CPU)


def test_the_divergence_is_zero_for_the_true_kernel_and_larger_for_any_other():
    kernels = torch.rand(2, 13, 13)
    kernels /= kernels.sum((1, 2), keepdim=True)
    truth = centred(kernels)
    assert torch.equal(truth[:, 8:21, 8:21], kernels) and truth.sum() == pytest.approx(2, abs=1e-5)
    assert divergence((truth + 1e-12).log(), kernels).item() == pytest.approx(0, abs=1e-4)
    assert divergence(torch.zeros(2, 29, 29), kernels) > 0.5


def test_the_estimator_learns_from_the_kernels_of_the_dataset(tmp_path):
    torch.manual_seed(0)
    source = ShardPatches(build(tmp_path, 3, labelled=False))
    batch = Batches(source, batch_size=4, seed=0, device=torch.device("cpu")).at(0)
    learner = KernelEstimatorLearner(KernelEstimator(build_network("kernel-estimator", SMALL).config))
    optimizer = torch.optim.Adam(learner.parameters(), lr=5e-3)
    losses = []
    for _ in range(30):
        terms, _ = learner(batch)
        losses.append(terms["kernel"].item())
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    before, after = ({"kernel_similarity": None}, learner.judge(batch).scores)
    assert set(after) == {"psnr", "psnr_blurry", *before}
    assert min(after["kernel_similarity"]) > 0.5


@pytest.mark.parametrize("name", ["kernel-estimator", "kernel-guided"])
def test_they_are_rebuilt_from_their_configuration(name):
    for size in ("compact", "quick"):
        network = build_network(name, network_config(name, size))
        assert build_network(name, network_config(name, size)).config == network.config
