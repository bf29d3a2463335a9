"""Number types of weights: which suits a device, float8 for storage, and float32 for one call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch
from sfumato.network.offload import at_hand, one_at_a_time
from sfumato.network.spec import COMPUTES, own_dtype

if TYPE_CHECKING:
    from torch import nn


def suits(device: str) -> str:
    """The precision that suits a device: float32 on a CPU, half of it on a GPU."""
    kind = torch.device(device).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "float16" if kind == "mps" else "float32"


ASKED = ("encoder_hid_proj.image_embeds",)
"""Layers of diffusers' networks that are asked for their type before they are called."""


def store_float8(network: Any) -> None:
    """Keeps the weights of a network's layers as float8_e4m3fn (Micikevicius et al. 2022, "FP8 Formats for Deep
    Learning": 4 bits of exponent, 3 of mantissa) and casts each layer to the network's own type while it is called.

    Norms and embeddings of positions keep their type, and what diffusers names as too delicate.
    """
    from diffusers.hooks import apply_layerwise_casting
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    computes = own_dtype(network)
    if hasattr(network, "enable_layerwise_casting"):
        kept = (*DEFAULT_SKIP_MODULES_PATTERN, *ASKED)
        network.enable_layerwise_casting(torch.float8_e4m3fn, computes, skip_modules_pattern=kept)
    else:  # transformers asks some layers for their type
        kept = (*DEFAULT_SKIP_MODULES_PATTERN, "embed", *(getattr(network, "_keep_in_fp32_modules", None) or ()))
        kept += tied(network, kept)
        apply_layerwise_casting(network, torch.float8_e4m3fn, computes, skip_modules_pattern=kept)
    vars(network)[COMPUTES] = computes
    one_at_a_time(network)


def tied(network: nn.Module, kept: Sequence[str]) -> tuple[str, ...]:
    """Patterns of the layers whose weight is that of a layer that is kept, as T5's table of tokens is under two
    names."""
    weights = {name: id(getattr(module, "weight", None)) for name, module in network.named_modules()}
    own = {each for name, each in weights.items() if any(re.search(pattern, name) for pattern in kept)} - {id(None)}
    return tuple(f"^{re.escape(name)}$" for name, each in weights.items() if each in own)


@contextmanager
def in_float32(network: nn.Module) -> Iterator[None]:
    """Inside, a network computes in float32; afterwards in its own type again, whose values it keeps to the bit."""
    own = own_dtype(network)
    with at_hand(network):
        torch.nn.Module.to(network, torch.float32)  # without diffusers' warning that not all was float32 before
        try:
            yield
        finally:
            torch.nn.Module.to(network, own)
