"""The text's keys and values are computed once a run, and never when they could have changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sfumato.condition import Condition, Text
from sfumato.network.unet2d_condition import UNetBackbone

TIME = torch.tensor(500)


@pytest.fixture
def counted(network):
    """The network and how often each of its text's keys was computed."""
    key = next(m for name, m in network.named_modules() if name.endswith("attn2.to_k"))
    calls: list[int] = []
    plain = nn.Linear.forward

    def counting(layer, given):
        if layer is key:
            calls.append(1)
        return plain(layer, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "forward", counting)
        yield network, key, calls


def text(seed: int = 0) -> Condition:
    return Condition((Text(torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(seed))),))


@torch.no_grad()
def test_one_text_is_projected_once_and_the_answer_is_the_networks_own(counted):
    network, _, calls = counted
    backbone, condition = UNetBackbone(network), text()
    for step in range(3):
        x = torch.randn(2, 4, 8, 8)
        embeds = condition.parts[0].embeds  # pyright: ignore[reportAttributeAccessIssue]
        assert torch.equal(backbone(x, TIME, condition), network(x, TIME, embeds).sample), step
    assert len(calls) == 1 + 3  # ours once, the plain network every time


@torch.no_grad()
def test_another_text_or_other_weights_are_computed_anew(counted):
    network, key, calls = counted
    backbone, x, one, two = UNetBackbone(network), torch.randn(2, 4, 8, 8), text(0), text(1)
    first = backbone(x, TIME, one)
    assert not torch.equal(first, backbone(x, TIME, two))
    assert torch.equal(first, backbone(x, TIME, one))
    key.weight.mul_(3)
    changed = backbone(x, TIME, one)
    assert not torch.equal(first, changed)
    key.weight = nn.Parameter(key.weight / 3)
    assert torch.allclose(first, backbone(x, TIME, one), atol=1e-6)
    assert len(calls) == 5


@torch.no_grad()
def test_a_layer_that_somebody_wrapped_is_left_alone(network):
    class Low(nn.Linear):
        scale = 0.0

        def forward(self, input):
            return super().forward(input) * (1 + self.scale)

    module = next(m for name, m in network.named_modules() if name.endswith("attn2"))
    low = Low(12, module.to_k.out_features, bias=False)
    low.load_state_dict(module.to_k.state_dict())
    module.to_k = low
    backbone, x, condition = UNetBackbone(network), torch.randn(2, 4, 8, 8), text()
    first = backbone(x, TIME, condition)
    low.scale = 5.0
    assert not torch.equal(first, backbone(x, TIME, condition))


def test_gradients_reach_the_text_and_nothing_is_left_on_the_network(network):
    backbone, x = UNetBackbone(network), torch.randn(2, 4, 8, 8)
    condition = text()
    embeds = condition.parts[0].embeds.requires_grad_()  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        backbone(x, TIME, condition)
    backbone(x, TIME, condition).square().sum().backward()
    assert embeds.grad is not None
    assert embeds.grad.abs().sum() > 0
    assert not any("forward" in vars(m) for m in network.modules())
