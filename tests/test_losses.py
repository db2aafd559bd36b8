"""The losses are the paper's equations, and confidence goes where equation 4 is smallest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import naive
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from umsn.nets.confidence import ConfidenceNet, ConfidenceNetConfig
from umsn.training.differences import RELEASED_DIFFERENCES
from umsn.training.losses import (
    TERMS,
    Perceptual,
    class_losses,
    confidence_guided,
    confidence_loss,
    cross_entropy,
    l1,
)
from umsn.vggface import VGGFace

LAMBDA = 0.01


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other
    yield
    torch.set_num_threads(threads)


def a_batch(count: int = 3, size: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Output, target and masks with some pixels of unknown class; class 3 is absent from the first image."""
    classes = torch.randint(0, 5, (count, size, size))
    classes[0][classes[0] == 3] = 1
    masks = F.one_hot(classes, 5).permute(0, 3, 1, 2)[:, :4].float()
    return torch.rand(count, 3, size, size), torch.rand(count, 3, size, size), masks


def test_class_losses_are_those_of_the_masked_images() -> None:
    output, target, masks = a_batch()
    found = class_losses(output, target, masks).numpy()
    for n in range(3):
        for i in range(4):
            total = 0.0
            for y, x in np.ndindex(8, 8):
                for c in range(3):
                    m = masks[n, i, y, x].item()
                    total += abs(m * output[n, c, y, x].item() - m * target[n, c, y, x].item())
            assert found[n, i] == pytest.approx(total / (3 * 8 * 8), rel=1e-5)


def test_class_losses_add_up_to_l1_where_every_class_is_known() -> None:
    output, target, _ = a_batch()
    masks = F.one_hot(torch.randint(0, 4, (3, 8, 8)), 4).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(class_losses(output, target, masks).sum(1).mean(), l1(output, target))


def test_pixels_of_unknown_class_do_not_count() -> None:
    output, target, masks = a_batch()
    unknown = (masks.sum(1, keepdim=True) == 0).float()
    assert unknown.any()
    torch.testing.assert_close(
        class_losses(output + unknown, target, masks), class_losses(output, target, masks)
    )


def test_confidence_loss_is_equation_4() -> None:
    losses, confidence = torch.rand(2, 4), torch.rand(2, 4)
    weights = (1.2, 1.2, 3.6, 1.2)
    expected = 0.0
    for n in range(2):
        for i in range(4):
            c = confidence[n, i].item()
            expected += (weights[i] * c * losses[n, i].item() - LAMBDA * np.log(c)) / 2
    found = confidence_loss(losses, confidence.log(), LAMBDA, torch.tensor(weights))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    equal = confidence_loss(losses, confidence.log(), LAMBDA)
    torch.testing.assert_close(equal, confidence_loss(losses, confidence.log(), LAMBDA, torch.ones(4)))


def test_a_free_confidence_tends_to_lambda_over_loss() -> None:
    losses = torch.tensor([[0.0, 0.002, 0.01, 0.02], [0.05, 0.1, 0.4, 1.0]])
    logits = torch.zeros(2, 4, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.1)
    for _ in range(250):
        optimiser.zero_grad()
        confidence_loss(losses, F.logsigmoid(logits), LAMBDA).backward()
        optimiser.step()
    expected = (LAMBDA / losses).clamp(max=1)
    torch.testing.assert_close(logits.detach().sigmoid(), expected, atol=0.03, rtol=0.01)


def test_equation_4_is_smallest_at_lambda_over_loss() -> None:
    confidence = torch.linspace(0.001, 1, 1000)
    for loss in (0.002, 0.02, 0.3):
        values = torch.stack(
            [confidence_loss(torch.tensor([[loss]]), c.log().view(1, 1), LAMBDA) for c in confidence]
        )
        assert confidence[values.argmin()] == pytest.approx(min(1, LAMBDA / loss), abs=1e-3)


def test_a_vanishing_confidence_has_a_finite_loss_and_gradient() -> None:
    logits = torch.tensor([[-200.0, -1e4, 0.0, 200.0]], requires_grad=True)
    loss = confidence_loss(torch.full((1, 4), 0.5), F.logsigmoid(logits), LAMBDA)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    # Where confidence is next to nothing, the gradient still raises it, by lambda per unit of the logit.
    torch.testing.assert_close(logits.grad[0, :2], torch.full((2,), -LAMBDA))


def test_the_confidence_net_learns_lambda_over_loss() -> None:
    """CN itself, on images with errors from a hundredth to ten times lambda, and on ones it has not seen."""
    net = ConfidenceNet(ConfidenceNetConfig(width=4, stages=3))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(80):
        output, target, masks = pairs(8)
        loss, _ = confidence_guided(net, output, target, masks, LAMBDA)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    output, target, masks = pairs(24)
    with torch.no_grad():
        found = net.per_class(output, target, masks).flatten()
        best = (LAMBDA / class_losses(output, target, masks)).clamp(max=1).log().flatten()
    assert (found - best).abs().mean() < 0.35
    assert torch.corrcoef(torch.stack((found, best)))[0, 1] > 0.9


def pairs(count: int, size: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth images, outputs with errors of many sizes, and blobs of classes."""

    def smooth(channels: int) -> Tensor:
        return F.interpolate(torch.randn(count, channels, 5, 5), (size, size), mode="bilinear")

    target = smooth(3).sigmoid()
    error = smooth(3) * 10 ** (torch.rand(count, 1, 1, 1) * 2 - 2)
    masks = F.one_hot(smooth(4).argmax(1), 4).permute(0, 3, 1, 2).float()
    return target + error, target, masks


def test_the_gradient_reaches_output_and_confidence_net() -> None:
    net = ConfidenceNet(ConfidenceNetConfig(width=4, stages=2))
    output, target, masks = a_batch()
    output.requires_grad_(True)
    loss, _ = confidence_guided(net, output, target, masks, LAMBDA)
    loss.backward()
    known = masks.sum(1, keepdim=True).expand_as(output) > 0
    assert (output.grad[known] != 0).float().mean() > 0.9
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_the_trace_names_each_class_and_leaves_out_images_that_do_not_show_it() -> None:
    net = ConfidenceNet(ConfidenceNetConfig(width=4, stages=2))
    output, target, masks = a_batch()
    loss, trace = confidence_guided(net, output, target, masks, LAMBDA)
    assert list(trace) == [
        f"{what}_{name}"
        for what in ("confidence", "l1")
        for name in ("background", "skin", "features", "hair")
    ]
    assert all(value.ndim == 0 and not value.requires_grad for value in trace.values())
    losses = class_losses(output, target, masks)
    torch.testing.assert_close(trace["l1_hair"], losses[1:, 3].mean())
    torch.testing.assert_close(trace["l1_skin"], losses[:, 1].mean())
    assert loss.requires_grad

    _, nowhere = confidence_guided(net, output, target, torch.zeros_like(masks), LAMBDA)
    assert all(torch.isfinite(value) for value in nowhere.values())


@pytest.mark.parametrize("size", [8, 9])
def test_the_terms_of_the_released_code(size: int) -> None:
    output, target, _ = a_batch(2, size)
    numbers = output.numpy().astype(float), target.numpy().astype(float)
    halves = [naive.halved(image) for image in numbers]
    expected = {
        "gradient": naive.gradient_difference(*numbers),
        "half_scale": np.abs(halves[0] - halves[1]).mean(),
        "half_scale_gradient": naive.gradient_difference(*halves),
    }
    assert TERMS.keys() == expected.keys()
    for name, term in TERMS.items():
        assert float(term(output, target)) == pytest.approx(expected[name], rel=1e-5)
        assert float(term(target, target)) == 0


def test_the_gradient_term_sees_edges_and_no_brightness() -> None:
    output, _, _ = a_batch()
    assert float(TERMS["gradient"](output, output + 0.25)) == pytest.approx(0, abs=1e-6)
    assert float(TERMS["half_scale"](output, output + 0.25)) == pytest.approx(0.25, rel=1e-4)


def test_the_released_loss_in_our_units_is_half_of_it_in_theirs() -> None:
    """Their images are in [-1, 1], their lambda is 0.06 / 4: half the lambda goes with images in [0, 1]."""
    output, target, masks = a_batch()
    net = ConfidenceNet(ConfidenceNetConfig(width=4, stages=2))
    log_confidence = net.per_class(output, target, masks).detach()
    d = RELEASED_DIFFERENCES

    def total(output: Tensor, target: Tensor, lam: float) -> Tensor:
        losses = class_losses(output, target, masks)
        return confidence_loss(losses, log_confidence, lam, torch.tensor(d.class_weights)) + sum(
            weight * TERMS[name](output, target) for name, weight in d.terms.items()
        )

    theirs = total(2 * output - 1, 2 * target - 1, 0.06 / 4)
    torch.testing.assert_close(2 * total(output, target, d.confidence_lambda), theirs)


def test_cross_entropy_is_the_mean_over_known_pixels() -> None:
    logits, classes = torch.randn(2, 4, 3, 3), torch.randint(0, 4, (2, 3, 3))
    classes[0, 1, 1] = classes[1, 0, 2] = 255
    terms = [
        -logits[n, :, y, x].log_softmax(0)[classes[n, y, x]]
        for n, y, x in np.ndindex(2, 3, 3)
        if classes[n, y, x] != 255
    ]
    torch.testing.assert_close(cross_entropy(logits, classes), torch.stack(terms).mean())


def test_cross_entropy_of_unknown_pixels_only_is_zero() -> None:
    logits = torch.randn(1, 4, 3, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 3, 3), 255))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_perceptual_loss_is_the_mean_squared_distance_of_relu1_2(tmp_path: Path) -> None:
    full = VGGFace("pool5")
    path = tmp_path / "vgg_face_dag.pth"
    torch.save(full.state_dict(), path)
    perceptual = Perceptual(path)
    output, target, _ = a_batch(2, 6)
    output.requires_grad_(True)
    loss = perceptual(output, target)
    loss.backward()

    def features(images: Tensor) -> Tensor:
        x = images * 255 - torch.tensor([129.1863, 104.7624, 93.5940]).view(1, 3, 1, 1)
        return full.conv1_2(full.conv1_1(x).relu()).relu()

    torch.testing.assert_close(loss, (features(output) - features(target)).square().mean(), rtol=1e-3, atol=0)
    assert output.grad.any()
    assert not any(p.requires_grad for p in perceptual.parameters())
    assert float(perceptual(target, target)) == 0
    with torch.autocast("cpu", torch.bfloat16):
        assert perceptual(output, target) == loss
