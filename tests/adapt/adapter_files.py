"""Networks of random weights, and adapters of random tensors as each tool writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

RANK = 3
ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0"


def tensors(shape: torch.Size, rank: int = RANK, seed: int = 0, size: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """(down, up) for a weight of that shape."""
    random = torch.Generator().manual_seed(seed)
    down = size * torch.randn(rank, *shape[1:], generator=random)
    up = size * torch.randn(shape[0], rank, *[1] * (len(shape) - 2), generator=random)
    return down, up


def written(path: Path, found: dict[str, torch.Tensor], header: dict[str, str] | None = None) -> Path:
    save_file({key: value.clone().contiguous() for key, value in found.items()}, path, header)
    return path


def weights_of(adaptation: Any, t: float = 0.5) -> dict[tuple[int, str], torch.Tensor]:
    """Every stand-in, by its place."""
    places = [*adaptation.reading.places, *adaptation.painting(t).places]
    return {(id(where), key): value for where, key, value in places}


def make_unet(cross: int = 24, **options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "sample_size": 8, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8, "cross_attention_dim": cross,
    }  # fmt: skip
    return UNet2DConditionModel(**{**shape, **options}).eval().requires_grad_(False)


def make_encoder(width: int = 24, layers: int = 2) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=200, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=2,
        max_position_embeddings=16, projection_dim=width, bos_token_id=198, eos_token_id=199, pad_token_id=0,
    )  # fmt: skip
    return CLIPTextModel(config).eval().requires_grad_(False)
