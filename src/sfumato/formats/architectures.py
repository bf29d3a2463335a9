"""The networks of well-known families without their weights: what their layers are called, and of which shapes they
are.

The numbers are those that the families' makers publish of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.folder import config_of, parts_of
from sfumato.formats.read_network import class_of, explained, without_weights
from sfumato.network.spec import PAINTERS
from sfumato.zoo import built_ins
from sfumato.zoo.find import find

if TYPE_CHECKING:
    from torch import nn

Known = Mapping[str, tuple[str, Mapping[str, Any]]]


def _clip(
    width: int, layers: int, heads: int, projection: int, kind: str = "CLIPTextModel"
) -> tuple[str, dict[str, Any]]:
    return kind, {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": projection,
    }


def _unet(widths: tuple[int, ...], attended: tuple[bool, ...], words: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return "UNet2DConditionModel", {
        "block_out_channels": widths,
        "down_block_types": [f"{'CrossAttn' * each}DownBlock2D" for each in attended],
        "up_block_types": [f"{'CrossAttn' * each}UpBlock2D" for each in reversed(attended)],
        "cross_attention_dim": words,
        **more,
    }


_XL = {"use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256}
_CLIP_L = _clip(768, 12, 12, 768)
_CLIP_G = _clip(1280, 32, 20, 1280, "CLIPTextModelWithProjection")
_T5 = (
    "T5EncoderModel",
    {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"},
)
KNOWN: Mapping[str, Known] = {
    "Stable Diffusion 1": {
        "unet": _unet((320, 640, 1280, 1280), (True, True, True, False), 768),
        "text_encoder": _CLIP_L,
    },
    "Stable Diffusion 2": {
        "unet": _unet(
            (320, 640, 1280, 1280), (True, True, True, False), 1024,
            attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
        ),
        "text_encoder": _clip(1024, 23, 16, 512),
    },
    "Stable Diffusion XL": {
        "unet": _unet(
            (320, 640, 1280), (False, True, True), 2048, attention_head_dim=[5, 10, 20],
            transformer_layers_per_block=[1, 2, 10], projection_class_embeddings_input_dim=2816, **_XL,
        ),
        "text_encoder": _CLIP_L,
        "text_encoder_2": _CLIP_G,
    },
    "Stable Diffusion XL's refiner": {
        "unet": _unet(
            (384, 768, 1536, 1536), (False, True, True, False), 1280, attention_head_dim=[6, 12, 24, 24],
            transformer_layers_per_block=4, projection_class_embeddings_input_dim=2560, **_XL,
        ),
        "text_encoder_2": _CLIP_G,
    },
    "Stable Diffusion 3": {
        "transformer": ("SD3Transformer2DModel", {
            "sample_size": 128, "in_channels": 16, "out_channels": 16, "num_layers": 24, "num_attention_heads": 24,
            "caption_projection_dim": 1536, "joint_attention_dim": 4096, "pooled_projection_dim": 2048,
            "pos_embed_max_size": 192,
        }),
        "text_encoder": _clip(768, 12, 12, 768, "CLIPTextModelWithProjection"),
        "text_encoder_2": _CLIP_G,
        "text_encoder_3": _T5,
    },
    "FLUX.1": {
        "transformer": ("FluxTransformer2DModel", {"guidance_embeds": True}),
        "text_encoder": _CLIP_L,
        "text_encoder_2": _T5,
    },
}  # fmt: skip
"""By what `sfumato.adapt.origin` calls them."""


def empty_networks(model: str | Path) -> dict[str, nn.Module]:
    """What denoises and what reads words of the model of that name, without weights."""
    folder = find(model)
    parts = {part: kind for part, kind in parts_of(folder).items() if _adapted(part)}
    return {part: empty(part, kind, config_of(folder, part)) for part, kind in parts.items()}


def empty_family(title: str) -> dict[str, nn.Module]:
    """The same of a known family; nothing of another."""
    return {part: empty(part, kind, config) for part, (kind, config) in KNOWN.get(title, {}).items()}


def built_in_with(width: int) -> str:
    """The built-in model that is told texts so many numbers wide; "" where there is none."""
    for name in built_ins():
        folder = find(name)
        if "unet" in parts_of(folder) and config_of(folder, "unet").get("cross_attention_dim") == width:
            return name
    return ""


def _adapted(part: str) -> bool:
    return part in PAINTERS or part.startswith("text_encoder")


def empty(part: str, kind: str, config: Mapping[str, Any]) -> Any:
    """A network of the class called `kind`, without weights."""
    with explained(f"config of the {part}"):
        return without_weights(class_of(kind)[1], config)
