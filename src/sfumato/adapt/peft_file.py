"""Files of diffusers: peft's tensors by the part of the model, and peft's configs in the header.

    unet.down_blocks.1.attentions.0...attn2.to_k.lora_A.weight, .lora_B.weight, .lora_magnitude_vector
    text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight

`lora_adapter_metadata` is a JSON of {"unet.r": ..., "unet.lora_alpha": ..., "unet.rank_pattern": {layer: rank}, ...}.
Stock `load_lora_weights` reads LoRA and DoRA of it, a network's `load_lora_adapter` LoKr too, and peft LoHa with the
config.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.adapt.families import FAMILIES, Family
from sfumato.adapt.fused import by_layer
from sfumato.adapt.kohya_file import Written
from sfumato.adapt.layers import Change
from sfumato.adapt.names import kohya_names
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG = "lora_adapter_metadata"


def diffusers(changes: Sequence[Change], networks: Mapping[str, nn.Module], name: str) -> Written:
    """The tensors of diffusers' file, and its header. Raises BadInput for what peft has no names for."""
    found: dict[str, Tensor] = {}
    said: dict[str, Any] = {}
    for part in dict.fromkeys(change.part for change in changes):
        network = networks[part]
        own = list(by_layer([change for change in changes if change.part == part], network, name).values())
        tensors, config = _part(part, own, network, name)
        found |= tensors
        said |= {f"{part}.{key}": value for key, value in config.items()}
    return found, {CONFIG: json.dumps(said, indent=2, sort_keys=True)}


def _part(part: str, changes: Sequence[Change], network: Any, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    family = _family(part, changes, name)
    weights = [network.get_submodule(change.pieces[0].layer).weight for change in changes]
    try:
        whole = [family.as_peft(change.tensors, weight) for change, weight in zip(changes, weights, strict=True)]
        options = family.peft_options([tensors for tensors, _, _ in whole], weights)
    except ValueError as error:
        raise BadInput(f"{name} is no adapter of peft's in {part}: {error}.") from None
    read = part.startswith("text_encoder")
    names = kohya_names(network) if read else {}
    found, ranks, alphas = {}, {}, {}
    for change, (tensors, rank, alpha) in zip(changes, whole, strict=True):
        layer = names.get(change.pieces, change.pieces[0].layer)  # CLIP's with the text_model. that older versions have
        strange = tensors.keys() - family.peft.keys() - {"alpha"}
        if strange:
            raise BadInput(f"{name} has a {strange.pop()} in {printable(layer, 100)}, for which peft has no name.")
        found |= {f"{part}.{layer}{family.peft[key]}": each for key, each in tensors.items() if key != "alpha"}
        ranks[layer.removeprefix("text_model.")], alphas[layer.removeprefix("text_model.")] = rank, alpha
    begin = "" if read else "^"
    most, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    return found, {
        "peft_type": family.peft_kind,
        "r": most,
        "lora_alpha" if family is FAMILIES["lora"] else "alpha": alpha,
        "rank_pattern": {begin + layer: rank for layer, rank in ranks.items() if rank != most},
        "alpha_pattern": {begin + layer: own for layer, own in alphas.items() if own != alpha},
        "target_modules": sorted(ranks),
        **options,
    }


def _family(part: str, changes: Sequence[Change], name: str) -> Family:
    """The one that all changes of a part are of, as peft has it."""
    kinds = {kind for kind, family in FAMILIES.items() for change in changes if change.family is family}
    if strange := sorted(kind for kind in kinds if not FAMILIES[kind].peft_kind):
        raise BadInput(
            f"{name} has changes of the family {strange[0]}, which peft has no names for: `sfumato extract` makes the "
            "nearest LoRA of it, and kohya's and LyCORIS' tools read --to lycoris."
        )
    if len(kinds) > 1:
        raise BadInput(f"{name} mixes {' and '.join(sorted(kinds))} in {part}, of which peft has one at a time.")
    return FAMILIES[kinds.pop()]
