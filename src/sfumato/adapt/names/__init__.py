"""What other tools call the layers of a network: each file one naming, derived from the network that it is for.

| naming | networks |
|---|---|
| `compvis_unet` | U-Nets, as CompVis' code and kohya's SDXL files call their blocks |
| `flux_layers` | FLUX's transformers, as Black Forest Labs' code does, with fused queries, keys and values |
| `sd3_layers` | Stable Diffusion 3's transformer, as Stability's code does |
| `z_image_layers` | Z-Image's transformer, as Alibaba's code does |
| `cloneofsimo` | layers by their number |

Dots and underscores count as one: kohya's files write underscores for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sfumato.adapt.names import compvis_unet, flux_layers, sd3_layers, z_image_layers
from sfumato.adapt.names.piece import Piece, flat

if TYPE_CHECKING:
    from torch import nn

Names = dict[str, tuple[Piece, ...]]
_PROJECTIONS = re.compile(r"self_attn\.(q|k|v|out)_proj$")
_known: WeakKeyDictionary[nn.Module, Names] = WeakKeyDictionary()

__all__ = ["Names", "Piece", "flat", "kohya_names", "names_of"]


def names_of(network: nn.Module) -> Names:
    """Everything that a layer of the network may be called in a file, without its dots, and what it stands for."""
    if network in _known:
        return _known[network]
    layers = [name for name, module in network.named_modules() if getattr(module, "weight", None) is not None]
    found: Names = {flat(name): (Piece(name),) for name in layers}
    own: Any = network
    for name in layers:  # CLIP's text encoders with and without their outer module
        found.setdefault(flat(name.removeprefix("text_model.")), (Piece(name),))
        found.setdefault(f"text_model_{flat(name)}", (Piece(name),))
        old = _PROJECTIONS.sub(r"self_attn.to_\1", name)
        found.setdefault(flat(old), (Piece(name),))
        found.setdefault(f"text_model_{flat(old)}", (Piece(name),))
    for alias, pieces in _other_names(own, set(layers)):
        if all(piece.layer in layers for piece in pieces):
            found.setdefault(flat(alias), pieces)
    _known[network] = found
    return found


def kohya_names(network: nn.Module) -> dict[tuple[Piece, ...], str]:
    """What kohya's scripts call each layer, or those that are one to them: Stable Diffusion XL's U-Net, FLUX and Stable
    Diffusion 3 as their makers do, all others as diffusers and transformers do."""
    own: Any = network
    layers = [name for name, module in network.named_modules() if getattr(module, "weight", None) is not None]
    if hasattr(own, "down_blocks") and dict(own.config).get("addition_embed_type") == "text_time":
        found = compvis_unet.names(own, set(layers))
    elif hasattr(own, "single_transformer_blocks"):
        found = flux_layers.makers(own)
    elif hasattr(own, "transformer_blocks") and type(own).__name__.startswith("SD3"):
        found = sd3_layers.names(own)
    else:
        inner = ("encoder.layers.", "embeddings.", "final_layer_norm")
        clip = any("self_attn.q_proj" in name for name in layers)
        found = ((f"text_model.{name}" if clip and name.startswith(inner) else name, (Piece(name),)) for name in layers)
    made: dict[tuple[Piece, ...], str] = {}
    for name, pieces in found:
        if all(piece.layer in layers for piece in pieces):
            made.setdefault(pieces, name)
    return made


def _other_names(network: Any, layers: set[str]) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    config = getattr(network, "config", None)
    if hasattr(network, "down_blocks") and hasattr(network, "up_blocks"):
        yield from compvis_unet.names(network, layers)
    if hasattr(network, "single_transformer_blocks") and hasattr(network, "transformer_blocks"):
        yield from flux_layers.names(network)
    elif hasattr(network, "transformer_blocks") and hasattr(network, "pos_embed") and config is not None:
        yield from sd3_layers.names(network)
    elif hasattr(network, "noise_refiner"):
        yield from z_image_layers.names(network)
