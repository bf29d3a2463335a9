"""The terms of the autoencoder's loss, on pictures whose values are known."""

from __future__ import annotations

import pytest
import torch

from sfumato.train.objective.reconstruction import gradient_l1, texture_l1

FLAT = torch.zeros(1, 3, 32, 32)
STRIPES = torch.ones(1, 3, 32, 32) * torch.tensor([1.0, -1.0]).repeat(16)


def test_local_contrast_of_stripes_against_none():
    """Differences of 2 across and on both diagonals, none along, none at half the size."""
    assert float(texture_l1(STRIPES, FLAT)) == pytest.approx((2 + 0 + 2 + 2) / 8)


def test_strokes_may_lie_elsewhere_but_not_go_another_way():
    moved, turned = STRIPES.roll(1, -1), STRIPES.transpose(-1, -2)
    assert float(texture_l1(STRIPES, moved)) == 0
    assert float(gradient_l1(STRIPES, moved)) == pytest.approx(4)
    assert float(texture_l1(STRIPES, turned)) == pytest.approx((2 + 2 + 0 + 0) / 8)


def test_a_gradient_step_strengthens_strokes_that_are_too_weak():
    weak = (0.1 * STRIPES).requires_grad_()
    texture_l1(STRIPES, weak).backward()
    assert float(texture_l1(STRIPES, (weak - weak.grad).detach())) < float(texture_l1(STRIPES, weak.detach()))
    assert (weak.grad.sign() == -STRIPES.sign()).float().mean() > 0.9


@pytest.mark.parametrize("side", [4, 8, 16])
def test_pictures_smaller_than_a_window(side):
    x = torch.rand(2, 3, side, side, generator=torch.manual_seed(0))
    assert float(texture_l1(x, x)) == 0
    assert 0 < float(texture_l1(x, torch.zeros_like(x))) < 1
