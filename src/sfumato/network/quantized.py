"""Networks whose weights are stored in few bits: as GGUF's blocks, or by bitsandbytes (4 or 8 bits, on a GPU)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor

GGUF = "_in_blocks"
"""The attribute of networks that compute with GGUF's blocks."""
METHOD = "bitsandbytes"
BITS = ("Params4bit", "Int8Params")
"""The classes of its weights."""


def check_quantized(config: Mapping[str, Any], what: str) -> bool:
    """Whether a network's config says that its weights are quantised. Raises BadInput where they can't be read: by a
    method that is not here, or without the library or the GPU that it needs."""
    said = config.get("quantization_config")
    if not said:
        return False
    method = str(said.get("quant_method", "")) if isinstance(said, Mapping) else str(said)
    if not method.startswith(METHOD):
        raise BadInput(
            f"The weights of the {what} are quantised by {printable(method, 60) or 'an unnamed method'}; accepted are "
            f"{METHOD} in a folder and GGUF in a file."
        )
    if find_spec(METHOD) is None:
        raise BadInput(
            f"The weights of the {what} are quantised by {METHOD}: install it with pip install 'sfumato[quantized]', "
            "or take a folder whose weights are not."
        )
    if not torch.cuda.is_available():
        raise BadInput(
            f"The weights of the {what} are quantised by {METHOD}, which needs a GPU, and there is none here: take a "
            "folder whose weights are not, or a GGUF file."
        )
    return True


def is_quantized(network: Any) -> bool:
    return GGUF in vars(network) or getattr(network, "is_quantized", False) is True


def plain(weight: Tensor) -> Tensor:
    """The numbers of a weight, those of blocks computed from them. Raises BadInput for those of bitsandbytes."""
    if type(weight).__name__ in BITS:
        raise BadInput(
            f"its weights are quantised by {METHOD}, which an adapter can't change: take a GGUF file, or a folder "
            "that is not quantised"
        )
    if not hasattr(weight, "quant_shape"):
        return weight
    if weight.device.type == "meta":
        return torch.empty(weight.quant_shape, device="meta")  # type: ignore[attr-defined]
    from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

    return dequantize_gguf_tensor(weight)
