"""FLUX.1 Kontext, which looks at a picture; `CALL` needs one as `image`, of `SIZE`, and leaves it as it is."""

from __future__ import annotations

from typing import Any

from . import flux

NAME = "flux"
SIZE = flux.SIZE
CALL: dict[str, Any] = {"guidance_scale": 2.5, "_auto_resize": False, "max_area": SIZE[0] * SIZE[1]}


def build() -> Any:
    return flux.build("FluxKontextPipeline")


def guided(edit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ours and stock's pipeline of an edit are told of guidance."""
    from sfumato.guide import ClassifierFree, Distilled
    from stock.edits import photo

    told = {"images": [photo(SIZE)], "guidance": [Distilled(2.5), ClassifierFree(2.0)], "negative": "a dog"}
    return told, {"image": photo(SIZE), "negative_prompt": "a dog", "true_cfg_scale": 2.0, **CALL}


def parity(theirs: Any, ours: Any, true: float = 2.0) -> float:
    from sfumato.guide import ClassifierFree, Distilled
    from stock.compare import error, ran, shown, stock
    from stock.edits import photo

    guidance = [Distilled(2.5), *([ClassifierFree(true)] if true != 1 else [])]
    said = {"images": [photo(SIZE)], "guidance": guidance, "negative": "a dog", "steps": 4, "seed": 3}
    size = {"width": SIZE[0], "height": SIZE[1]}
    start, end = ran(ours, "make it red", **said, **size)
    asked = {"negative_prompt": "a dog", "true_cfg_scale": true, "num_inference_steps": 4, **CALL, **size}
    latents = start[:, : start.shape[1] // 2]
    return error(shown(ours, end), stock(theirs, photo(SIZE), "make it red", latents=latents, **asked))
