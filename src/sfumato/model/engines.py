"""Which engine `auto` is: the quickest that is here, for what a recipe asks of the network."""

from __future__ import annotations

from sfumato.control import FaceID, IPAdapter
from sfumato.edit import Inverted, PromptToPrompt
from sfumato.guide import ClipGuidance
from sfumato.network.engine import quickest
from sfumato.recipe import Recipe
from sfumato.region import RegionalAttention


def engine_for(precision: str, device: str, offload: str, recipe: Recipe | None = None) -> str:
    """The name of the quickest engine that runs networks so. One that hands what the recipe asks at every step back to
    PyTorch is quick for others."""
    return quickest(precision, device, offload, whole=recipe is not None and beyond_graphs(recipe))


def beyond_graphs(recipe: Recipe) -> bool:
    """Whether the recipe asks for what a compiled graph can't do: gradients through the network, a look at its
    attention, image prompts, words that hold in regions, layers of another kind."""
    edit, start = recipe.attention, recipe.start
    return (
        any(isinstance(each, ClipGuidance) and each.scale and each.through == "network" for each in recipe.guidance)
        or any(isinstance(each, IPAdapter | FaceID) for each in recipe.controls)
        or not all(each.weights_alone for each in recipe.adapters)
        or (isinstance(edit, PromptToPrompt) and bool(edit.blend))
        or (bool(recipe.regions) and isinstance(recipe.regional, RegionalAttention | None))
        or (isinstance(start, Inverted) and start.null > 0)
    )
