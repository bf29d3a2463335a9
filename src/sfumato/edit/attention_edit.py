"""Edits by attention: a picture is painted beside the one that it edits, and takes attention maps from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sfumato.edit.start import BoundStart
from sfumato.element import Element


class AttentionEdit(Element, kinds="attention edit", package="sfumato.edit"):
    """What is done to a network's attention, as a recipe says it.

    The value in `Recipe.attention`, such as `PromptToPrompt(source)`. Two pictures are painted side by side, of the
    source's words and of the recipe's own, and the second takes attention maps of the first. A new one is a class
    with a `kind`.
    """

    source: str | ClassVar[str] = ""
    """The prompt of the picture whose attention is taken."""

    blend: tuple[str, ...] | ClassVar[tuple[str, ...]] = ()
    """The words whose places alone may change; none for all of the picture."""

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing."""
        return False

    @property
    def wordless(self) -> Any:
        """The same for any words: what the pictures of one batch have in common."""
        return self

    def bind(self, batch: Any, guidances: Sequence[Any], start: BoundStart) -> Any:
        """The denoiser, the loop and the blend of a run of `batch` (a `sfumato.model.Batch`)."""
        raise NotImplementedError
