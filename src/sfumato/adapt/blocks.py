"""Weights of an adapter by block: `down.1`, `mid`, `up`, `text`, `unet`, or the beginning of any layer's path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from sfumato.element import Real
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import nn

SHORT = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks", "double": "transformer_blocks",
         "single": "single_transformer_blocks"}  # fmt: skip
TEXT, UNET = "text", "unet"


def _pairs(value: Any) -> Any:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((name, float(weight) if type(weight) is int else weight) for name, weight in pairs)


if TYPE_CHECKING:
    Blocks = tuple[tuple[str, float], ...]
else:
    Blocks = Annotated[
        tuple[tuple[Annotated[str, Field(min_length=1, max_length=200)], Annotated[Real, Field(ge=-10, le=10)]], ...],
        BeforeValidator(_pairs),
        PlainSerializer(dict),
        Field(max_length=200),
    ]


def share(blocks: Blocks, part: str, layer: str) -> float:
    """The weight of the longest of the blocks that the layer is in, 1 where it is in none."""
    fitting = [(len(_full(name)), weight) for name, weight in blocks if _within(name, part, layer)]
    return max(fitting)[1] if fitting else 1.0


def check_blocks(blocks: Blocks, networks: Mapping[str, nn.Module]) -> None:
    """Raises BadInput for a block that no network has."""
    layers = [(part, name) for part, network in networks.items() for name, _ in network.named_modules()]
    for block, _ in blocks:
        if not any(_within(block, part, layer) for part, layer in layers):
            tops = dict.fromkeys(name.split(".")[0] for _, name in layers if name)
            there = [short for short, name in SHORT.items() if name in tops]
            raise BadInput(
                f"There is no block {printable(repr(block), 60)} in this model: give one of "
                f"{', '.join([TEXT, *networks, *there])}, or the beginning of a layer's path, as down.1."
            )


def _within(name: str, part: str, layer: str) -> bool:
    if name in (TEXT, UNET):  # all that reads words; all else, whatever it is called
        return part.startswith("text_encoder") == (name == TEXT)
    return any(f"{path}.".startswith(f"{_full(name)}.") for path in (layer, f"{part}.{layer}"))


def _full(name: str) -> str:
    first, dot, rest = name.partition(".")
    return f"{SHORT.get(first, first)}{dot}{rest}"
