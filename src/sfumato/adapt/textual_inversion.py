"""Textual inversion: Gal et al. 2022, "An Image is Worth One Word". A word, and the vectors that stand for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sfumato.adapt.adapter import Adapter, BoundAdapter
from sfumato.adapt.file import FileOf
from sfumato.element import element
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfumato.adapt.read import Contents

KNOWN = {"*", "emb_params", "clip_l", "clip_g"}
"""Keys of vectors that are no word themselves."""
MOST = 75  # vectors of a word: what fits a text encoder's window


@element("embedding")
class Embedding(Adapter):
    """A word that the model learned from pictures: wherever the prompt says `word`, its vectors are read.

    Formats: A1111's (`string_to_param`; a pickle, see `open_file`), diffusers' (`learned_embeds`), InvokeAI's
    (`emb_params`), and those with vectors for two text encoders (`clip_l`, `clip_g`).

    word: what calls it in prompts; by default the word in the file, else the file's name.
    """

    file: FileOf = Field(description="a file of an embedding: a path, or a file from open_file()")
    word: str = Field(default="", max_length=200, description="a word of at most 200 characters")

    @classmethod
    def holds(cls, keys: Collection[str], other: Any = None) -> bool:
        from sfumato.adapt.layers import layers_in

        if isinstance(other, dict) and "string_to_param" in other:
            return True
        return bool(keys) and (set(keys) <= KNOWN or (len(keys) == 1 and not layers_in(keys)))

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        from sfumato.adapt.read import contents

        name = printable(self.file.name, 60)
        own, vectors = _vectors(contents(self.file), name)
        widths = {
            int(module.weight.shape[1]): part
            for part, network in networks.items()
            if part.startswith("text_encoder") and (module := token_embedding(network)) is not None
        }
        fitting = [each for each in vectors if each.shape[1] in widths]
        if not fitting:
            there = " and ".join(map(str, widths)) or "no text encoder"
            theirs = " and ".join(str(each.shape[1]) for each in vectors)
            raise BadInput(
                f"{name} holds a word of width {theirs}, and this model's texts are of {there}: give one made for it."
            )
        return BoundAdapter(name, words={self.word or own or self.file.stem: fitting})


def token_embedding(network: Any) -> Any:
    """The table of a CLIP text encoder's tokens; None for any other network."""
    inner = getattr(network, "text_model", network)
    return getattr(getattr(inner, "embeddings", None), "token_embedding", None)


def _vectors(found: Contents, name: str) -> tuple[str, list[Tensor]]:
    """The word in the file ("" where it says none), and its vectors (n, width), one for each width."""
    tensors, word = dict(found.tensors), ""
    if isinstance(found.other, dict) and hasattr(table := found.other.get("string_to_param"), "items"):
        tensors = {key: each for key, each in table.items() if hasattr(each, "detach")}  # type: ignore[union-attr]
        word = ""  # the file's name is what calls it, as with A1111
    if len(tensors) == 1 and not tensors.keys() & KNOWN:
        word = next(iter(tensors))
    elif not tensors or not tensors.keys() <= KNOWN:
        raise BadInput(f"{name} is no embedding of a word: it holds {printable(', '.join(tensors) or 'nothing', 100)}.")
    vectors = [each.detach()[None] if each.ndim == 1 else each.detach() for each in tensors.values()]
    counts = {len(each) for each in vectors}
    if any(each.ndim != 2 for each in vectors) or len(counts) != 1 or not 1 <= min(counts) <= MOST:
        raise BadInput(f"{name} is no embedding of a word: give 1 to {MOST} vectors, as many for each text encoder.")
    return word, vectors
