"""Networks that see a picture, from the image_encoder/ of a folder: a CLIP, a SigLIP."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.tensor_file import PICKLES, open_tensors
from sfumato.network.reading import check_weights, hushed, reason
from sfumato.network.spec import device_of, own_dtype
from sfumato.picture.errors import BadInput, name_of
from sfumato.zoo.find import pickles_allowed

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


def tensors_of(file: Path, what: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    if file.suffix in PICKLES:
        opened = open_tensors(file, pickles_allowed())
        return {name: opened[name] for name in opened.shapes}
    try:
        return load_file(file)
    except Exception as error:
        raise BadInput(f"The {what} {name_of(file)} can't be read: {reason(error)}") from error


def as_network(value: Any, network: Any) -> Any:
    """Where the network computes, and in its number type."""
    return value.to(device_of(network), own_dtype(network))
