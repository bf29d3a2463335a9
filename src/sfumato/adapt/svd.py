"""Low-rank adapters out of whole differences, by singular value decomposition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.adapt.families import FAMILIES, adapted
from sfumato.adapt.names import Piece
from sfumato.adapt.write import write
from sfumato.lazy import torch
from sfumato.network.spec import PAINTERS
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.adapt.layers import Change


@dataclass(frozen=True)
class Extracted:
    """layers: how many have a difference. kept: the share of its squared entries that the rank holds, 0 to 1. other:
    weights that differ and that no LoRA can hold: biases, norms and embeddings."""

    layers: int
    kept: float
    other: tuple[str, ...]


def halves(difference: Tensor, rank: int) -> tuple[dict[str, Tensor], float, float]:
    """The B A of that rank that is nearest to a difference (out, in, ...), its squared length, and the difference's.

    B = U sqrt(S), A = sqrt(S) V^T of the largest singular values (Eckart and Young 1936).
    """
    U, S, V = torch.linalg.svd(difference.float().flatten(1), full_matrices=False)
    rank = min(rank, len(S))
    root = S[:rank].sqrt()
    kernel = difference.shape[2:]
    down = (root[:, None] * V[:rank]).reshape(rank, difference.shape[1], *kernel)
    up = (U[:, :rank] * root).reshape(len(difference), rank, *[1] * len(kernel))
    return {"down": down, "up": up}, float(S[:rank].square().sum()), float(S.square().sum())


def extract(base: Mapping[str, nn.Module], tuned: Mapping[str, nn.Module], rank: int, path: Path) -> Extracted:
    """Writes the LoRA of that rank that turns networks into others of the same shapes, as nearly as it can.

    Raises BadInput where their shapes differ, and where nothing differs.
    """
    layers: dict[tuple[str, str], dict[str, Tensor]] = {}
    other: list[str] = []
    kept = whole = 0.0
    for part, network in base.items():
        if part in tuned and (part in PAINTERS or part.startswith("text_encoder")):
            for name, difference, is_layer in _differences(part, network, tuned[part]):
                if not is_layer:
                    other.append(f"{part}.{name}")
                    continue
                layers[part, name.removesuffix(".weight")], some, all_of_it = halves(difference, rank)
                kept, whole = kept + some, whole + all_of_it
    if not layers:
        raise BadInput("The two models have the same weights in every layer: there is nothing to extract.")
    header = {"ss_network_dim": str(rank), "ss_network_alpha": str(rank)}
    write(path, FAMILIES["lora"], layers, base, header)
    return Extracted(len(layers), kept / whole, tuple(other))


def _differences(part: str, base: Any, tuned: Any) -> Iterator[tuple[str, Tensor, bool]]:
    """Each weight that differs: its name, the difference, and whether it is that of a layer which a LoRA changes."""
    theirs = tuned.state_dict()
    layers = {
        f"{name}.weight"
        for name, module in base.named_modules()
        if hasattr(module, "in_features") or hasattr(module, "in_channels")
    }
    for name, weight in base.state_dict().items():
        if name not in theirs or theirs[name].shape != weight.shape:
            raise BadInput(
                f"The {part} of the two models is not the same network: {printable(name, 80)} differs in shape."
            )
        if not torch.equal(weight, theirs[name]):
            yield name, theirs[name].float() - weight.float(), name in layers


def resize(changes: Sequence[Change], networks: Mapping[str, nn.Module], rank: int, path: Path) -> Extracted:
    """Writes adapters of any family as one LoRA of that rank: of each layer the nearest there is."""
    layers: dict[tuple[str, str], dict[str, Tensor]] = {}
    kept = whole = 0.0
    for change in changes:
        piece = change.pieces[0]
        if len(change.pieces) > 1 or piece != Piece(piece.layer):
            raise BadInput(
                f"{printable(change.part, 40)}.{piece.layer} is a part of a fused layer, which is not resized."
            )
        weight: Any = networks[change.part].get_submodule(piece.layer).weight
        delta = adapted(change.family, change.tensors, weight.detach().float())
        if delta is None:
            continue
        found, some, all_of_it = halves(delta, rank)
        layers[change.part, piece.layer] = found
        kept, whole = kept + some, whole + all_of_it
    header = {"ss_network_dim": str(rank), "ss_network_alpha": str(rank)}
    write(path, FAMILIES["lora"], layers, networks, header)
    return Extracted(len(layers), kept / whole if whole else 1.0, ())
