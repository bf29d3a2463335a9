"""Pictures as prompts of FLUX.1: keys and values of their own in its double blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from sfumato.network.attention_directives import Change
from sfumato.network.image_prompts import Looking

KeysValues = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(W_K, b_K), (W_V, b_V)."""


@dataclass(frozen=True, eq=False)
class FluxImagePrompt:
    """What a picture is to the double blocks of FLUX.1: h + weight Attn(Q, K', V') behind each (Ye et al. 2023,
    IP-Adapter, eq. 5), with queries that know no places.

    tokens, empty (1, L, D): the picture's, and those of no picture. layers: keys and values by the index of a block.
    mask (1, 1, H, W) in [0, 1]: the places that look at it.
    """

    tokens: Tensor
    empty: Tensor
    layers: Mapping[int, KeysValues]
    mask: Tensor | None = None

    def changes(self, network: Any, looking: Looking) -> list[tuple[Any, Change]]:
        tokens = looking.seen(self.tokens, self.empty)

        def looks(pair: KeysValues) -> Change:
            def change(module: Any, hidden: Tensor, named: dict[str, Any], output: tuple[Tensor, ...]) -> Any:
                def heads(a: Tensor) -> Tensor:
                    return a.unflatten(-1, (module.heads, -1)).transpose(1, 2)

                q = module.norm_q(heads(module.to_q(hidden[looking.rows])))
                k, v = (heads(linear(tokens, *each)) for each in pair)
                found = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
                more = torch.zeros_like(output[0])
                more = more.index_copy(0, looking.rows, looking.weighed(found, self.mask).to(more))
                return (*output[:2], more + output[2] if len(output) > 2 else more)  # the block adds a third answer

            return change

        return [(network.transformer_blocks[i].attn, looks(pair)) for i, pair in self.layers.items()]
