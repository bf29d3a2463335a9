"""Every start x hold x guidance x sampler x attention x area x composite x model, in pairs: each keeps its promise.

Combinations are drawn until every valid pair of values was in one (a greedy covering array). Samplers are paired by
their kinds, whose members take turns: every sampler's own way with starts and holds is tested in tests/edit, with
guidance in tests/guide. Each combination runs, on models of random weights and some on mini, and keeps what its parts
promise: outside a mask the picture is its own to the byte, an
empty mask and strength 0 are the identity, a full mask is no mask, and what can't be asked for is said in a sentence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, cycle, product
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from random_model import TINY, build
from stock import instruct_pix2pix, stable_diffusion_xl

import sfumato
from sfumato.data import vignettes
from sfumato.edit import Composite
from sfumato.recipe import Recipe
from sfumato.sample import Sampler

FAMILIES = {"two encoders": stable_diffusion_xl.build, "instructed": instruct_pix2pix.build}
SIZE, STEPS, WORDS, SHOWS = 32, 2, "a red boat on the sea", "a blue boat on the sea"


@cache
def picture(index: int = 5) -> Image.Image:
    return Image.fromarray(vignettes.draw(vignettes.scene(3, index), SIZE, truth=False).image)


def mask(fill: int | None = None) -> Image.Image:
    drawn = Image.new("L", (SIZE, SIZE), fill or 0)
    if fill is None:
        ImageDraw.Draw(drawn).ellipse((10, 9, 21, 20), fill=255)
    return drawn


STARTS = {
    "noise": lambda: sfumato.Noise(),
    "hires-fix": lambda: sfumato.HiresFix(2, 0.6),
    "sdedit": lambda: sfumato.SDEdit(picture(), 0.7),
    "inverted": lambda: sfumato.Inverted(picture(), 0.6, refine=1),
    "null text": lambda: sfumato.Inverted(picture(), 0.6, refine=0, null=1),
    "edit-friendly": lambda: sfumato.EditFriendly(picture(), 0.6),
    "between": lambda: sfumato.Between(picture(), picture(6), 0.4, 0.6, refine=0),
}
HOLDS = {
    "nothing": lambda: None,
    "outside": lambda: sfumato.Outside(mask(), picture()),
    "soft": lambda: sfumato.Outside(mask(), picture(), grow=1, feather=2),
    "dilated": lambda: sfumato.Outside(mask(), picture(), dilation=5),
    "resampled": lambda: sfumato.Outside(mask(), picture(), resample=sfumato.Resample(1, 2)),
    "inferred": lambda: sfumato.Inferred(picture=picture(), draws=2, refine=0),
    "low-pass": lambda: sfumato.LowPass(4, 0.2, picture()),
}
AXES: dict[str, dict[str, Any]] = {
    "start": STARTS,
    "hold": HOLDS,
    "guidance": {
        "none": (),
        "classifier-free": (sfumato.ClassifierFree(4.0),),
        "interval, rescaled": (sfumato.ClassifierFree(4.0, (0.2, 0.8), 0.7),),
        "cfg++": (sfumato.CFGPlusPlus(0.6),),
        "projected": (sfumato.ProjectedGuidance(4.0, momentum=-0.5),),
        "perturbed and free": (sfumato.ClassifierFree(3.0), sfumato.PerturbedAttention(2.0)),
        "dynamic threshold": (sfumato.ClassifierFree(6.0), sfumato.DynamicThreshold(0.9, 2.0)),
    },
    "sampler": {
        "one call a step": {"ddim": "ddim", "euler": "euler"},
        "of this step alone, with noise": {"ddpm": "ddpm", "ddim, eta 0.5": sfumato.DDIM(0.5)},
        "several calls a step": {
            "heun": "heun",
            "heun-kappa": "heun-kappa",
            "heun, churned": sfumato.Heun("kappa", sfumato.Churn(5)),
            **{name: name for name in ("dpm2", "dpm2-a", "dpmpp-2s", "dpmpp-2s-a", "dpmpp-sde", "dpm-fast")},
            "dpm-adaptive": sfumato.DPMAdaptive(2, 1.0, 1.0),
        },
        "of earlier steps": {
            name: name
            for name in (
                *("dpmpp-2m", "res-multistep", "dpmpp-3m", "dpmpp-3m-exact"),
                *("unipc", "unipc-bh1", "unipc-bh2", "deis", "adams-bashforth", "lms", "plms"),
            )
        },
        "of earlier steps, with noise": {name: name for name in ("dpmpp-2m-sde", "dpmpp-2m-sde-heun", "dpmpp-3m-sde")},
        "by the score": {
            "euler-maruyama": "euler-maruyama",
            "predictor-corrector": "predictor-corrector",
            "langevin": sfumato.Langevin(repeats=2),
        },
        "of steps of its own": {"rk45": sfumato.RK45(0.1, 0.1)},
        "consistency": {"consistency": "consistency"},
    },
    "attention": {"its own": None, "prompt-to-prompt": sfumato.PromptToPrompt(SHOWS, blend=("boat",))},
    "area": {"all": None, "cropped": sfumato.Crop(2)},
    "composite": {name: name for name in Composite.registry},
    "model": {"words": None, "nine channels": None, "pixels": None, "words to pixels": None} | dict.fromkeys(FAMILIES),
}
MASKED = ("outside", "soft", "dilated", "resampled")
QUICK, OWN_NOISE = list(AXES["sampler"])[:2]
OPTIMISED = ("latent", "decoder")  # 75 steps of Adam: tried with one sampler and one guidance
GUIDED = ("classifier-free", "interval, rescaled", "perturbed and free", "dynamic threshold")
SCORE = ("by the score", "of steps of its own")  # which refuse CFG++
Drawn = dict[str, str]


def valid(c: Drawn) -> bool:
    """Whether a combination, or a part of one, can be asked for."""
    hold, composite, model = (c.get(axis) for axis in ("hold", "composite", "model"))
    if c.get("area") == "cropped" and hold not in (None, *MASKED):
        return False
    if composite in OPTIMISED and (
        model in ("pixels", "words to pixels") or hold not in (None, "outside") or c.get("sampler", QUICK) != QUICK
        or c.get("guidance", "none") != "none"
    ):  # fmt: skip
        return False
    if c.get("guidance") == "cfg++" and c.get("sampler") in SCORE:
        return False
    if model == "nine channels" and hold == "dilated":
        return False
    if c.get("start") == "edit-friendly" and (
        hold == "resampled" or composite in OPTIMISED or c.get("sampler", OWN_NOISE) != OWN_NOISE
    ):
        return False
    if c.get("start") == "null text" and (
        model == "pixels" or c.get("guidance", GUIDED[0]) not in GUIDED or composite in OPTIMISED
    ):
        return False
    if c.get("start") == "hires-fix" and c.get("attention") == "prompt-to-prompt":
        return False
    return not (model == "pixels" and c.get("attention") == "prompt-to-prompt")


def covering(seed: int = 0) -> Iterator[Drawn]:
    """Combinations such that every valid pair of values of two axes is in one of them."""
    dice = random.Random(seed)
    missing = {
        frozenset({(a, x), (b, y)})
        for a, b in combinations(AXES, 2)
        for x, y in product(AXES[a], AXES[b])
        if valid({a: x, b: y})
    }

    def gained(c: Drawn, axis: str, value: str) -> int:
        return sum(frozenset({other, (axis, value)}) in missing for other in c.items())

    def drawn() -> Drawn | None:
        c = dict(dice.choice(sorted(map(sorted, missing))))
        for axis in dice.sample(list(AXES), len(AXES)):
            if axis not in c:
                values = [value for value in AXES[axis] if valid({**c, axis: value})]
                if not values:
                    return None
                c[axis] = max(values, key=lambda value: (gained(c, axis, value), dice.random()))
        return c if valid(c) else None

    tries = 0
    while missing:
        tries += 1
        assert tries < 5000, f"no whole combination has one of these pairs: {sorted(map(sorted, missing))}"
        tried = [c for c in (drawn() for _ in range(4)) if c is not None] or [{}]
        best = max(tried, key=lambda c: sum(pair <= c.items() for pair in missing))
        missing = {pair for pair in missing if not pair <= best.items()}
        if best:
            yield best


TURNS = {kind: cycle(members) for kind, members in AXES["sampler"].items()}
DRAWN = [{**c, "its": next(TURNS[c["sampler"]])} for c in covering()]
for kind, members in AXES["sampler"].items():  # whose turn never came
    again = cycle([c for c in DRAWN if c["sampler"] == kind])
    DRAWN += [{**next(again), "its": name} for name in members if all(c["its"] != name for c in DRAWN)]


@pytest.fixture(scope="module")
def pipes(tiny_model, pixel_model, tmp_path_factory):
    nine = build(tmp_path_factory.mktemp("nine"), "v", TINY, beside=5)
    folders = {name: tmp_path_factory.mktemp(name.replace(" ", "")) for name in FAMILIES}
    for name, make in FAMILIES.items():
        make().save_pretrained(folders[name])
    return {
        "words": sfumato.load(tiny_model),
        "nine channels": sfumato.load(nine),
        "pixels": sfumato.load(pixel_model(channels=3)),
        "words to pixels": sfumato.load(build(tmp_path_factory.mktemp("patches"), "x0", TINY, patch=4)),
        **{name: sfumato.load(folder) for name, folder in folders.items()},
    }


def recipe(c: Drawn, pipe: sfumato.Pipe) -> Recipe:
    """The recipe of a combination; a model of pixels is told a class."""
    parts = {axis: AXES[axis][c[axis]] for axis in AXES if axis != "model"}
    parts["sampler"] = parts["sampler"][c["its"]]
    parts |= {axis: parts[axis]() for axis in ("start", "hold")}  # pictures go into the store that a test has
    told: dict[str, Any] = {"prompt": WORDS} if pipe.capabilities.text else {"label": "cat"}
    shows = SHOWS if pipe.capabilities.text else "boat"
    if pipe.capabilities.references:
        told["images"] = (picture(),)
    for axis in ("start", "hold"):
        if hasattr(parts[axis], "shows"):
            parts[axis] = replace(parts[axis], shows=shows)
    return Recipe(model=pipe.name, steps=STEPS, width=SIZE, height=SIZE, seed=3, **told, **parts)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def kept(pipe: sfumato.Pipe, asked: Recipe) -> None:
    """Runs a recipe and holds it to its promises."""
    out = pipe.run(asked).images[0]
    assert out.size == (SIZE, SIZE)
    assert np.isfinite(array(out)).all()
    hold = asked.hold
    if not isinstance(hold, sfumato.Outside):
        return
    if asked.composite.kind != "none" and not (hold.grow or hold.feather):
        assert array(out)[array(mask()) == 0].tolist() == array(picture())[array(mask()) == 0].tolist()
    if asked.composite.kind not in OPTIMISED:
        plain = replace(asked, composite="paste")
        empty = pipe.run(replace(plain, hold=replace(hold, mask=mask(0), grow=0))).images[0]
        assert array(empty).tolist() == array(picture()).tolist()


@pytest.mark.parametrize("c", DRAWN, ids=lambda c: " + ".join(c.values()))
def test_a_combination_keeps_its_promises(pipes, c: Drawn):
    kept(pipes[c["model"]], recipe(c, pipes[c["model"]]))


@pytest.mark.parametrize("c", DRAWN[::5], ids=lambda c: " + ".join(c.values()))
def test_strength_zero_is_the_identity_whatever_else_is_asked(pipes, c: Drawn):
    pipe = pipes[c["model"]]
    kind = "sdedit" if c["start"] in ("noise", "hires-fix", "sdedit") else "inverted"
    still = {"start": kind, "composite": "none", "area": "all"}
    asked = recipe({**c, **still}, pipe)
    out = pipe.run(replace(asked, start=replace(asked.start, strength=0.0))).images[0]
    assert array(out).tolist() == array(picture()).tolist()


@pytest.mark.parametrize("c", DRAWN[::5], ids=lambda c: " + ".join(c.values()))
def test_a_full_mask_is_no_mask_whatever_else_is_asked(pipes, c: Drawn):
    pipe = pipes[c["model"]]
    asked = recipe({**c, "hold": "outside", "area": "all", "composite": "paste"}, pipe)
    full = pipe.run(replace(asked, hold=replace(asked.hold, mask=mask(255)))).images[0]
    free = pipe.run(replace(asked, hold=None)).images[0]
    assert np.abs(array(full) - array(free)).max() <= 1


@pytest.fixture(scope="module")
def mini():
    return sfumato.load("mini")


@pytest.mark.parametrize("c", [c for c in DRAWN if c["model"] == "words"][::3], ids=lambda c: " + ".join(c.values()))
def test_a_trained_model_keeps_them_too(mini, c: Drawn):
    kept(mini, recipe(c, mini))


def test_every_valid_pair_was_drawn_and_every_sampler():
    samplers = [getattr(each, "kind", each) for members in AXES["sampler"].values() for each in members.values()]
    assert set(samplers) == set(Sampler.registry)
    assert {c["its"] for c in DRAWN} == {name for members in AXES["sampler"].values() for name in members}
    for kind in AXES["sampler"]:
        reads = {Sampler.registry[getattr(each, "kind", each)].reads_score for each in AXES["sampler"][kind].values()}
        assert reads == {kind in SCORE}
    for a, b in combinations(AXES, 2):
        for x, y in product(AXES[a], AXES[b]):
            if valid({a: x, b: y}):
                assert any(c[a] == x and c[b] == y for c in DRAWN), (a, x, b, y)
