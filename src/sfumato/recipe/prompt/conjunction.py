"""Several prompts for one picture: composable diffusion (Liu et al. 2022), as A1111's AND writes it."""

from __future__ import annotations

import re

from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.emphasis import LARGEST

MOST = 16

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))$")


def conjuncts(prompt: str) -> list[tuple[str, float]]:
    """The prompts that AND, in capitals, joins, and the weights that they end with: "a cat :1.2 AND a dog".

    A weight that is not given is 1. A prompt without AND is itself at 1, whatever it ends with.

    Raises BadInput for more than 16 prompts and for a weight beyond 100.
    """
    parts = _AND.split(prompt)
    if len(parts) == 1:
        return [(prompt, 1.0)]
    if len(parts) > MOST:
        raise BadInput(
            f"The prompt joins {len(parts)} prompts by AND: join at most {MOST}, or write A\\ND for the word."
        )
    return [_weighted(part) for part in parts]


def _weighted(part: str) -> tuple[str, float]:
    part = part.strip()
    found = _WEIGHT.search(part)
    if found is None:
        return part, 1.0
    text, weight = part[: found.start()].rstrip(), float(found[1])
    if abs(weight) > LARGEST:
        raise BadInput(
            f"The prompt gives {printable(repr(text), 60)} the weight {weight:g}: "
            f"give weights from {-LARGEST:g} to {LARGEST:g}."
        )
    return text, weight
