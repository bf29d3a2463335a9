"""Layers by their number, as cloneofsimo's tool counts them: `unet:82:up`, `text_encoder:3:down`.

It walks the modules of some classes, which its files name in their headers, and counts the linear layers in each.
Which order that is has changed with the versions of diffusers: the one whose layers have the shapes of the tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import nn

CALLED = {"CrossAttention": "Attention"}  # what classes are called now
INNER = (("attn1", "ff", "attn2"), ("attn1", "attn2", "ff"))


def orders(network: nn.Module, classes: Sequence[str]) -> Iterator[list[str]]:
    """The layers in every order in which they may have been counted. classes: those whose layers are counted."""
    wanted = {CALLED.get(name, name) for name in classes}
    for inner, mid_last in product(INNER, (True, False)):
        yield [layer for block in _blocks(network, inner, mid_last) for layer in _layers(network, block, wanted)]


def _blocks(network: Any, inner: Sequence[str], mid_last: bool) -> list[str]:
    """Modules in the order in which they were met: those of a transformer's block in the order `inner`."""
    names = [name for name, _ in network.named_modules()]
    places = {name: i for i, name in enumerate(names)}

    def place(name: str) -> tuple[Any, ...]:
        parts = name.split(".")
        within = next((i for i, part in enumerate(parts) if part in inner), None)
        block = ".".join(parts[:within]) if within is not None else name
        rank = 0 if within is None else 1 + inner.index(parts[within])
        middle = parts[0] == "mid_block"
        return (1 if middle and mid_last else 0, places.get(block, 0), rank, places[name])

    if not mid_last:
        tops = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
        return sorted(names, key=lambda name: (tops.get(name.split(".")[0], -1), *place(name)))
    return sorted(names, key=place)


def _layers(network: nn.Module, block: str, wanted: set[str]) -> list[str]:
    module = network.get_submodule(block)
    if type(module).__name__ not in wanted:
        return []
    inner = [name for name, each in module.named_modules() if isinstance(each, torch.nn.Linear)]
    return [f"{block}.{name}" for name in inner]
