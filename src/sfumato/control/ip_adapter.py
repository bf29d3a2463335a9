"""IP-Adapter: Ye et al. 2023, "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models"."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sfumato.control.control import Control, Shown
from sfumato.element import Listed, element


@element("ip-adapter")
class IPAdapter(Shown, Control):
    """Attention to words looks at a picture too, through keys and values of its own: Z = Attn(Q, K, V) + weight
    Attn(Q, K', V') (eq. 5 of the paper). K' and V' are made of what an image encoder answers for the picture. Of
    U-Nets, FLUX.1 and Stable Diffusion 3; and FLUX.1 Redux, which makes words of the picture.

    net: a folder with the adapter's weights (ip_adapter.safetensors, or any one .safetensors) and image_encoder/, a
    CLIPVisionModelWithProjection (for Stable Diffusion 3 a SiglipVisionModel); or FLUX.1 Redux's folder. blocks: the
    parts of the network in which it acts, as ("up.1",) for its style alone, of a transformer ("transformer.0",), each
    with a weight of its own where one is said, as ("down.2=0.5", "up.1=1.5"), of which the most special counts;
    everywhere without any. The unconditional rows look at the embedding of no picture.
    """

    blocks: Listed[str] = Field(
        default=(), max_length=64, description="names of blocks, as down.1+mid+up.1=0.5, or nothing"
    )

    takes, steers = "image tokens", "ImagePrompts"
    part = "ip_adapter"

    def bind(self, batch: Any) -> Any:
        adapter = batch.network(self.net, self.part)
        mask = None if self.mask is None else batch.control_mask(self.mask)
        painter = batch.stage.networks[batch.stage.painter]
        return adapter.of(batch.fetched(self.picture), painter, self.blocks, mask)
