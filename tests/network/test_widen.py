"""A widened first convolution computes what the narrow one did."""

from __future__ import annotations

import torch
from torch import nn

from sfumato.network.widen import attending, widened


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


def test_a_level_that_looks_at_the_text_only_now_answers_as_before_and_learns_to_look():
    from diffusers import UNet2DConditionModel

    def network(attends: bool):
        kind = "CrossAttn" if attends else ""
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(16, 32),
            down_block_types=(f"{kind}DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", f"{kind}UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=24,
            norm_num_groups=8,
        )

    before, after = network(False), network(True)
    after.load_state_dict(attending(before.state_dict(), after.state_dict()))
    x, t, text = torch.randn(2, 4, 8, 8), torch.tensor([10, 700]), torch.randn(2, 5, 24)
    told = after(x, t, text).sample
    torch.testing.assert_close(told, before(x, t, text).sample, rtol=0, atol=0)
    told.square().sum().backward()
    last = after.down_blocks[0].attentions[0].proj_out.weight
    assert last.grad is not None
    assert bool((last.grad != 0).any())
