"""What the families of a prior and a decoder have in common (Ramesh et al. 2022, "Hierarchical Text-Conditional Image
Generation with CLIP Latents"): the prior as a Stage, its scheduler, and the eye of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sfumato.formats.folder import read_json
from sfumato.formats.scheduler_config import noise_schedule, thresholds
from sfumato.guide import ClassifierFree
from sfumato.picture.errors import BadInput
from sfumato.recipe.capabilities import Suits
from sfumato.sample import DDPM
from sfumato.times import LinspaceGrid

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from sfumato.encode.window_text import WindowText
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.schedule import Discrete
    from sfumato.stage import Stage

UNCLIP = {
    "_class_name": "DDPMScheduler",
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "epsilon",
    "clip_sample": True,
}
"""What an UnCLIPScheduler is among the tables of betas, where its config says nothing else."""
PRIOR: Mapping[str, Any] = {
    "added_emb_type": "prd",
    "encoder_hid_proj_type": "linear",
    "embedding_proj_norm_type": None,
    "norm_in_type": None,
}
"""Fields of PriorTransformer that Shap-E's has otherwise."""
SCALE, STEPS = 4.0, 25


def part_config(place: Path) -> dict[str, Any]:
    """The scheduler_config.json in a folder; that of an UnCLIPScheduler as the DDPMScheduler that it is."""
    config = read_json(place / "scheduler_config.json")
    if config.get("_class_name") != "UnCLIPScheduler":
        return config
    if config.get("beta_schedule", UNCLIP["beta_schedule"]) != UNCLIP["beta_schedule"]:
        raise BadInput(
            f"The UnCLIPScheduler in {place.name} has beta_schedule {config['beta_schedule']!r}; accepted is "
            f"{UNCLIP['beta_schedule']!r}, the only one that it knows."
        )
    return {**UNCLIP, **{name: value for name, value in config.items() if not name.startswith("_")}}


def part_schedule(parts: Parts, part: str) -> tuple[Discrete, str]:
    """The table of the scheduler `part`, and what its network predicts."""
    config = {**part_config(parts.place(part)), "thresholding": False}  # see `thresholds`
    return noise_schedule(config, f"the {part} of {parts.model}")


def suits_prior(place: Path) -> Suits:
    """What suits a prior, by the folder of its scheduler: its makers draw, and do not solve."""
    return Suits(STEPS, (ClassifierFree(SCALE), *thresholds(part_config(place))), DDPM(), LinspaceGrid())


def window_text(parts: Parts, engine: Engine, encoder: str, tokenizer: str) -> WindowText:
    """A CLIP text encoder with projection, which reads one window."""
    from sfumato.encode.window_text import WindowText
    from sfumato.formats.unet_stage import clip_text_of

    words = clip_text_of(parts, engine, encoder, tokenizer, "CLIPTextModelWithProjection", pooled=True)
    config: Any = parts.networks[encoder].config
    return WindowText(words, config.projection_dim)


def prior_stage(
    parts: Parts,
    engine: Engine,
    text: WindowText,
    *,
    prior: str = "prior",
    scheduler: str = "prior_scheduler",
    nothing: Callable[[], Tensor] | None = None,
) -> Stage:
    """The Stage that draws image embeddings. nothing: where the decoder is told negative prompts, what it is told
    instead of none (`space.EmbeddingPairs`)."""
    from sfumato.denoise import Preconditioned
    from sfumato.network.offload import at_hand
    from sfumato.network.prior_transformer import prior_backbone
    from sfumato.space.embedding_pairs import EmbeddingPairs
    from sfumato.space.vector import Vector
    from sfumato.stage import Stage

    schedule, parameterization = part_schedule(parts, scheduler)
    network = parts.network(prior, "PriorTransformer", PRIOR)
    config = network.config
    width, takes = config["embedding_dim"], config["embedding_proj_dim"] or config["embedding_dim"]
    for what, found, wanted in (
        ("texts", text.width, width),
        ("pooled texts", text.pooled, takes),
        ("image embeddings", config["clip_embed_dim"] or width, width),
    ):
        if found != wanted:
            raise BadInput(f"The {prior} of {parts.model} takes {what} {wanted} wide, and is given {found}.")
    if text.window != config["num_embeddings"]:
        raise BadInput(
            f"The {prior} of {parts.model} reads {config['num_embeddings']} tokens (num_embeddings), and its text "
            f"encoder {text.window}: they must be as many."
        )
    with at_hand(network):
        mean, std = (weight.detach().float().clone() for weight in (network.clip_mean, network.clip_std))
    return Stage(
        "prior",
        Vector(width, mean, std) if nothing is None else EmbeddingPairs(width, mean, std, nothing),
        Preconditioned(prior_backbone(network, engine, nothing is not None), schedule, parameterization),
        (text,),
        networks={"prior": network},
        device=parts.device,
        suits=suits_prior(parts.place(scheduler)),
    )


def eye_of(
    parts: Parts, engine: Engine, encoder: str, processor: str
) -> tuple[Callable[[Any], Tensor], Callable[[], Tensor], int]:
    """(a picture -> its embedding (1, width), () -> that of a black one as the encoder sees it, width)."""
    import torch

    from sfumato.network.image_networks import CLIP_IMAGE

    network = parts.network(encoder, "CLIPVisionModelWithProjection")
    process, run = parts.processor(processor, "CLIP"), engine.prepare(network, CLIP_IMAGE)
    side = network.config.image_size

    @torch.no_grad()
    def look(picture: Any) -> Tensor:
        return run(pixels=process(images=picture.convert("RGB"), return_tensors="pt").pixel_values)

    @cache
    @torch.no_grad()
    def nothing() -> Tensor:
        return run(pixels=torch.zeros(1, 3, side, side)).float()

    return look, nothing, int(network.config.projection_dim)
