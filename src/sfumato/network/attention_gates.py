"""A Condition's directives as tensors: what a graph, which has one way whatever it is told, takes as inputs.

| input | shape | what it does nothing at |
|---|---|---|
| `identity` | (R,) bool | False: self-attention stays |
| `active` | (1,) bool | False: cross-attention stays |
| `mapping`, `weight`, `cross` | (1, L, L), (1, L), (1,) | any values, where `active` is False |
| `own` | (1,) bool | False: self-attention stays |

R is 1, or 2 for an edited row behind its companion, whose maps it takes. At those values every answer is the plain one:
it is chosen among two (torch.where), not mixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.condition import AttendedRegions, Attention, Condition, ImagePrompts, Injection, Watched
from sfumato.network.attention_directives import Change, chosen, cross_attention, each_itself, pairs, self_attention
from sfumato.network.attention_maps import attended, injected, left, maps_and_values


@dataclass(frozen=True)
class Gates:
    """What is asked of attention in the `rows` of a condition: one of them, or a companion and the row that is edited.

    layers: those of `identity`. within: up to how many places a side self-attention's maps are copied.
    """

    rows: tuple[int, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    within: int = 0

    def changes(self, network: nn.Module) -> Iterator[tuple[nn.Module, Change]]:
        """Hooks, as `attention_directives.directed` sets them."""
        if "mapping" in self.tensors:
            yield from ((module, self._crossed) for module in cross_attention(network).values())
            yield from ((module, self._copied) for module in self_attention(network).values())
        if "identity" in self.tensors:
            yield from ((module, self._perturbed) for module in chosen(network, self.layers))

    def _crossed(self, module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor:
        maps, values = maps_and_values(module, hidden, **named)
        told = (self.tensors[name] for name in ("mapping", "weight", "cross"))
        new = injected(maps[1:], maps[:1], *told)
        return self._second(output, "active", left(module, attended(new, values[1:]), hidden[1:]))

    def _copied(self, module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor | None:
        if hidden.shape[1] > self.within**2:
            return None
        maps, values = maps_and_values(module, hidden)
        return self._second(output, "own", left(module, attended(maps[:1], values[1:]), hidden[1:]))

    def _perturbed(self, module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor:
        return torch.where(_gate(self.tensors["identity"], output), each_itself(module, hidden), output)

    def _second(self, output: Tensor, gate: str, answer: Tensor) -> Tensor:
        return torch.cat([output[:1], torch.where(_gate(self.tensors[gate], output), answer, output[1:])])


def gates_of(condition: Condition | None, rows: int) -> list[Gates] | str:
    """The rows in groups, in each of which nothing is asked of any other, and what is asked there; or, in words, what
    is asked that gates can't say."""
    if condition is None:
        return [Gates((row,)) for row in range(rows)]
    watched, prompts = condition.get(Watched), condition.get(ImagePrompts)
    regions = condition.get(AttendedRegions)
    if regions is not None and len(regions.divided):
        return "its words hold in regions"
    if watched is not None and bool(((watched.slot >= 0) & (condition.branch == 0)).any()):
        return "its attention is watched"
    if prompts is not None and bool((prompts.weight != 0).any()):
        return "it is shown image prompts"
    edits = _edits(condition)
    companions = {companion for companion, _ in edits.values()}
    groups: list[tuple[tuple[int, ...], dict[str, Tensor]]] = []
    for row in range(rows):
        if row in edits:
            companion, tensors = edits[row]
            groups.append(((companion, row), tensors))
        elif row not in companions:
            groups.append(((row,), {}))
    attention, injection = condition.get(Attention), condition.get(Injection)
    within = 0 if injection is None else injection.within
    found: list[Gates] = []
    for each, tensors in groups:
        identity = None if attention is None else attention.identity[list(each)]
        perturbed = identity is not None and attention is not None and bool(identity.any())
        more = {"identity": identity} if perturbed and identity is not None else {}
        layers = attention.layers if perturbed and attention is not None else ()
        found.append(Gates(each, {**tensors, **more}, layers, within if tensors else 0))
    return found


def _edits(condition: Condition) -> dict[int, tuple[int, dict[str, Tensor]]]:
    """The rows that Prompt-to-Prompt edits, each with its companion and its inputs."""
    part = condition.get(Injection)
    if part is None:
        return {}
    active = (part.cross_maps > 0) | (part.weight != 1).any(1)
    edited, companions = (each.tolist() for each in pairs(condition, active | (part.self_maps > 0)))
    return {
        row: (
            companion,
            {
                "mapping": part.mapping[[row]],
                "weight": part.weight[[row]],
                "active": active[[row]],
                "cross": part.cross_maps[[row]].float(),
                "own": part.self_maps[[row]] > 0,
            },
        )
        for row, companion in zip(edited, companions, strict=True)
    }


def _gate(gate: Tensor, like: Tensor) -> Tensor:
    return gate.reshape(-1, *[1] * (like.ndim - 1))
