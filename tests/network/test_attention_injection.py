"""Prompt-to-Prompt in a real network: the companion's maps in the edited rows, nothing anywhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from sfumato.condition import Attention, Condition, Injection, Text, Watched
from sfumato.denoise import Preconditioned
from sfumato.guide import ClassifierFree, Guided, PerturbedAttention
from sfumato.network import UNetBackbone
from sfumato.network.attention_directives import cross_attention, self_attention
from sfumato.network.engine import Exact
from sfumato.schedule import Discrete

torch.manual_seed(0)
NETWORK = UNet2DConditionModel(
    sample_size=8,
    block_out_channels=(16, 32),
    down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    cross_attention_dim=6,
    attention_head_dim=2,
    norm_num_groups=4,
).eval()
TOKENS = 5
X, T = torch.randn(4, 4, 8, 8), torch.full((4,), 400)
TEXT = Text(3 * torch.randn(4, TOKENS, 6), negative=Text(torch.randn(1, TOKENS, 6)))
SOURCE = torch.tensor([False, False, True, True])
PICTURE = torch.tensor([0, 1, 1, 0])  # the companions stand in another order
PARTNER = [3, 2]
SWAP = torch.eye(TOKENS)[[0, 2, 1, 4, 3]].repeat(4, 1, 1)


def part(cross: float = 1.0, alone: float = 1.0, **fields: Any) -> Injection:
    full: dict[str, Any] = {"source": SOURCE, "mapping": SWAP, "weight": torch.ones(4, TOKENS)} | fields
    return Injection(cross_maps=torch.full((4,), cross), self_maps=torch.full((4,), alone), **full)


def condition(*parts: Any) -> Condition:
    return Condition((TEXT, *parts), torch.zeros(4, dtype=torch.long), PICTURE)


class Plain:
    """Attention written out row by row, as a processor of diffusers; edited rows see another map."""

    def __init__(
        self, cross: bool, alone: bool, mapping=SWAP, weight=None, within: int = 16, new: tuple[int, ...] = ()
    ):
        self.cross, self.alone, self.mapping, self.weight = cross, alone, mapping, weight
        self.within, self.new = within, new

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        crossing = encoder_hidden_states is not None
        maps, values = [], []
        for row in range(len(hidden_states)):
            q, k, v = attn.to_q(hidden_states[row]), attn.to_k(seen[row]), attn.to_v(seen[row])
            size = q.shape[1] // attn.heads
            heads = [slice(h * size, (h + 1) * size) for h in range(attn.heads)]
            maps.append([torch.softmax(q[:, h] @ k[:, h].T / size**0.5, -1) for h in heads])
            values.append([v[:, h] for h in heads])
        for row, partner in enumerate(PARTNER):
            for h in range(attn.heads):
                own, other = maps[row][h], maps[partner][h]
                if crossing and self.cross:
                    moved = other @ self.mapping[row]
                    moved[:, list(self.new)] = own[:, list(self.new)]
                    maps[row][h] = moved
                if crossing and self.weight is not None:
                    maps[row][h] = maps[row][h] * self.weight[row]
                if not crossing and self.alone and hidden_states.shape[1] <= self.within**2:
                    maps[row][h] = other
        answers = [torch.cat([m @ v for m, v in zip(*row, strict=True)], -1) for row in zip(maps, values, strict=True)]
        return attn.to_out[0](torch.stack(answers))


def told(processor: Plain, x=X, embeds=None) -> torch.Tensor:
    modules: dict[str, Any] = self_attention(NETWORK) | cross_attention(NETWORK)
    before = {name: module.processor for name, module in modules.items()}
    for module in modules.values():
        module.set_processor(processor)
    try:
        return NETWORK(x, T, TEXT.embeds if embeds is None else embeds).sample
    finally:
        for name, module in modules.items():
            module.set_processor(before[name])


@pytest.mark.parametrize(("cross", "alone", "within"), [(1, 0, 16), (0, 1, 16), (1, 1, 16), (1, 1, 4)])
@torch.no_grad()
def test_edited_rows_see_their_companions_maps_and_companions_nothing(cross, alone, within):
    plain = UNetBackbone(NETWORK)(X, T, condition())
    given = UNetBackbone(NETWORK)(X, T, condition(part(cross, alone, within=within)))
    expected = told(Plain(bool(cross), bool(alone), within=within))
    assert torch.equal(given[2:], plain[2:])
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    assert (given[:2] - plain[:2]).abs().amax((1, 2, 3)).min() > 1e-3


@torch.no_grad()
def test_new_tokens_keep_their_own_maps_and_weights_scale_columns():
    mapping, weight = torch.eye(TOKENS).repeat(4, 1, 1), torch.ones(4, TOKENS)
    mapping[:, :, 2] = 0
    weight[0, 3], weight[1, 1] = 2.5, -1.0
    given = UNetBackbone(NETWORK)(X, T, condition(part(1, 0, mapping=mapping, weight=weight)))
    expected = told(Plain(True, False, mapping, weight, new=(2,)))
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    alone = UNetBackbone(NETWORK)(X, T, condition(part(0, 0, mapping=mapping, weight=weight)))
    torch.testing.assert_close(alone, told(Plain(False, False, weight=weight)), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_neutral_directive_is_none_to_the_bit():
    assert torch.equal(UNetBackbone(NETWORK)(X, T, condition()), UNetBackbone(NETWORK)(X, T, condition(part(0, 0))))


def test_fractions_are_of_the_time_from_1_on_and_one_part_serves_all_times_of_a_kind():
    steered = part(0.8, 0.4)
    kinds = {
        t: (bool(p.cross_maps[0]), bool(p.self_maps[0]))
        for t in (1.0, 0.61, 0.6, 0.21, 0.2, 0.05)
        if (p := steered.at(t))
    }
    assert kinds == {
        1.0: (True, True),
        0.61: (True, True),
        0.6: (True, False),
        0.21: (True, False),
        0.2: (False, False),
        0.05: (False, False),
    }
    assert steered.at(0.5) is steered.at(torch.tensor(0.3))
    always = part(1.0, 1.0)
    assert always.at(0.001) is always
    rows = steered.at(torch.tensor([1.0, 0.5, 0.1, 0.1]))
    assert rows.cross_maps.tolist() == [1, 1, 0, 0]
    assert rows.self_maps.tolist() == [1, 0, 0, 0]


@torch.no_grad()
def test_unconditional_rows_keep_every_token_in_its_place():
    null = condition(part(weight=torch.full((4, TOKENS), 3.0))).null()
    given = UNetBackbone(NETWORK)(X, T, null)
    embeds = TEXT.null().embeds
    expected = told(Plain(True, True, torch.eye(TOKENS).repeat(4, 1, 1)), embeds=embeds)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_it_stands_beside_guidance_and_perturbed_attention_in_one_call():
    """Each branch of the union is what that branch is alone: pairs are found within a branch."""
    denoiser = Preconditioned(UNetBackbone(NETWORK), Discrete.from_config({"num_train_timesteps": 1000}))
    t, c = torch.tensor(0.7), condition(part(0.8, 0.4))
    guidances = [ClassifierFree(4.0), PerturbedAttention(2.0)]
    guided = Guided(denoiser, guidances)(X, t, c)
    now = c.at(t)
    perturbed = now.adding(Attention(torch.ones(4, dtype=torch.bool)))
    plain, null, p = (denoiser(X, t, each).eps for each in (now, now.null(), perturbed))
    torch.testing.assert_close(guided.eps, plain + 3 * (plain - null) + 2 * (plain - p), atol=1e-4, rtol=1e-4)
    assert (p - plain).abs().amax((1, 2, 3)).min() > 1e-4


@torch.no_grad()
def test_a_pair_in_a_batch_is_the_pair_alone_in_the_exact_engine():
    network = UNetBackbone(NETWORK, Exact())
    together = network(X, T, condition(part(1, 1)))
    for row, partner in enumerate(PARTNER):
        pair = [row, partner]
        alone = network(X[pair], T[:2], condition(part(1, 1)).select(pair))
        assert torch.equal(alone, together[pair])


@torch.no_grad()
def test_the_eye_sees_each_layers_maps_once_of_the_conditional_rows_alone():
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    slot = torch.tensor([5, -1, 7, -1])
    watched = condition(part(), Watched(slot, lambda slots, maps: seen.append((slots, maps))))
    union = Condition.cat([watched, watched.null()])
    plain = UNetBackbone(NETWORK)(X.repeat(2, 1, 1, 1), T.repeat(2), union)
    assert len(seen) == len(cross_attention(NETWORK))
    for slots, maps in seen:
        assert slots.tolist() == [5, 7]
        assert maps.shape[0] == 2
        assert maps.shape[1] in (64, 16)
        assert maps.shape[2] == TOKENS
        torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]), atol=1e-5, rtol=1e-5)
    without = Condition.cat([condition(part()), condition(part()).null()])
    assert torch.equal(plain, UNetBackbone(NETWORK)(X.repeat(2, 1, 1, 1), T.repeat(2), without))


def test_gradients_flow_through_injected_maps():
    x = X.clone().requires_grad_()
    UNetBackbone(NETWORK)(x, T, condition(part()))[:2].sum().backward()
    assert x.grad is not None
    assert bool((x.grad.flatten(1).abs().sum(1) > 0).all())  # the companions' maps are theirs


def test_a_row_without_a_companion_is_refused():
    lonely = replace(condition(part()), picture=torch.tensor([0, 1, 1, 2]))
    with pytest.raises(ValueError, match=r"pictures \[0\]"):
        UNetBackbone(NETWORK)(X, T, lonely)


@torch.no_grad()
def test_the_texts_keys_are_still_computed_once_a_run():
    calls: list[int] = []
    network, c = UNetBackbone(NETWORK), condition(part(0.5, 0.5))
    key: Any = next(iter(cross_attention(NETWORK).values())).to_k  # pyright: ignore[reportAttributeAccessIssue]
    forward = torch.nn.Linear.forward

    def counting(layer, given):
        calls.extend([1] if layer is key else [])
        return forward(layer, given)

    guided = Guided(Preconditioned(network, Discrete.from_config({"num_train_timesteps": 1000})), [ClassifierFree(3.0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Linear, "forward", counting)
        for t in (0.9, 0.8, 0.7, 0.3, 0.2):
            guided(X, torch.tensor(t), c)
    assert len(calls) == 2  # once while maps are injected, once afterwards
