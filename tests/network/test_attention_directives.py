"""Perturbed attention in real networks: the identity map in chosen layers and rows, nothing elsewhere."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import AttnProcessor2_0

from sfumato.condition import Attention, Condition, Text
from sfumato.network import UNet2DBackbone, UNetBackbone
from sfumato.network.attention_directives import self_attention
from sfumato.picture import BadInput

torch.manual_seed(0)
LATENT = UNet2DConditionModel(
    sample_size=8,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    cross_attention_dim=6,
    attention_head_dim=2,
    norm_num_groups=4,
).eval()
PIXELS = UNet2DModel(
    sample_size=8,
    in_channels=1,
    out_channels=1,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=4,
    norm_num_groups=4,
).eval()
X, T = torch.randn(3, 4, 8, 8), torch.full((3,), 400)
TEXT = Text(torch.randn(3, 5, 6))


class OneSelf(AttnProcessor2_0):
    """diffusers' own attention, told by a mask that each place sees itself alone."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
        places = hidden_states.shape[1] if hidden_states.ndim == 3 else hidden_states[0, 0].numel()
        mask = torch.full((places, places), -torch.inf).fill_diagonal_(0.0)
        return super().__call__(attn, hidden_states, attention_mask=mask.repeat(len(hidden_states) * attn.heads, 1, 1))


def told(network, layers: tuple[str, ...], call):
    """The answer of the network whose modules in `layers` have a processor of diffusers' own that masks."""
    modules: dict[str, Any] = {n: m for n, m in self_attention(network).items() if n.startswith(layers)}
    before = {name: module.processor for name, module in modules.items()}
    for module in modules.values():
        module.set_processor(OneSelf())
    try:
        return call()
    finally:
        for name, module in modules.items():
            module.set_processor(before[name])


@pytest.mark.parametrize(
    ("layers", "prefixes"),
    [(("mid",), ("mid_block",)), (("down", "up"), ("down", "up")), (("up_blocks.0",), ("up_blocks.0",))],
)
@torch.no_grad()
def test_chosen_rows_see_the_identity_and_the_others_nothing(layers, prefixes):
    network = UNetBackbone(LATENT)
    plain = network(X, T, Condition((TEXT,)))
    rows = torch.tensor([False, True, True])
    p = network(X, T, Condition((TEXT, Attention(rows, layers))))
    expected = told(LATENT, prefixes, lambda: network(X, T, Condition((TEXT,))))
    assert torch.equal(p[0], plain[0])
    torch.testing.assert_close(p[1:], expected[1:], atol=1e-5, rtol=1e-5)
    assert (p[1:] - plain[1:]).abs().max() > 1e-3
    assert torch.equal(network(X, T, Condition((TEXT,))), plain)


@torch.no_grad()
def test_networks_of_pixels_too():
    network, x = UNet2DBackbone(PIXELS), torch.randn(2, 1, 8, 8)
    plain = network(x, T[:2], Condition.empty(2))
    p = network(x, T[:2], Condition.empty(2).adding(Attention(torch.tensor([True, False]), ("down",))))
    expected = told(PIXELS, ("down",), lambda: network(x, T[:2], Condition.empty(2)))
    assert torch.equal(p[1], plain[1])
    torch.testing.assert_close(p[0], expected[0], atol=1e-5, rtol=1e-5)
    assert (p[0] - plain[0]).abs().max() > 1e-4


def test_gradients_flow():
    x = X.clone().requires_grad_()
    part = Attention(torch.tensor([True, False, True]))
    UNetBackbone(LATENT)(x, T, Condition((TEXT, part))).sum().backward()
    assert x.grad is not None
    assert bool((x.grad.flatten(1).abs().sum(1) > 0).all())


@torch.no_grad()
def test_another_thread_sees_nothing_of_it():
    network = UNetBackbone(LATENT)
    plain = network(X, T, Condition((TEXT,)))
    seen = []

    def elsewhere(*_):
        if not seen and threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=lambda: seen.append(network(X, T, Condition((TEXT,)))))
            seen.append(None)
            other.start()
            other.join()

    handle = LATENT.mid_block.register_forward_pre_hook(elsewhere)
    try:
        network(X, T, Condition((TEXT, Attention(torch.ones(3, dtype=torch.bool)))))
    finally:
        handle.remove()
    torch.testing.assert_close(seen[1], plain, atol=0, rtol=0)


def test_a_layer_without_self_attention_is_refused_with_those_that_have():
    part = Attention(torch.ones(3, dtype=torch.bool), ("down_blocks.0",))
    with pytest.raises(BadInput, match=r"in the layer 'down_blocks.0': it has some in down_blocks.1, mid_block, up_"):
        UNetBackbone(LATENT)(X, T, Condition((TEXT, part)))
