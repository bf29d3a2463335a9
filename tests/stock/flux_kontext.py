"""FLUX.1 Kontext, which looks at a picture; `CALL` needs one as `image`, of `SIZE`, and leaves it as it is."""

from __future__ import annotations

from typing import Any

from . import flux

NAME = "flux"
SIZE = flux.SIZE
CALL: dict[str, Any] = {"guidance_scale": 2.5, "_auto_resize": False, "max_area": SIZE[0] * SIZE[1]}


def build() -> Any:
    return flux.build("FluxKontextPipeline")
