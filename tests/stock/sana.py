"""Sana: tiny, random."""

from __future__ import annotations

import string
from typing import Any

from stock import WORDS, seeded

NAME = "sana"
SIZE = (64, 32)
CALL: dict[str, Any] = {"guidance_scale": 4.5, "use_resolution_binning": False}


def gemma_tokenizer() -> Any:
    """A GemmaTokenizer of letters and a few words."""
    from transformers import GemmaTokenizer

    letters = [*string.ascii_letters, *string.digits, *",.:!'->()\n", "▁"]
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", *letters]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        made = "▁"
        for letter in word:
            if (made, letter) not in merges:
                merges.append((made, letter))
            made += letter
            if made not in pieces:
                pieces.append(made)
    return GemmaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges, add_bos_token=True)


def build(dpm: bool = True) -> Any:
    """dpm: with the scheduler that its makers ship, and not with flow matching's Euler."""
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, SanaPipeline

    flow = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
    return SanaPipeline(**parts(), scheduler=flow if dpm else FlowMatchEulerDiscreteScheduler(shift=3.0))


def parts(**changes: Any) -> dict[str, Any]:
    """All but the scheduler; `changes` are of the transformer."""
    from diffusers import AutoencoderDC, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    seeded()
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=16,
        **changes,
    )
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    config = Gemma2Config(
        vocab_size=160,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return {
        "tokenizer": gemma_tokenizer(),
        "text_encoder": Gemma2Model(config).eval(),
        "vae": vae.eval(),
        "transformer": transformer.eval(),
    }


def whole(scheduler: Any) -> Any:
    """DPM-Solver++ of flow matching tells the network its times cut down to whole thousandths; here as they are."""
    plain = scheduler.set_timesteps

    def set_timesteps(*args: Any, **options: Any) -> None:
        plain(*args, **options)
        scheduler.timesteps = scheduler.sigmas[:-1] * 1000

    scheduler.set_timesteps = set_timesteps
    return scheduler


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    from sfumato.guide import ClassifierFree

    euler = {"scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0)}
    return {"guidance": [ClassifierFree(4.0)], "sampler": "euler"}, {**CALL, **euler, "guidance_scale": 4.0}


def parity(theirs: Any, ours: Any, sampler: str = "dpmpp-2m") -> float:
    """By DPM-Solver++ as it ships, or by flow matching's Euler, each on its own grid."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    from sfumato.schedule import Flow
    from stock.compare import error, noise, walked

    theirs.set_progress_bar_config(disable=True)
    x, size = noise(ours, SIZE), {"width": SIZE[0], "height": SIZE[1]}
    negative, shipped = "blue, and a long text of other things, many of them", theirs.scheduler
    kind = type(shipped)
    theirs.scheduler = (
        FlowMatchEulerDiscreteScheduler(shift=3.0) if sampler == "euler" else whole(kind.from_config(shipped.config))
    )
    asked = {"negative_prompt": negative, "num_inference_steps": 6, "output_type": "latent", **CALL, **size}
    made = theirs("A red hat", latents=x, **asked).images
    sigmas = theirs.scheduler.sigmas.double()
    theirs.scheduler = shipped
    knots = Flow(3.0).time(sigmas / (1 - sigmas))
    return error(walked(ours, x, "A red hat", knots, negative=negative, steps=6, sampler=sampler, **size), made)
