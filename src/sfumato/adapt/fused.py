"""Layers that are one in some files, as queries, keys and values of FLUX: LoRAs of them taken apart, and put together.

One B A of the fused layer is, of each layer in it, that layer's rows of B, and A. Several B_i A_i are one, the B_i
on the diagonal and the A_i one below the other; where they share A, the B_i one below the other. Each undoes the other,
bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sfumato.adapt.families import FAMILIES, Tensors
from sfumato.adapt.families.family import scale
from sfumato.adapt.layers import Change
from sfumato.adapt.names import Piece
from sfumato.lazy import torch
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn


def is_whole(change: Change) -> bool:
    """Whether a change is that of one layer, and of all of it."""
    return change.pieces == (Piece(change.pieces[0].layer),)


def apart(change: Change, network: nn.Module, name: str) -> list[Change]:
    """A change of layers that are one in the file called `name`, as a change of each. Raises BadInput where it can't be
    divided."""
    if is_whole(change):
        return [change]
    _check(change, network, name)
    rows = _rows(change.pieces, network)
    up = change.tensors["up"].flatten(1)
    used = {layer: (up[index] != 0).any(0) for layer, index in rows.items()}
    found = []
    for layer, index in rows.items():
        others = torch.stack([each for other, each in used.items() if other != layer] or [used[layer]])
        kept = used[layer] | ~others.any(0)  # what another layer alone has is not this one's
        if not kept.any() and not change.tensors.keys() & {"magnitude", "up_bias"}:
            continue
        kept[0] |= not kept.any()
        rank = len(kept)
        tensors = {
            **change.tensors,
            "down": change.tensors["down"][kept],
            "up": change.tensors["up"][index][:, kept],
        }
        tensors |= {key: change.tensors[key][index] for key in ("magnitude", "up_bias") if key in change.tensors}
        if "alpha" in tensors:
            tensors["alpha"] = tensors["alpha"] * int(kept.sum()) / rank
        found.append(Change(change.part, (Piece(layer),), change.family, tensors, change.found))
    return found


def by_layer(changes: Sequence[Change], network: nn.Module, name: str) -> dict[str, Change]:
    """The changes of each layer. Raises BadInput where there are two of one, which no format holds."""
    found: dict[str, Change] = {}
    for each in (each for change in changes for each in apart(change, network, name)):
        layer = each.pieces[0].layer
        if layer in found:
            raise BadInput(f"{name} changes {printable(layer, 100)} twice, which no format of other tools holds.")
        found[layer] = each
    return found


def joined(changes: Mapping[str, Change], pieces: Sequence[Piece], network: nn.Module, name: str) -> Change:
    """Changes of layers, by their names, as one of the layer that all of `pieces` are. Raises BadInput where they can't
    be one."""
    rows = _rows(pieces, network)
    for change in changes.values():
        _check(change, network, name)
    if 0 < sum("magnitude" in each.tensors for each in changes.values()) < len(rows):
        raise BadInput(f"{name} has magnitudes (DoRA) for some of {_listed(rows)} alone, which are one layer there.")
    first = next(iter(changes.values()))
    scales = {layer: scale(each.tensors, len(each.tensors["down"])) for layer, each in changes.items()}
    times = scales[next(iter(changes))]
    shared = all(
        scales[layer] == times and torch.equal(each.tensors["down"], first.tensors["down"])
        for layer, each in changes.items()
    )
    downs = [first.tensors["down"]] if shared else [each.tensors["down"] for each in changes.values()]
    down = torch.cat(downs)
    outputs, begin = sum(map(len, rows.values())), 0
    up = torch.zeros(outputs, len(down), *first.tensors["up"].shape[2:], dtype=first.tensors["up"].dtype)
    beside: dict[str, Tensor] = {}
    for layer, change in changes.items():
        own = change.tensors["up"] if scales[layer] == times else change.tensors["up"] * (scales[layer] / times)
        up[rows[layer], begin : begin + own.shape[1]] = own.to(up.dtype)
        begin += 0 if shared else own.shape[1]
        for key in ("magnitude", "up_bias"):
            if key in change.tensors:
                value = change.tensors[key]
                whole = beside.setdefault(key, torch.zeros(outputs, *value.shape[1:], dtype=value.dtype))
                whole[rows[layer]] = value
    tensors: Tensors = {"down": down, "up": up, **beside}
    if any("alpha" in each.tensors for each in changes.values()) or times != 1:
        kind = next((each.tensors["alpha"] for each in changes.values() if "alpha" in each.tensors), torch.zeros(()))
        tensors = {**tensors, "alpha": torch.tensor(times * len(down), dtype=kind.dtype)}
    return Change(first.part, tuple(pieces), first.family, tensors, first.found)


def _rows(pieces: Sequence[Piece], network: nn.Module) -> dict[str, Tensor]:
    """Where the outputs of each layer stand among those of all pieces, in the layer's own order."""
    found: dict[str, Tensor] = {}
    begin = 0
    for piece in pieces:
        outputs = len(network.get_submodule(piece.layer).weight)  # type: ignore[arg-type]
        own = piece.rows(outputs)
        where = found.setdefault(piece.layer, torch.full((outputs,), -1))
        where[own] = torch.arange(begin, begin + own.stop - own.start)
        begin += own.stop - own.start
    return found


def _check(change: Change, network: nn.Module, name: str) -> None:
    layer = f"{change.part}.{change.pieces[0].layer}"
    magnitude = change.tensors.get("magnitude")
    if change.family is not FAMILIES["lora"] or "mid" in change.tensors:
        raise BadInput(f"{name} has another adapter than a LoRA where {printable(layer, 100)} is fused with others.")
    if magnitude is not None and len(magnitude) != len(change.tensors["up"]):
        raise BadInput(f"{name} has magnitudes of inputs (DoRA) where {printable(layer, 100)} is fused with others.")


def _listed(rows: Mapping[str, Tensor]) -> str:
    return printable(", ".join(rows), 200)
