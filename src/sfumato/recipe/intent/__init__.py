"""What generating and editing mean when something is left out: from a user's wishes to a recipe.

The command line, the page and the server all call `generate` and `edit`. Wishes have the names of the command line's
options and are written as there ("ddim:eta=1" for a sampler, "128x96" for a size); what is None was not said.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.edit import Between, Noise, SDEdit, Source
from sfumato.element.name_and_options import name_and_options
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, written
from sfumato.recipe.capabilities import Capabilities
from sfumato.recipe.extra_networks import asked_in
from sfumato.recipe.intent import starts

Named = Callable[[str], str]


def generate(
    prompt: str | None = None,
    *,
    start: str | None = None,
    shows: str | None = None,
    method: str | None = None,
    label: str | int | None = None,
    negative: str = "",
    guidance: float | None = None,
    guide: Sequence[str] | None = None,
    refiner: str | None = None,
    stage: Sequence[str] | None = None,
    clip_skip: int = 1,
    emphasis: str = "mean-restored",
    seed: int | None = None,
    size: str | None = None,
    model: str = "mini",
    sampler: str | None = None,
    times: str | None = None,
    steps: int | None = None,
    images: Sequence[Any] | None = None,
    controls: Sequence[str] | None = None,
    region: Sequence[str] | None = None,
    regional: str | None = None,
    layout: Any = None,
    lora: Sequence[str] | None = None,
    embedding: Sequence[str] | None = None,
    hypernetwork: Sequence[str] | None = None,
    adapter: Sequence[str] | None = None,
    allow_pickle: bool = False,
    composite: str = "paste",
    noise: str = "keyed",
    engine: str = "eager",
    precision: str = "float32",
    vae: str = "",
    tile: int = 0,
    tells: Capabilities = Capabilities(),
    named: Named = str,
) -> Recipe:
    """The recipe of a picture made from words, or of a class.

    start: where it begins, as "hires-fix:scale=2", by default from noise at its own size. shows: the prompt of a
    picture that is painted beside it and edited (Prompt-to-Prompt), by `method`. guidance: the
    scale of the model's guidance, classifier-free unless it has one of its own; `guide` adds others. refiner: a model
    that ends the picture, as "xl-refiner:at=0.2". stage: what other stages of the model do, each as
    "upscale:steps=30,guidance=4". images: reference pictures, for models that look at some. controls:
    each written as `controlnet:picture=map.png,net=FOLDER`. region: words that hold in a part, each written as
    `mask.png:words` or `0,0,0.5,1:words`; regional: by which method. layout: a map of what lies where, for models that
    were trained on some. lora, embedding, hypernetwork: files that are added to the model, besides those that the
    prompt names; adapter: of any kind, as `bottleneck:file=me.safetensors`; allow_pickle: such as may hold more than
    numbers too. seed None is a random one. tells: what the model can be told, and what suits it where guidance,
    sampler, times or steps are not said. named: how an option is called in sentences about it.

    Raises BadInput for what can't be.
    """
    suits = tells.suits
    width, height = size_of(size, named)
    attention = starts.attention_of(shows, method, named)
    if regional is not None and not region:
        raise BadInput(f"{named('regional')} says how regions are painted, and there are none: give some")
    if shows is not None and attention is None:
        raise BadInput(f"{named('method')} diffedit edits a picture that is there already: `sfumato edit` takes one")
    said, unsaid, adapters = asked_in(prompt or "", negative, allow_pickle=allow_pickle)
    named_files = {"lora": lora, "embedding": embedding, "hypernetwork": hypernetwork, "adapter": adapter}
    files = written.adapters(named_files, allow_pickle)
    return Recipe(
        prompt=said,
        negative=unsaid,
        label=label,
        model=model,
        clip_skip=clip_skip,
        emphasis=written.emphasis(emphasis),
        width=width,
        height=height,
        start=Noise() if start is None else written.start(start),
        attention=attention,
        images=tuple(images or ()),
        controls=tuple(map(written.control, controls or ())),
        regions=tuple(map(written.region, region or ())),
        layout=layout,
        regional=None if regional is None else written.regional(regional),
        adapters=(*files, *adapters),
        guidance=written.guidances(list(guide or []), guidance, suits),
        refiner=None if refiner is None else written.refiner(refiner),
        stages=tuple(map(written.stage, stage or ())),
        sampler=suits.sampler if sampler is None else written.sampler(sampler),
        times=suits.times if times is None else written.times(times),
        steps=suits.steps if steps is None else steps,
        composite=written.composite(composite),
        noise=written.noise(noise),
        seed=random_seed() if seed is None else seed,
        engine=engine,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        vae=vae,
        tile=tile,
    )


def edit(
    picture: str | Path | bytes | Image.Image,
    prompt: str = "",
    *,
    start: str | None = None,
    strength: float | None = None,
    shows: str | None = None,
    method: str | None = None,
    other: Any = None,
    weight: float | None = None,
    refine: int | None = None,
    inversion: str | None = None,
    hold: str | None = None,
    mask: Any = None,
    grow: float = 0.0,
    feather: float = 0.0,
    dilate: float = 0.0,
    resample: str | None = None,
    only_masked: bool = False,
    margin: int | None = None,
    extend: str | None = None,
    task: str | None = None,
    named: Named = str,
    **said: Any,
) -> Recipe:
    """The recipe of an edit of `picture`; `said` are the options of `generate` but for its `shows`.

    | what is said | the edit |
    |---|---|
    | nothing else | SDEdit at strength 0.6; from noise where the model looks at the picture while it paints |
    | mask | what is white is painted anew (strength 1), the rest held |
    | extend | the canvas is widened and what is new painted (strength 0.9, from the stretched edge) |
    | shows | the picture is inverted (0.8, or what suits the model); without a mask only what the words tell changes |
    | shows, method prompt-to-prompt | the picture's own attention maps are injected (strength 1) |
    | other | a start between two pictures, at `weight` |
    | start | that start, with its options, from the picture |
    | task | a model that mends the picture it is shown |

    Raises BadInput for an option that has no use beside the others, and for pictures that can't be read.
    """
    tells: Capabilities = said.get("tells") or Capabilities()
    looks = tells.references > 0
    images = said.pop("images", None)
    recipe = generate(prompt, named=named, images=[picture, *(images or [])] if looks else images, **said)
    attention = starts.attention_of(shows, method, named) if method else None
    if attention is not None:
        strength, hold = starts.BESIDE if strength is None else strength, hold or "none"
    wishes = {"strength": strength, "shows": shows, "refine": refine, "inversion": inversion, "weight": weight}
    wishes |= {"other": other, "task": task, "start": start}
    given: dict[str, Any] = {name: value for name, value in wishes.items() if value is not None}
    asked = next((name for name in starts.ASKED_BY if name in given), "")
    kind = starts.ASKED_BY.get(asked, "sdedit")
    starts.check_used(given, kind, asked, named)
    shape = {"grow": grow, "feather": feather, "dilate": dilate, "resample": resample}
    source, white = starts.canvas(picture, mask, extend, {**shape, "only_masked": only_masked}, named)
    masked = None if white is None else starts.outside(white, shape, named)
    held = starts.hold_of(hold, shows, masked, named)
    apart = held is not None and (held.mask is not None or held.infers)
    if not apart and recipe.composite.kind not in ("paste", "none"):
        how = f"{named('composite')} {recipe.composite.kind}"
        raise BadInput(f"{how} puts a part into the picture: give a {named('mask')}, or leave it out")
    recipe_of = partial(
        replace,
        recipe,
        hold=held,
        area=starts.area_of(only_masked, margin, named),
        attention=attention,
    )
    own = start is not None and "strength" in name_and_options(start)[1]
    if extend is not None and "strength" in starts.TAKES[kind] and not own:
        given.setdefault("strength", starts.EXTENDED)
    elif white is not None and kind == "sdedit":
        given.setdefault("strength", starts.MASKED)
    if looks and not given.keys() - {"strength"} and strength is None:
        return recipe_of(start=Noise())
    match kind:
        case "source":
            return recipe_of(start=Noise(), source=Source(source, **given))
        case "written" if name_and_options(given["start"])[0] in written.blank_starts():
            if held is None and not looks:
                raise BadInput(f"{named('start')} {given['start']} sees nothing of the picture: give a {named('mask')}")
            held = None if held is None else replace(held, picture=source)  # type: ignore[call-arg]
            return recipe_of(start=written.start(given.pop("start"), **given), hold=held)
        case "written":
            return recipe_of(start=written.start(given.pop("start"), picture=source, **given))
        case "inverted":
            way = given.pop("inversion", "ddim")
            name, options = name_and_options(way)
            if name == "ddim" and "strength" not in options:
                given.setdefault("strength", tells.suits.inverted)
            return recipe_of(start=written.inversion(way, picture=source, **given))
        case "between":
            return recipe_of(start=Between(source, **given))
    return recipe_of(start=SDEdit(source, **given))


def each(recipe: Recipe, count: int) -> list[Recipe]:
    """`count` recipes with the seeds seed, seed + 1, ..."""
    return [replace(recipe, seed=recipe.seed + i) for i in range(count)]


def random_seed() -> int:
    """A seed of at most ten digits, for those who gave none."""
    return secrets.randbelow(2**32)


def size_of(text: str | None, named: Named = str) -> tuple[int | None, int | None]:
    """(width, height) of `128x96` or `128`; (None, None) of nothing."""
    if text is None:
        return None, None
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:[xX×]\s*(\d{1,5})\s*)?", text)
    if not found:
        raise BadInput(f"{named('size')} {text!r} is no size: give WIDTHxHEIGHT, as 128x96, or one number for a square")
    return int(found[1]), int(found[2] or found[1])
