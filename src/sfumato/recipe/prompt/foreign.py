r"""Words that name files: to read them as words would paint another picture.

| written | by | means |
|---|---|---|
| `<lora:name:0.8>`, `<lyco:...>`, `<hypernet:...>` | A1111's web page | weights to be added to the model |
| `embedding:name` | ComfyUI | a learned word, from a file |

Whoever makes a recipe of such a prompt takes them out first (`sfumato.recipe.extra_networks`); a recipe's own prompt
has none.

To say them as they stand, escape the colon: `<lora\:name>`.
"""

from __future__ import annotations

import re

from sfumato.picture.errors import BadInput, printable

NETWORK = re.compile(r"<\s*[A-Za-z][\w-]*\s*:[^<>]*>")
EMBEDDING = re.compile(r"(?<!\w)embedding:([^\s,()\[\]:|]+)", re.IGNORECASE)
_NETWORK = re.compile(r"<\s*[A-Za-z][\w-]*\s*:(?=([^<>]*>))")
_EMBEDDING = re.compile(r"(?<!\w)embedding:(?=([^\s,()\[\]:|]+))", re.IGNORECASE)


def refuse_foreign(prompt: str) -> None:
    """Raises BadInput for a prompt that asks for what only other tools know."""
    for mark, what in ((_NETWORK, "weights to be added to the model"), (_EMBEDDING, "a learned word from a file")):
        if found := mark.search(prompt):
            meant = found[0].replace(":", "\\:") + found[1]
            raise BadInput(
                f"The prompt's {printable(repr(found[0] + found[1]), 60)} asks for {what}, which a prompt can't do "
                f"here: leave it out (a recipe has them as adapters), or write {printable(meant, 60)} for the words."
            )


def escaped(text: str, embeddings: bool = True) -> str:
    """The text, in which nothing asks for what other tools know. embeddings: neither for learned words."""
    for mark in (_NETWORK, _EMBEDDING) if embeddings else (_NETWORK,):
        text = mark.sub(lambda found: found[0].replace(":", "\\:"), text)
    return text
