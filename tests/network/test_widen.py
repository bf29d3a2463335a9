"""A widened first convolution computes what the narrow one did."""

from __future__ import annotations

import torch
from torch import nn

from sfumato.network.widen import widened


def test_a_widened_convolution_ignores_its_new_channels_until_they_are_trained():
    narrow, wide = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(9, 6, 3, padding=1)
    weights = {f"conv_in.{name}": value for name, value in narrow.state_dict().items()}
    wide.load_state_dict({name.removeprefix("conv_in."): value for name, value in widened(weights, 9).items()})
    x, planes = torch.randn(2, 4, 8, 8), 100 * torch.randn(2, 5, 8, 8)
    torch.testing.assert_close(wide(torch.cat([x, planes], 1)), narrow(x), rtol=1e-6, atol=1e-6)
    wide(torch.cat([x, planes], 1)).sum().backward()
    assert wide.weight.grad is not None
    assert bool((wide.weight.grad[:, 4:] != 0).all()), "and can be trained to look at them"


def test_what_is_wide_enough_stays_as_it_is():
    weights = {"conv_in.weight": torch.randn(6, 9, 3, 3), "conv_in.bias": torch.randn(6)}
    assert widened(weights, 9) == weights
