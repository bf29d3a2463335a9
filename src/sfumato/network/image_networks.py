"""transformers' networks that look at pictures, as an engine runs them: CLIP's image tower, and estimators of depth."""

from __future__ import annotations

from sfumato.network.spec import Input, NetworkSpec, as_network

PIXELS = {"pixels": Input(("rows", 3, "height", "width"))}
CLIP_IMAGE = NetworkSpec(PIXELS, lambda network, pixels: network(as_network(pixels, network)).image_embeds)
"""`CLIPVisionModelWithProjection`: (rows, projection_dim)."""
DEPTH = NetworkSpec(PIXELS, lambda network, pixels: network(as_network(pixels, network)).predicted_depth)
"""`DPTForDepthEstimation`: inverse depth (rows, height, width)."""
