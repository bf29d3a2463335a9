"""What a Condition's `Attention`, `Injection` and `Watched` ask of a diffusers network, done by hooks for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sfumato.condition import AttendedRegions, Attention, Condition, ImagePrompts, Injection, Part, Watched
from sfumato.network.attention_maps import (
    attended,
    divided,
    entered,
    injected,
    left,
    maps_and_values,
    scores_and_values,
)
from sfumato.network.residuals import at_places
from sfumato.picture import BadInput

_CALL: ContextVar[object] = ContextVar("call", default=None)

Change = Callable[[Any, Tensor, dict[str, Any], Any], Any]
"""(module, the hidden states given to it, what else it was given, its answer) -> another answer, or None."""


DIRECTIVES: tuple[type[Part], ...] = (Attention, Injection, Watched, ImagePrompts, AttendedRegions)


def directives_of(condition: Condition) -> Condition | None:
    """What a condition asks of a network's attention, with its rows; None if it asks for nothing."""
    parts = tuple(part for part in condition.parts if isinstance(part, DIRECTIVES))
    return replace(condition, parts=parts) if parts else None


class Directives(Protocol):
    """What is asked of attention in another form than a Condition's, as `attention_gates.Gates`."""

    def changes(self, network: nn.Module) -> Iterator[tuple[nn.Module, Change]]: ...


@contextmanager
def directed(
    network: nn.Module, condition: Condition | Directives | None, more: Sequence[tuple[nn.Module, Change]] = ()
) -> Iterator[None]:
    """Inside, the network obeys the condition's directives; rows that they leave alone are untouched, to the bit. more:
    further changes of what its modules answer.

    The hooks act in the thread that set them alone: another call of the same network, at the same time, sees nothing.
    """
    if condition is None and not more:
        yield
        return
    call, changes = object(), list(more)
    if condition is not None:
        asked = _changes(network, condition) if isinstance(condition, Condition) else condition.changes(network)
        changes += asked
    handles = [module.register_forward_hook(_during(call, change), with_kwargs=True) for module, change in changes]
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)
        for handle in handles:
            handle.remove()


def _changes(network: nn.Module, condition: Condition) -> Iterator[tuple[nn.Module, Change]]:
    for asked in (_crossings, _copies, _identities, _pictures):
        yield from asked(network, condition)


def self_attention(network: nn.Module) -> dict[str, nn.Module]:
    """The self-attention modules of a diffusers network by name."""
    return {name: module for name, module in _attention(network).items() if not module.is_cross_attention}


def cross_attention(network: nn.Module) -> dict[str, nn.Module]:
    """The modules of a diffusers network that attend to the text, by name."""
    return {name: module for name, module in _attention(network).items() if module.is_cross_attention}


def chosen(network: nn.Module, layers: tuple[str, ...]) -> list[nn.Module]:
    """The self-attention modules in `layers`. Raises BadInput, naming those there are, if a layer has none."""
    modules = self_attention(network)
    found: dict[str, nn.Module] = {}
    for layer in layers:
        prefix = {"mid": "mid_block", "down": "down_blocks", "up": "up_blocks"}.get(layer, layer)
        here = {name: module for name, module in modules.items() if name.startswith(prefix)}
        if not here:
            blocks = sorted({".".join(name.split(".")[: 1 if name.startswith("mid") else 2]) for name in modules})
            has = f"it has some in {', '.join(blocks)}" if blocks else "it has none at all"
            raise BadInput(f"The network has no self-attention in the layer {layer!r}: {has}.")
        found |= here
    return list(found.values())


def pairs(condition: Condition, active: Tensor) -> tuple[Tensor, Tensor]:
    """The edited rows among the `active` ones, and their companions: of the same picture and branch, in their order."""
    part = condition.get(Injection)
    assert part is not None
    names = list(zip(condition.branch.tolist(), condition.picture.tolist(), strict=True))
    companion = {names[row]: row for row in part.source.nonzero()[:, 0].tolist()}
    edited = (active & ~part.source).nonzero()[:, 0].tolist()
    if alone := [names[row][1] for row in edited if names[row] not in companion]:
        raise ValueError(f"Rows of the pictures {alone} are to be edited and have no companion.")
    companions = [companion[names[row]] for row in edited]
    return torch.tensor(edited, dtype=torch.long), torch.tensor(companions, dtype=torch.long)


def each_itself(module: Any, hidden: Tensor) -> Tensor:
    """The module's answer with the identity for its attention map: values go through, each place sees itself alone.

    hidden is (B, N, C), or (B, C, H, W) in networks of pixels; the answer has its shape.
    """
    return left(module, module.to_v(entered(module, hidden)), hidden)


def _crossings(network: nn.Module, condition: Condition) -> Iterator[tuple[nn.Module, Change]]:
    """Cross-attention: each text by itself for the rows that have regions, the companions' maps for those that are
    edited, and what comes of it for the eye."""
    part, watched, regions = condition.get(Injection), condition.get(Watched), condition.get(AttendedRegions)
    edited = source = seen = torch.empty(0, dtype=torch.long)
    if part is not None:
        edited, source = pairs(condition, (part.cross_maps > 0) | (part.weight != 1).any(1))
    if watched is not None:
        seen = ((watched.slot >= 0) & (condition.branch == 0)).nonzero()[:, 0]
    several = seen[:0] if regions is None else regions.divided

    def change(module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor:
        scores, values = scores_and_values(module, hidden, **named)
        apart = None
        if regions is not None and len(several):
            here = several.to(output.device)
            shares = at_places(regions.shares[several].to(scores), scores.shape[2])
            apart = divided(scores[here], regions.lengths, shares)
            output = _put(output, here, left(module, attended(apart, values[here]), hidden[here]))
        if not len(edited) and not len(seen):
            return output
        maps = scores.softmax(-1)
        maps = maps if apart is None else maps.index_copy(0, several.to(maps.device), apart)
        if part is not None and len(edited):
            here, there = edited.to(output.device), source.to(output.device)
            told = (a[edited].to(output.device) for a in (part.mapping, part.weight, part.cross_maps))
            new = injected(maps[here], maps[there], *told)
            maps = maps.index_copy(0, here, new)
            output = _put(output, here, left(module, attended(new, values[here]), hidden[here]))
        if watched is not None and len(seen):
            watched.eye(watched.slot[seen], maps[seen.to(maps.device)].detach().mean(1))
        return output

    if len(edited) or len(seen) or len(several):
        yield from ((module, change) for module in cross_attention(network).values())


def _copies(network: nn.Module, condition: Condition) -> Iterator[tuple[nn.Module, Change]]:
    """Self-attention: the companions' maps for the rows that are edited."""
    part = condition.get(Injection)
    if part is None:
        return
    edited, source = pairs(condition, part.self_maps > 0)
    if not len(edited):
        return

    def change(module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor | None:
        if hidden.shape[1] > part.within**2:
            return None
        here = edited.to(output.device)
        maps, _ = maps_and_values(module, hidden[source.to(output.device)])
        _, values = maps_and_values(module, hidden[here])
        return _put(output, here, left(module, attended(maps, values), hidden[here]))

    yield from ((module, change) for module in self_attention(network).values())


def _identities(network: nn.Module, condition: Condition) -> Iterator[tuple[nn.Module, Change]]:
    """Self-attention: the identity for the rows that are perturbed."""
    part = condition.get(Attention)
    if part is None or not bool(part.identity.any()):
        return
    rows = part.identity.nonzero()[:, 0]

    def change(module: Any, hidden: Tensor, named: dict[str, Any], output: Tensor) -> Tensor:
        here = rows.to(output.device)
        return _put(output, here, each_itself(module, hidden[here]))

    yield from ((module, change) for module in chosen(network, part.layers))


def _pictures(network: nn.Module, condition: Condition) -> Iterator[tuple[nn.Module, Change]]:
    """Cross-attention: what image prompts add in the rows in which they count."""
    part = condition.get(ImagePrompts)
    for k, prompt in enumerate(part.things if part is not None else ()):
        assert part is not None
        rows, weight, empty = part.weight[:, k].nonzero()[:, 0], part.weight[:, k], part.empty
        for name, module in cross_attention(network).items():
            if not len(rows) or name not in prompt.layers:
                continue

            def change(
                module: Any,
                hidden: Tensor,
                named: dict[str, Any],
                output: Tensor,
                name: str = name,
                prompt: Any = prompt,
                rows: Tensor = rows,
                weight: Tensor = weight,
                empty: Tensor = empty,
            ) -> Tensor:
                here = rows.to(output.device)
                more = prompt(name, module, hidden[here], empty[rows])
                return _put(output, here, output[here] + weight[rows].to(output)[:, None, None] * more)

            yield module, change


def _attention(network: nn.Module) -> dict[str, Any]:
    from diffusers.models.attention_processor import Attention as Module

    return {name: module for name, module in network.named_modules() if isinstance(module, Module)}


def _during(call: object, change: Change) -> Callable[..., Any]:
    """The change as a hook that acts within one call alone."""

    def hook(module: Any, args: tuple[Tensor, ...], named: dict[str, Any], output: Any) -> Any:
        hidden = args[0] if args else named["hidden_states"]
        return change(module, hidden, named, output) if _CALL.get() is call else None

    return hook


def _put(output: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
    """The output with other answers in some rows; a clone keeps the strides, and so the bits after it."""
    changed = output.clone()
    changed[rows] = answers.to(output.dtype)
    return changed
