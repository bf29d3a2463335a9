"""Networks that see a picture, from the image_encoder/ of a folder: a CLIP, a SigLIP."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.encoder_config import check_encoder_fields
from sfumato.formats.folder import read_json
from sfumato.network.reading import check_weights, hushed, reason
from sfumato.picture.errors import BadInput, name_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


def siglip(folder: Path, picture: Image.Image, states: Callable[[Any], Tensor]) -> Tensor:
    """What the SigLIP in image_encoder/ answers for a picture: those of its states that `states` takes."""
    encoder, process = image_encoder(folder / "image_encoder", "SiglipVisionModel")
    pixels = process(picture.convert("RGB"), return_tensors="pt").pixel_values
    with torch.no_grad():
        return states(encoder(pixels, output_hidden_states=True))


@lru_cache(maxsize=2)
def image_encoder(folder: Path, kind: str) -> tuple[Any, Any]:
    """A transformers network of that class, and what makes its pixels of a picture."""
    import transformers
    from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

    what = f"image encoder in {name_of(folder)}"
    if not (folder / "config.json").is_file():
        raise BadInput(f"There is no image encoder in {name_of(folder)}: put the adapter's image_encoder/ there.")
    config = read_json(folder / "config.json")
    tower = config.get("vision_config")
    check_encoder_fields(getattr(transformers, kind).config_class, tower if isinstance(tower, dict) else config, what)
    try:
        with hushed():
            encoder, info = getattr(transformers, kind).from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
        side = encoder.config.image_size
        square = {"height": side, "width": side}
        if kind == "SiglipVisionModel":
            process: Any = SiglipImageProcessorPil(size=square)
        else:
            process = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
    beside = ("text_model.", "logit_")  # of a file that holds a whole SigLIP
    info["unexpected_keys"] = [key for key in info.get("unexpected_keys") or () if not str(key).startswith(beside)]
    check_weights(info, what)
    return encoder.eval().requires_grad_(False), process
