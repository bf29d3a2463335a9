"""For which family of models a file was made, told from its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sfumato.picture.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

TEXTS = {
    768: "Stable Diffusion 1",
    1024: "Stable Diffusion 2",
    2048: "Stable Diffusion XL",
    1280: "Stable Diffusion XL's refiner",
}
CLASSES = {
    "FluxTransformer2DModel": "FLUX.1", "Flux2Transformer2DModel": "FLUX.2",
    "SD3Transformer2DModel": "Stable Diffusion 3",
    "QwenImageTransformer2DModel": "Qwen-Image", "ZImageTransformer2DModel": "Z-Image",
}  # fmt: skip
_DOWN = re.compile(r"lora_down|lora_A|lora\.down|_lora\.down|\.diff$|w1_b")
_KEYS = re.compile(r"attn2[._](?:processor[._])?to_k")


def check_origin(tensors: Mapping[str, Tensor], networks: Mapping[str, nn.Module], name: str) -> None:
    """Raises BadInput where the file called `name` was made for another family of models than these networks are of."""
    file, model = of_file(tensors), of_model(networks)
    both = (file, model) == ("FLUX.1", "FLUX.2")  # whose blocks have the same names
    if file and model and file != model and not both:
        raise BadInput(f"{name} was made for {file}, and this model is {model}: give one that was made for it.")


def of_file(tensors: Mapping[str, Tensor]) -> str:
    """The family; "" where it can't be told."""
    keys = " ".join(tensors)
    if "stream_modulation" in keys:
        return "FLUX.2"
    if "double_blocks" in keys or "single_transformer_blocks" in keys:
        return "FLUX.1"
    if "joint_blocks" in keys:
        return "Stable Diffusion 3"
    widths = [
        tensor.shape[-1 if tensor.ndim == 2 else 1]
        for key, tensor in tensors.items()
        if tensor.ndim >= 2 and _KEYS.search(key) and _DOWN.search(key)
    ]
    numbered = [tensor.shape[1] for key, tensor in tensors.items() if re.fullmatch(r"unet:\d+:down", key)]
    if numbered:
        widths = [768] if 768 in numbered else [1024] if 1024 in numbered else []
    if not widths:
        return "Stable Diffusion XL" if "lora_te2_" in keys or "text_encoder_2." in keys else ""
    return TEXTS.get(widths[0], f"a network that is told texts {widths[0]} wide")


def of_model(networks: Mapping[str, nn.Module]) -> str:
    """The family; "" where it can't be told."""
    for network in networks.values():
        if (name := CLASSES.get(type(network).__name__)) is not None:
            return name
    config = getattr(networks.get("unet"), "config", None)
    width = None if config is None else dict(config).get("cross_attention_dim")
    return TEXTS.get(width, f"a network that is told texts {width} wide") if isinstance(width, int) else ""
