"""Pictures that Stable Diffusion 3 looks at, as its IP-Adapter of InstantX does (2024, "SD3.5-Large-IP-Adapter")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from sfumato.network.attention_directives import Change
from sfumato.network.image_prompts import Looking
from sfumato.network.offload import at_hand
from sfumato.network.quantized import plain


@dataclass(frozen=True, eq=False)
class SD3ImagePrompt:
    """What a picture is to the attentions of Stable Diffusion 3, each of which adds, before its way out,

        weight scale Attn(norm(Q), [norm(K), norm(K')], [V, V']),    K', V' = W AdaLN(tokens, time)

    Q, K and V are of the places alone. The tokens are made anew at each time, by a resampler that is told it.

    embeds, empty (1, L, E): what the image encoder answers for the picture, and for none. project: (embeds, time) ->
    (tokens, an embedding of the time). layers: norms, keys, values and the scale by the name of an attention. mask
    (1, 1, H, W) in [0, 1]: the places that look at it.
    """

    embeds: Tensor
    empty: Tensor
    project: Any
    layers: Mapping[str, Any]
    mask: Tensor | None = None

    def changes(self, network: Any, looking: Looking) -> list[tuple[Any, Change]]:
        tokens, time = self.project(looking.seen(self.embeds, self.empty), looking.t)

        def looks(layer: Any) -> Change:
            def change(module: Any, hidden: Tensor, named: dict[str, Any], output: Any) -> Any:
                def heads(a: Tensor) -> Tensor:
                    return a.unflatten(-1, (module.heads, -1)).transpose(1, 2)

                here = hidden[looking.rows]
                shown = layer.norm_ip(tokens, temb=time)
                q = layer.norm_q(heads(module.to_q(here)))
                k = torch.cat([layer.norm_k(heads(module.to_k(here))), layer.norm_ip_k(heads(layer.to_k_ip(shown)))], 2)
                v = torch.cat([heads(module.to_v(here)), heads(layer.to_v_ip(shown))], 2)
                found = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
                with at_hand(module.to_out[0]):
                    found = linear(layer.scale * found, plain(module.to_out[0].weight).to(found))
                found = looking.weighed(found, self.mask)
                first = output[0] if isinstance(output, tuple) else output
                first = first.index_copy(0, looking.rows, first[looking.rows] + found.to(first))
                return (first, *output[1:]) if isinstance(output, tuple) else first

            return change

        modules = dict(network.named_modules())
        return [(modules[name], looks(layer)) for name, layer in self.layers.items()]
