"""IP-Adapter FaceID's files: LoRA layers by the number of the attention that they are in, beside what makes an image
prompt of a face's embedding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

LAYER = re.compile(r"ip_adapter\.(\d+)\.(to_\w+_lora\.(?:down|up)\.weight)")
BEGINS = ("image_proj.", "ip_adapter.")


def of_faces(found: Any, networks: Mapping[str, nn.Module]) -> Any:
    """The contents of a file, those of a FaceID's by the names of the U-Net's attention and without the image prompt;
    any other file's as they are."""
    layers = {key: match for key in found.tensors if (match := LAYER.fullmatch(key))}
    attention = list(getattr(networks.get("unet"), "attn_processors", ()))
    if not layers or any(int(match[1]) >= len(attention) for match in layers.values()):
        return found
    named = {f"unet.{attention[int(match[1])]}.{match[2]}": found.tensors[key] for key, match in layers.items()}
    others = {key: value for key, value in found.tensors.items() if not key.startswith(BEGINS)}
    return found._replace(tensors={**others, **named})
