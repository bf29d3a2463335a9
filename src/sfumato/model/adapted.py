"""A stage with adapters: its denoiser and its encoders have them while they are asked, and not a moment longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfumato.adapt.adaptation import Adaptation, AdaptedDenoiser
from sfumato.adapt.adapter import Adapter, Binds
from sfumato.adapt.words import knowing
from sfumato.condition import Part
from sfumato.edit import Words
from sfumato.encode import Asked, Encoder

if TYPE_CHECKING:
    from sfumato.model.pipe import Pipe
    from sfumato.recipe import Recipe
    from sfumato.stage import Stage


def adapted(stage: Stage, adapters: Sequence[Binds]) -> Stage:
    """The stage with adapters, on the same networks. Raises BadInput where one does not fit them."""
    adaptation = Adaptation(stage.networks, adapters)
    encoders = tuple(AdaptedEncoder(each, adaptation) for each in stage.encoders)
    return replace(stage, denoiser=AdaptedDenoiser(stage.denoiser, adaptation), encoders=encoders)


class AdaptedEncoder(Encoder):
    """An encoder that reads with the adapters in, and knows the words that they bring."""

    def __init__(self, encoder: Encoder, adaptation: Adaptation) -> None:
        self.encoder = encoder if adaptation.words is None else knowing(encoder, adaptation.words)
        self.adaptation, self.tells = adaptation, encoder.tells

    def __call__(self, batch: Asked) -> Part | None:
        with self.adaptation.reading:
            return self.encoder(batch)

    def chunks(self, recipe: Recipe) -> int:
        return self.encoder.chunks(recipe)

    def spans(self, prompt: str) -> Words | None:
        return self.encoder.spans(prompt)


class Attached:
    """Adapters on a pipe, until `detach()` or the end of a `with`."""

    def __init__(self, pipe: Pipe, adapters: Sequence[Adapter]) -> None:
        self.pipe, self.adapters = pipe, tuple(adapters)

    def detach(self) -> None:
        """Takes them off; once is enough."""
        adapters, self.adapters = self.adapters, ()
        if adapters:
            self.pipe.detach(*adapters)

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: Any) -> None:
        self.detach()
