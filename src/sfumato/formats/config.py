"""`config.json` of a network: understood to the last field before anything is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sfumato.picture.errors import BadInput, printable

LAYERS, LISTED, LARGEST = 512, 64, 1 << 24


def check_sizes(config: Mapping[str, Any], where: str) -> None:
    """Raises BadInput for numbers that no network has: building it would take all memory, or for ever."""
    for field, value in config.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > LISTED and "block" in field:
            raise BadInput(f"The {where} has {len(values)} {field}: at most {LISTED} are read.")
        for number in values:
            most = LAYERS if "layer" in field and "norm" not in field else LARGEST
            if isinstance(number, int) and not isinstance(number, bool) and abs(number) > most:
                raise BadInput(f"The {where} asks for {field} {number:,}: at most {most:,} are read.")


def check_fields(kind: type, config: Mapping[str, Any], where: str, neutral: Mapping[str, Any]) -> None:
    """Raises BadInput for a field that the class `kind` does not know, and for one of `neutral` that is not."""
    known = inspect.signature(kind.__init__).parameters
    for field, value in config.items():
        if not field.startswith("_") and field not in known and value is not None:
            raise BadInput(f"The {where} has the field {printable(repr(field), 60)}, which no {kind.__name__} has.")
    for field, wanted in neutral.items():
        value = config.get(field, wanted)
        if value != wanted:
            raise BadInput(
                f"The {where} has {field} {printable(repr(value), 60)}; accepted is {wanted!r}, with which it is told "
                "nothing else."
            )


LEGACY = {"ada_norm_zero": "DiTTransformer2DModel", "ada_norm_single": "PixArtTransformer2DModel"}
"""What diffusers' old Transformer2DModel is now, by its `norm_type`: the published DiT and PixArt are called so."""
FORMERLY = {"double_self_attention": False, "only_cross_attention": False, "use_linear_projection": False,
            "num_vector_embeds": None}  # fmt: skip
"""Fields that it had and they have not, and the values with which they say nothing."""


def as_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config under today's name of its class, without old fields that say nothing."""
    now = LEGACY.get(str(config.get("norm_type")))
    if config.get("_class_name") != "Transformer2DModel" or now is None:
        return dict(config)
    kept = {key: value for key, value in config.items() if key not in FORMERLY or value != FORMERLY[key]}
    return {**kept, "_class_name": now}


U_NET: Mapping[str, Any] = {
    "class_embed_type": None,
    "num_class_embeds": None,
    "addition_embed_type": None,
    "encoder_hid_dim_type": None,
    "encoder_hid_dim": None,
    "class_embeddings_concat": False,
    "time_embedding_type": "positional",
    "attention_type": "default",
}
"""Fields of UNet2DConditionModel that are inputs of their own: SDXL's sizes, a level of noise, image prompts."""

FLUX: Mapping[str, Any] = {"patch_size": 1}
"""Of FluxTransformer2DModel, which is given tokens."""

AUTOENCODER: Mapping[str, Any] = {"latents_mean": None, "latents_std": None}
