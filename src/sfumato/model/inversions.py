"""Starts and holds that ask the network before the first step: what a picture's inversion needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image

from sfumato import recipe as spec
from sfumato.denoise import Bound
from sfumato.edit import Between, EditFriendly, Inferred, Inverted, LowPass, NullInverted, SDEdit, Start, lerp, slerp
from sfumato.edit.hold import Held
from sfumato.edit.mix import Mix
from sfumato.model.given import View
from sfumato.model.scene import Scene
from sfumato.picture import BadInput, fetch
from sfumato.recipe.prompt import check_single


def inverted(element: spec.Inverted, scene: Scene) -> Inverted:
    if element.null == 0:
        return _inverted(scene, scene.given.start, element.strength, element.shows, element.refine)
    image = scene.given.start
    assert image is not None
    scale = next((g.scale for g in scene.recipe.guidance if isinstance(g, spec.ClassifierFree)), None)
    if scale is None or not scene.stage.capabilities.text:
        raise BadInput(
            "Null-text optimisation is for words and classifier-free guidance: leave null out, or give both."
        )
    said = (words for recipe in scene.recipes for words in (recipe.prompt, recipe.negative, element.shows))
    check_single(said, "null-text optimisation needs words that stand still")
    told = scene.denoise(prompt=element.shows)
    return NullInverted(
        scene.stage.denoiser,
        told.condition,
        scene.encoded(image),
        scene.times,
        element.strength,
        element.refine,
        scale,
        element.null,
    )


def edit_friendly(element: spec.EditFriendly, scene: Scene) -> EditFriendly:
    image = scene.given.start
    assert image is not None
    if getattr(scene.recipe.hold, "resample", None) is not None:
        raise BadInput(
            "An edit-friendly start replays noise step by step, and resampling walks steps anew: leave one out."
        )
    source, eta = shown(scene, element.shows), _eta(scene.recipe.sampler)
    return EditFriendly(source, scene.encoded(image), scene.times, scene.noise, element.strength, eta)


def _eta(sampler: Any) -> float:
    """Of the DDIM that a recipe's sampler is: 1 for DDPM with small variance, 0 where it adds no noise of its own."""
    if sampler == "ddpm" or sampler == spec.DDPM():
        return 1.0
    if isinstance(sampler, spec.DDIM) and sampler.eta > 0:
        return sampler.eta
    raise BadInput("An edit-friendly start gives ancestral sampling its noise: choose the sampler ddpm or DDIM(eta=1).")


def between(element: spec.Between, scene: Scene) -> Between:
    begin, mix = WAYS[element.way]
    first, second = (begin(element, scene, image) for image in (scene.given.start, _sized(element.other, scene)))
    return Between(first, second, element.weight, mix)


WAYS: dict[str, tuple[Callable[[spec.Between, Scene, Any], Start], Mix]] = {
    "inverted": (lambda e, scene, image: _inverted(scene, image, e.strength, "", e.refine), slerp),
    "noised": (lambda e, scene, image: SDEdit(scene.encoded(image), e.strength), lerp),
}


def inferred(element: spec.Inferred, scene: Scene, start: Start) -> Held | None:
    strength = getattr(scene.recipe.start, "strength", 1.0)
    if strength == 0:
        return None
    own = start if isinstance(start, Inverted) and element.picture is None else None
    return Inferred(
        source=shown(scene, element.shows),
        target=scene.denoise(),
        way=own or _inverted(scene, scene.given.held, strength, element.shows, element.refine),
        noise=scene.noise,
        draws=element.draws,
        level=element.level,
        threshold=element.threshold,
        grow=element.grow / scene.space.factor,
        shared=own is not None,
    )


def low_pass(element: spec.LowPass, scene: Scene, start: Start) -> Held:
    held = scene.given.held
    assert held is not None
    return LowPass(element.factor, element.until).bind(scene.encoded(held), scene.schedule)


def shown(scene: Scene, shows: str) -> Bound:
    """The denoiser, unguided, told that the picture shows this: words, or a class, or what the recipe says."""
    vocabulary = scene.stage.capabilities
    if vocabulary.text:
        return scene.denoise(prompt=shows, negative="")
    return scene.denoise(label=shows) if shows else scene.denoise()


def _inverted(scene: Scene, image: Image.Image | None, strength: float, shows: str, refine: int) -> Inverted:
    assert image is not None
    return Inverted(shown(scene, shows), scene.encoded(image), scene.times, strength, refine)


def _sized(picture: Any, scene: Scene) -> Image.Image:
    return View.of(scene.recipe, scene.size)(fetch(picture))
