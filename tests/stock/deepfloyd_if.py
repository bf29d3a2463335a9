"""DeepFloyd IF's first stage: tiny, random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from stock import seeded, stirred, t5_tokenizer
from stock.unets import UNSAFE

NAME = "deepfloyd-if"
SMALL, LARGE = 8, 32  # pixels along a side
SIZE = (SMALL, SMALL)
CALL: dict[str, Any] = {}
UNLIKE = {"inpainting": "keeps outside the mask the noise that it began with"}


def scheduler(**changes: Any) -> Any:
    """As DeepFloyd's: the answer says its variance, and the guided x0 is thresholded."""
    from diffusers import DDPMScheduler

    options: dict[str, Any] = {
        "beta_schedule": "squaredcos_cap_v2",
        "variance_type": "learned_range",
        "thresholding": True,
        "dynamic_thresholding_ratio": 0.95,
        "sample_max_value": 1.5,
    }
    return DDPMScheduler(**{**options, **changes})


def parts(planes: int = 0, side: int = SMALL, **changes: Any) -> dict[str, Any]:
    """unet, tokenizer, text_encoder."""
    from diffusers import UNet2DConditionModel
    from transformers import T5Config, T5EncoderModel

    seeded()
    tokenizer = t5_tokenizer(window=77)
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=3 + planes,
        out_channels=6,
        layers_per_block=1,
        block_out_channels=(32, 32),
        norm_num_groups=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        attention_head_dim=8,
        cross_attention_dim=32,
        cross_attention_norm="group_norm",
        encoder_hid_dim=24,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        **changes,
    )
    with torch.no_grad():
        for name, weight in unet.named_parameters():  # so that what it is told is seen in its answer
            if "to_out.0.weight" in name or "add_embedding.proj" in name:
                weight.mul_(4)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=24, d_kv=8, d_ff=16, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return {"unet": stirred(unet), "tokenizer": tokenizer, "text_encoder": T5EncoderModel(config).eval()}


def build(**changes: Any) -> Any:
    from diffusers import IFPipeline

    return IFPipeline(**parts(), scheduler=scheduler(**changes), watermarker=None, **UNSAFE)


WORDS, NEGATIVE = "A Red hat, in the sea", "a blue boat"
SUITED: dict[str, Any] = {"guidance": None, "sampler": None, "times": None}  # what suits the model


def drawing(module: Any, noises: Iterable[Any]) -> Any:
    """Inside, a module of diffusers draws these noises: functions of a tensor like them, and of nothing else."""
    each = iter(noises)
    return patch.object(module, "randn_tensor", lambda shape, **_: next(each)(torch.zeros(tuple(shape))))


@contextmanager
def drawing_ours(stage: str = "") -> Iterator[None]:
    """Inside, stock pipelines draw what ours do of the seed 3: the first noise, the small picture's, and each step's.
    stage: the name of one that is not a cascade's first."""
    from diffusers.pipelines.deepfloyd_if import pipeline_if, pipeline_if_superresolution
    from diffusers.schedulers import scheduling_ddpm

    from sfumato.noise import KeyedNoise

    whole = KeyedNoise([3])
    own = whole.at(stage) if stage else whole

    def told(source: Any, *key: str | int) -> Any:
        return lambda like: source(like, *key)

    first, small = told(own, "start"), told(whole, "small picture")
    steps = (told(own, "step", i) for i in range(1000))
    upscale = drawing(pipeline_if_superresolution, [first, small])
    with drawing(pipeline_if, [first]), upscale, drawing(scheduling_ddpm, steps):
        yield


def painted(theirs: Any, stage: str = "", **options: Any) -> Any:
    """What a stock pipeline paints of our noise."""
    theirs.set_progress_bar_config(disable=True)
    said = {"num_inference_steps": 4, "negative_prompt": NEGATIVE, "output_type": "pt", "clean_caption": False}
    with drawing_ours(stage):
        return theirs(WORDS, **said | options).images


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    asked = {"negative_prompt": NEGATIVE, "clean_caption": False, "output_type": "pt", "guidance_scale": 7.0}
    return {**SUITED, "negative": NEGATIVE}, asked


def parity(theirs: Any, ours: Any) -> float:
    """With its makers' sampler, variance, guidance and thresholding."""
    from stock.compare import error, ran

    return error(ran(ours, WORDS, negative=NEGATIVE, steps=4, seed=3, **SUITED)[1], painted(theirs))
