"""transformers' networks that look at pictures, as an engine runs them: CLIP's image tower, and estimators of depth."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfumato.network.spec import Input, NetworkSpec, device_of, own_dtype


def _own(network: Any, pixels: Tensor) -> Tensor:
    return pixels.to(device_of(network), own_dtype(network))


PIXELS = {"pixels": Input(("rows", 3, "height", "width"))}
CLIP_IMAGE = NetworkSpec(PIXELS, lambda network, pixels: network(_own(network, pixels)).image_embeds)
"""`CLIPVisionModelWithProjection`: (rows, projection_dim)."""
DEPTH = NetworkSpec(PIXELS, lambda network, pixels: network(_own(network, pixels)).predicted_depth)
"""`DPTForDepthEstimation`: inverse depth (rows, height, width)."""
