"""PixArt's ControlNet-Transformer (Chen et al. 2024, "PIXART-delta", section 4): copies of its first blocks, each of
which hands on to the next and, through a linear layer that is zero at the start of training, to the network itself.

diffusers has no class of it; its weights bear the names of `PixArtControlNetAdapterModel`, which are those here.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sfumato.network.control_networks import check_alike, plain
from sfumato.network.cross_attended import sizes_of
from sfumato.network.offload import at_hand
from sfumato.network.residuals import Residuals
from sfumato.network.spec import Input, NetworkSpec, own_dtype
from sfumato.picture import BadInput

ALIKE = ("num_attention_heads", "attention_head_dim", "cross_attention_dim")
"""What a ControlNet and its network must agree on, for the answers to fit."""


class Block(nn.Module):
    """One block of PixArt's, with a linear layer behind it; the first has one before it too, for the map."""

    def __init__(self, first: bool, heads: int, side: int, cross: int) -> None:
        super().__init__()
        width = heads * side
        if first:
            self.before_proj = nn.Linear(width, width)
        self.transformer_block = BasicTransformerBlock(
            width,
            heads,
            side,
            cross_attention_dim=cross,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            attention_bias=True,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            norm_eps=1e-6,
        )
        self.after_proj = nn.Linear(width, width)


class PixArtControlNetAdapterModel(ModelMixin, ConfigMixin):
    """The blocks, of the widths that every PixArt has if nothing else is said."""

    @register_to_config
    def __init__(
        self,
        num_layers: int = 13,
        num_attention_heads: int = 16,
        attention_head_dim: int = 72,
        cross_attention_dim: int = 1152,
    ) -> None:
        super().__init__()
        sizes = (num_attention_heads, attention_head_dim, cross_attention_dim)
        self.controlnet_blocks = nn.ModuleList(Block(i == 0, *sizes) for i in range(num_layers))


def spec(painter: Any, cell: int) -> NetworkSpec:
    """What PixArt itself is told, and the map's latents; answers (B, N, C), one a block."""
    config = painter.config
    width = int(config["caption_channels"] or config["cross_attention_dim"])
    return NetworkSpec(
        {
            "x": Input(("rows", int(config["in_channels"]), "height", "width")),
            "t": Input(("rows",), "float32"),
            "text": Input(("rows", "words", width)),
            "text_mask": Input(("rows", "words"), "bool", needed=False),
            "map": Input(("rows", int(config["in_channels"]), "height", "width")),
        },
        partial(_forward, painter, cell),
    )


def _forward(
    painter: Any,
    cell: int,
    network: Any,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    text_mask: Tensor | None,
    map: Tensor,
) -> Any:
    """The first block of PixArt, and the ControlNet's from there on (figure 5 of the paper)."""
    with at_hand(painter):
        hidden = painter.pos_embed(x)
        time, _ = painter.adaln_single(t, sizes_of(painter, x, cell), batch_size=len(x), hidden_dtype=hidden.dtype)
        if painter.caption_projection is not None:
            text = painter.caption_projection(text)
        mask = None if text_mask is None else ((1 - text_mask.to(hidden)) * -10000.0)[:, None]
        told = {"encoder_hidden_states": text, "encoder_attention_mask": mask, "timestep": time}
        hidden = painter.transformer_blocks[0](hidden, **told)
        state, found = painter.pos_embed(map), []
        for block in network.controlnet_blocks:
            if not found:
                state = hidden + block.before_proj(state)
            state = block.transformer_block(state, **told)
            found.append(block.after_proj(state))
    return found


def answering(network: Any, batch: Any, control: Any) -> Any:
    """The ControlNet shown its map; what it finds is added to what the first blocks of the network answer."""
    painter = batch.stage.networks.get("transformer")
    check_alike(control, network.config, painter, ALIKE)
    plain(control, "PixArt")
    if int(network.config["num_layers"]) >= int(painter.config["num_layers"]):
        raise BadInput(
            f"The ControlNet {control.obeyed_by} was made for another network: it has as many blocks or more."
        )
    own = own_dtype(painter)
    blocks = network if own_dtype(network) == own else deepcopy(network).to(own)
    shown = batch.stage.space.encode(batch.control_map(control.picture, control.map))
    run = batch.engine.prepare(blocks, spec(painter, batch.stage.space.factor))

    def answer(x: Tensor, t: Tensor, told: Mapping[str, Any]) -> Residuals:
        seen = shown.to(own).expand(len(x), -1, -1, -1)
        found = run(x=x.to(own), t=t, text=told["text"].to(own), text_mask=told["text_mask"], map=seen)
        return Residuals(tuple(found))

    return answer
