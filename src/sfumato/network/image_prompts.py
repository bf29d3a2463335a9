"""Pictures in cross-attention: keys and values of their own beside the text's (Ye et al. 2023, IP-Adapter, eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sfumato.network.attention_maps import attended, entered
from sfumato.network.residuals import at_places


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """What a picture is to each module of cross-attention that looks at it.

    tokens, empty (1, L, D): the picture's, and those of no picture. layers: (W_K, W_V) of modules by their names. mask
    (1, 1, H, W) in [0, 1]: the places that look at it.
    """

    tokens: Tensor
    empty: Tensor
    layers: Mapping[str, tuple[Tensor, Tensor]]
    mask: Tensor | None = None

    def __call__(self, name: str, module: Any, hidden: Tensor, empty: Tensor) -> Tensor:
        """What the module called `name` adds to its answer for `hidden` (R, N, C): Attn(Q, K', V') W_out, without bias.

        empty (R,), bool: the rows that look at no picture.
        """
        tokens = torch.where(empty[:, None, None].to(hidden.device), self.empty, self.tokens)
        keys, values = (functional.linear(tokens, weight) for weight in self.layers[name])
        q, k, v = (
            a.unflatten(-1, (module.heads, -1)).transpose(1, 2) for a in (self._query(module, hidden), keys, values)
        )
        inner = attended((q.float() @ k.float().transpose(-1, -2) * module.scale).softmax(-1), v)
        out = functional.linear(inner, module.to_out[0].weight) / module.rescale_output_factor
        return out if self.mask is None else out * at_places(self.mask, out.shape[1]).to(out)

    def _query(self, module: Any, hidden: Tensor) -> Tensor:
        q = module.to_q(entered(module, hidden))
        return q if module.norm_q is None else module.norm_q(q)
