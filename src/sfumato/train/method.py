"""What a method of personalization is: what it learns of a subject, and the files that it leaves.

One file a method in `sfumato.train.methods`: a section of the recipe, and the `Learner` that it begins.

    @method
    class Tint(Method):
        kind: Literal["tint"] = "tint"

        def begin(self, subject): return TintLearner(subject)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import torch
from pydantic import BeforeValidator, SerializeAsAny
from torch import nn

from sfumato.adapt.adapter import BoundAdapter
from sfumato.element import Registry
from sfumato.element.section import Named, Section, of_kind


@dataclass(frozen=True)
class Subject:
    """What is to be learnt, of which model.

    word: what prompts call it, as "sks woman". kind: the class that it is of, as "woman"; "" where nothing is said.
    networks: the model's, by the names of its parts; painter: which of them denoises. folder: the model's own.
    """

    word: str
    kind: str
    networks: Mapping[str, nn.Module]
    painter: str
    folder: Path
    generator: torch.Generator
    tokenizer: Any = None

    @property
    def readers(self) -> dict[str, nn.Module]:
        """The text encoders."""
        return {part: each for part, each in self.networks.items() if part.startswith("text_encoder")}

    def tokens(self, text: str) -> list[int]:
        """The numbers of a text's tokens; all CLIP tokenizers have the same."""
        return self.tokenizer(text, add_special_tokens=False).input_ids if self.tokenizer and text else []

    @property
    def header(self) -> dict[str, str]:
        """What the files say of it."""
        return {"modelspec.trigger_phrase": self.word, "sfumato.subject": self.word, "sfumato.class": self.kind}


class Learner(nn.Module):
    """What is learnt. Its parameters are trained; it binds to networks as an adapter from a file does."""

    reads = False
    """Whether it changes how words are read: then they are read anew at every step."""
    word_alone = False
    """Whether a word is all that it learns: then captions must say it."""

    def bind(self, networks: Mapping[str, nn.Module]) -> BoundAdapter:
        """What it does to the networks as it is now."""
        raise NotImplementedError

    def save(self, export: Path) -> list[Path]:
        """Writes its files."""
        raise NotImplementedError


class Method(Section):
    """A section `method` of a recipe that personalizes."""

    kind: Any

    def begin(self, subject: Subject) -> Learner:
        """A learner that changes nothing yet. BadInput where the model is not of a kind that it can teach."""
        raise NotImplementedError


METHODS: Registry[type[Method]] = Registry("method of personalization", "sfumato.train.methods")
M = TypeVar("M", bound=type[Method])


def method(section: M) -> M:
    """Decorator: recipes name the method as its field `kind` says."""
    (kind,) = get_args(section.model_fields["kind"].annotation)
    METHODS.add(kind, section)
    return section


AnyMethod = Annotated[SerializeAsAny[Method], BeforeValidator(of_kind(METHODS, "method", "lora")), Named]
"""Any registered method."""
