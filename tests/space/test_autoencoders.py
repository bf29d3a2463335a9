"""What holds for the latents of every kind of autoencoder."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from sfumato.picture import BadInput
from sfumato.space import Autoencoded, Latent, refuse_nan
from sfumato.space.deterministic import Deterministic
from sfumato.space.one_frame import OneFrame
from sfumato.space.patched_latent import PatchedLatent

LEVELS = {"block_out_channels": (8, 8), "norm_num_groups": 4}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def latent() -> Autoencoded:
    from diffusers import AutoencoderKL

    return Latent(AutoencoderKL(**LEVELS, **BLOCKS))


def deterministic() -> Autoencoded:
    from diffusers import AutoencoderDC

    sides = ("encoder", "decoder")
    blocks = {f"{side}_block_types": ("ResBlock", "ResBlock") for side in sides}
    shape = {f"{side}_block_out_channels": (8, 8) for side in sides}
    shape |= {f"{side}_layers_per_block": (1, 1) for side in sides}
    shape |= {f"{side}_qkv_multiscales": ((), ()) for side in sides}
    moves = {"downsample_block_type": "conv", "upsample_block_type": "interpolate"}
    return Deterministic(AutoencoderDC(latent_channels=4, decoder_act_fns="silu", **blocks, **shape, **moves))


def one_frame() -> Autoencoded:
    from diffusers import AutoencoderKLQwenImage

    shape = {"dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [False]}
    return OneFrame(AutoencoderKLQwenImage(base_dim=8, z_dim=4, **shape, latents_mean=[0.0] * 4, latents_std=[1.0] * 4))


def patched() -> Autoencoded:
    from diffusers import AutoencoderKLFlux2

    return PatchedLatent(AutoencoderKLFlux2(**LEVELS, **BLOCKS, latent_channels=4))


@pytest.mark.parametrize("made", [latent, deterministic, one_frame, patched])
def test_rows_that_overflow_in_float16_are_run_in_float32(made):
    torch.manual_seed(0)
    full = made()
    half = type(full)(copy.deepcopy(full.autoencoder).half())
    full.autoencoder.half().float()
    for space in (full, half):  # beyond float16 where a latent is larger than 1.1
        space.autoencoder.decoder.register_forward_pre_hook(lambda _, given: (given[0] * 6e4 / 6e4, *given[1:]))
    z = torch.randn(2, full.channels, 4, 4)
    z[0], z[1] = 9 * z[0], 0.01 * z[1]
    with torch.no_grad():
        ours, theirs, alone = half.decode(z), full.decode(z), half.decode(z[:1])
    assert torch.allclose(ours[0], theirs[0], atol=1e-5)
    assert ours[1].isfinite().all()
    assert torch.equal(ours[:1], alone), "alone as in company"
    assert {p.dtype for p in half.autoencoder.parameters()} == {torch.float16}


def test_codes_are_looked_up_in_half_precision():
    from diffusers import VQModel

    torch.manual_seed(0)
    full = Deterministic(VQModel(**LEVELS, **BLOCKS, num_vq_embeddings=16).half().float())
    half = Deterministic(copy.deepcopy(full.autoencoder).half())
    z = torch.randn(2, full.channels, 4, 4).half().float()
    with torch.no_grad():
        ours, theirs = half.decode(z), full.decode(z)
    assert torch.allclose(ours, theirs, atol=0.01)
    assert {p.dtype for p in half.autoencoder.parameters()} == {torch.float16}


@pytest.mark.parametrize("numbers", [[0.0, math.nan], [math.inf, -math.inf], [math.inf, 1.0], [-math.inf, 0.0]])
def test_what_is_not_finite_is_refused(numbers):
    with pytest.raises(BadInput, match=r"The network \(unet\) answered NaN or infinity at step 3"):
        refuse_nan(torch.tensor(numbers), "network (unet)", "at step 3")


def test_finite_numbers_whose_sum_is_none_pass():
    large = torch.full((4,), 60_000, dtype=torch.float16)
    assert refuse_nan(large, "network (unet)") is large
    assert refuse_nan(none := torch.empty(0), "network (unet)") is none
