"""Files of kohya's scripts (sd-scripts) and of LyCORIS: layers with underscores for dots, and an alpha beside each.

    lora_unet_down_blocks_1_attentions_0_..._to_k.lora_down.weight, .lora_up.weight, .alpha
    lora_te_text_model_encoder_layers_0_self_attn_q_proj...; of models with several text encoders lora_te1_, lora_te2_

kohya's scripts read LoRA, LoHa and LoKr, and pass over what they don't know without a word. LyCORIS, which may train
within them, has more endings for the same names; A1111's web page, ComfyUI and others read both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.adapt.families import FAMILIES
from sfumato.adapt.fused import by_layer, joined
from sfumato.adapt.layers import Change
from sfumato.adapt.names import flat, kohya_names
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

READ = {"lora": "networks.lora", "loha": "networks.loha", "lokr": "networks.lokr"}
"""The families that kohya's scripts read, and their modules."""
Written = tuple[dict[str, "Tensor"], dict[str, str]]


def kohya(changes: Sequence[Change], networks: Mapping[str, nn.Module], name: str) -> Written:
    """The tensors of kohya's file, and its header. Raises BadInput for what his scripts would not read."""
    for change in changes:
        if not is_kohyas(change):
            more = "magnitudes (DoRA)" if "magnitude" in change.tensors else "differences of biases"
            what = more if _kind(change) in READ else f"the family {_kind(change)}"
            raise BadInput(
                f"{name} has {what}, which kohya's scripts would not read: --to lycoris writes it under the same "
                "names, as A1111's web page and ComfyUI read it."
            )
    plain = [_replaced(change, change.family.without_cores(change.tensors)) for change in changes]
    kinds = {_kind(change) for change in changes}
    module = READ[kinds.pop()] if len(kinds) == 1 else "networks.lora"
    return _tensors(plain, networks, name), {"ss_network_module": module, **_sizes(plain)}


def is_kohyas(change: Change) -> bool:
    """Whether kohya's scripts read such a change."""
    return _kind(change) in READ and not change.tensors.keys() & {"magnitude", "diff_b"}


def lycoris(changes: Sequence[Change], networks: Mapping[str, nn.Module], name: str) -> Written:
    """The tensors of LyCORIS' file, and its header."""
    kinds = {_kind(change) for change in changes}
    args = {"algo": kinds.pop()} if len(kinds) == 1 else {}
    if any("magnitude" in change.tensors for change in changes):
        args["dora_wd"] = "True"
    header = {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps(args), **_sizes(changes)}
    return _tensors(changes, networks, name), header


def prefixes(networks: Mapping[str, nn.Module]) -> dict[str, str]:
    """How the names of a part's layers begin."""
    found = {part: "lora_unet_" for part in networks if not part.startswith("text_encoder")}
    readers = [part for part in networks if part.startswith("text_encoder")]
    for part in readers:
        t5 = type(networks[part]).__name__.startswith("T5")
        number = "3" if t5 else "2" if part.endswith("_2") else "1"
        found[part] = "lora_te_" if readers == ["text_encoder"] else f"lora_te{number}_"
    return found


def _tensors(changes: Sequence[Change], networks: Mapping[str, nn.Module], name: str) -> dict[str, Tensor]:
    begins, found = prefixes(networks), {}
    for part in dict.fromkeys(change.part for change in changes):
        own = [change for change in changes if change.part == part]
        for layer, change in _named(own, networks[part], name):
            stem = begins[part] + flat(layer)
            found |= {stem + ending: each for ending, each in _endings(change, networks[part], name)}
    return found


def _named(changes: Sequence[Change], network: nn.Module, name: str) -> list[tuple[str, Change]]:
    """The changes by kohya's names; those of layers that are one there put together."""
    names = kohya_names(network)
    found = [(names[change.pieces], change) for change in changes if change.pieces in names]
    rest = [change for change in changes if change.pieces not in names]
    layers = by_layer(rest, network, name)
    for pieces, layer in names.items():
        own = {piece.layer: layers.pop(piece.layer) for piece in pieces if piece.layer in layers}
        if own:
            found.append((layer, joined(own, pieces, network, name)))
    if twice := [layer for layer, count in Counter(layer for layer, _ in found).items() if count > 1]:
        raise BadInput(f"{name} changes {printable(twice[0], 100)} twice, which no format of other tools holds.")
    if layers:
        raise BadInput(f"{name} changes {printable(next(iter(layers)), 100)}, for which kohya's files have no name.")
    return found


def _endings(change: Change, network: nn.Module, name: str) -> list[tuple[str, Tensor]]:
    """How the keys of a change end, and their tensors."""
    module: Any = network.get_submodule(change.pieces[0].layer)
    endings = {"diff_b": ".diff_b", "magnitude": ".dora_scale", **change.family.written}
    if module.weight.ndim == 1:
        endings |= {"diff": ".w_norm", "diff_b": ".b_norm"}
    found = []
    for key, tensor in change.tensors.items():
        if key not in endings:
            raise BadInput(
                f"{name} has a {key} in {printable(change.pieces[0].layer, 100)}, for which there is no key."
            )
        if key == "magnitude" and tensor.ndim == 1:
            tensor = tensor.reshape(-1, *[1] * (module.weight.ndim - 1))
        found.append((endings[key], tensor))
    return found


def _kind(change: Change) -> str:
    return next(kind for kind, family in FAMILIES.items() if family is change.family)


def _replaced(change: Change, tensors: Mapping[str, Tensor]) -> Change:
    return Change(change.part, change.pieces, change.family, tensors, change.found)


def _sizes(changes: Sequence[Change]) -> dict[str, str]:
    """Rank and alpha, where all layers have the same."""
    ranks = {change.family.rank(change.tensors) for change in changes}
    alphas = {float(change.tensors.get("alpha", change.family.rank(change.tensors))) for change in changes}
    said = {"ss_network_dim": ranks, "ss_network_alpha": alphas}
    return {key: f"{next(iter(found)):g}" if len(found) == 1 else "Dynamic" for key, found in said.items()}
