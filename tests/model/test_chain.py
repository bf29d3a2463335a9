"""Models of several stages: a prior and a decoder, a cascade. Their denoisers are oracles that answer what they are
told, so that the last picture is known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato import Outside, SDEdit, StageOptions
from sfumato.condition import Concat, Condition
from sfumato.denoise import Prediction
from sfumato.edit import Inferred, Inverted
from sfumato.encode import Asked, Encoder
from sfumato.model import Pipe
from sfumato.model.chain import painted_size
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.recipe.capabilities import Capabilities, Suits
from sfumato.sample import DDIM
from sfumato.schedule import Cosine
from sfumato.space import Pixel
from sfumato.space.vector import Vector
from sfumato.stage import Stage

SCHEDULE = Cosine()


class Answering:
    """A denoiser whose x0 is the planes that it is told, wherever x is; told none, x itself."""

    schedule = SCHEDULE

    def __init__(self) -> None:
        self.times: list[float] = []
        self.said: set[float] = set()

    def __call__(self, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> Prediction:
        self.times.append(float(t.max()))
        alpha, sigma = (a.to(x) for a in self.schedule(t))
        x0 = condition.get(Concat).planes
        self.said |= {round(float(each), 3) for each in x0.flatten(1).mean(1)}
        return Prediction(x, x0, (x - alpha * x0) / sigma.clamp(min=1e-6), alpha, sigma)


class Worded(Encoder):
    """Planes of the shape of x: as many thousandths as the prompt has letters."""

    tells = Capabilities(text=True)

    def __init__(self, channels: int, cells: Callable[[tuple[int, int]], tuple[int, int]]) -> None:
        self.channels, self.cells = channels, cells

    def __call__(self, batch: Asked) -> Concat:
        letters = torch.tensor([len(recipe.prompt) / 1000 for recipe in batch.recipes])
        return Concat(letters[:, None, None, None].expand(-1, self.channels, *self.cells(batch.size)))


class Enlarged(Encoder):
    """What the stage before made, `scale` times as large; a vector is the colour of all pixels."""

    tells = Capabilities(references=1)
    follows = True

    def __init__(self, scale: int = 1) -> None:
        self.scale = scale

    def __call__(self, batch: Asked) -> Concat:
        before = batch.before
        if before is None:
            raise BadInput("This stage goes on with what another made.")
        if before.ndim == 2:
            width, height = batch.size
            return Concat(before[:, :, None, None].expand(-1, -1, height, width))
        return Concat(before.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3))


def stage(name: str, space: Any, encoder: Encoder, **options: Any) -> Stage:
    suits = Suits(steps=3, guidance=(), sampler=DDIM())
    return Stage(name, space, Answering(), (encoder,), size=(8, 8), multiple=4, **{"suits": suits, **options})


def piped(*stages: Stage) -> Pipe:
    return Pipe("a chain", stages, *painted_size(stages))


@pytest.fixture
def cascade() -> Pipe:
    small = stage("picture", Pixel(), Worded(3, Pixel().cells))
    return piped(small, stage("upscale", Pixel(), Enlarged(2), scale=2))


@pytest.fixture
def unclip() -> Pipe:
    return piped(stage("prior", Vector(3), Worded(3, Vector(3).cells)), stage("picture", Pixel(), Enlarged()))


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))


def left_half(size: int = 16) -> Image.Image:
    mask = np.zeros((size, size), np.uint8)
    mask[:, : size // 2] = 255
    return Image.fromarray(mask)


def grey(letters: int) -> int:
    return round((letters / 1000 + 1) * 127.5)


def told(pipe: Pipe, name: str) -> list[float]:
    """The times at which a stage was asked."""
    return next(each.denoiser.times for each in pipe.stages if each.name == name)  # type: ignore[attr-defined]


def test_a_cascade_makes_large_what_its_first_stage_painted(cascade):
    assert (cascade.size, cascade.multiple) == ((16, 16), 8)
    result = cascade("a" * 400, steps=2, seed=1)
    assert result.image.size == (16, 16)
    assert {pixel for _, pixel in result.image.getcolors()} == {(grey(400),) * 3}  # pyright: ignore
    assert (len(told(cascade, "picture")), len(told(cascade, "upscale"))) == (2, 3), "the recipe's, and what suits"
    assert [(each.stage, each.steps) for each in result.recipe.stages] == [("upscale", 3)]
    wide = cascade("a" * 400, steps=2, width=32, height=16)
    assert wide.image.size == (32, 16)


def test_a_prior_makes_the_vector_that_the_decoder_is_told(unclip):
    result = unclip(["a" * 100, "b" * 900][1], steps=2)
    assert {pixel for _, pixel in result.image.getcolors()} == {(grey(900),) * 3}  # pyright: ignore
    assert len(told(unclip, "prior")) == 3
    assert unclip.stage.name == "picture"
    assert unclip.capabilities.text, "the prior reads"
    assert [(each.stage, each.steps) for each in result.recipe.stages] == [("prior", 3)]


def test_a_prior_rests_where_the_decoder_is_shown_a_picture(unclip, photo):
    with pytest.raises(BadInput, match="goes on with what another made"):
        unclip("", images=[photo], steps=2)  # this decoder can't; it was asked alone
    assert told(unclip, "prior") == []


def test_words_that_a_picture_shows_go_through_the_prior_too(unclip, photo):
    """Those of an inversion, of an inferred mask, and of the picture that is painted beside an edited one."""
    words = {"start": Inverted(photo, 0.5, "b" * 200, refine=0), "steps": 2}
    unclip("a" * 700, **words)
    assert unclip.stage.denoiser.said == {0.2, 0.7}
    steps = list(unclip.steps("a" * 700, hold=Inferred("c" * 300, draws=1), count=2, **words))
    assert [step.index for step in steps] == list(range(1, steps[-1].total + 1))
    assert unclip.stage.denoiser.said == {0.2, 0.3, 0.7}


def test_steps_are_counted_and_previews_shown(unclip, cascade, photo):
    for pipe in (unclip, cascade):
        steps = list(pipe.steps("words", steps=4))
        assert [step.index for step in steps] == list(range(1, 8))
        assert {step.total for step in steps} == {7}
        assert all(step.preview()[0].size for step in steps)
    held = list(cascade.steps("w", start=Inverted(photo, 0.5, "x", refine=0), hold=Inferred("x", draws=1), steps=2))
    assert held[-1].index == held[-1].total == len(held)


def test_options_of_stages_are_said_by_name_and_written_out(cascade):
    recipe = cascade.recipes("words", steps=2, stages=[StageOptions("upscale", steps=5, sampler="ddpm")])[0]
    resolved = cascade.resolve(recipe)
    assert cascade.resolve(resolved) == resolved
    assert Recipe.from_json(resolved.to_json()) == resolved
    cascade.run(recipe)
    assert len(told(cascade, "upscale")) == 5
    for wrong in ("prior", "picture"):
        with pytest.raises(BadInput, match="accepted are upscale"):
            cascade("words", stages=[StageOptions(wrong, steps=5)])
    with pytest.raises(BadInput, match="twice"):
        cascade("words", stages=[StageOptions("upscale"), StageOptions("upscale")])
    with pytest.raises(BadInput, match="one stage"):
        piped(cascade.stages[0])("words", stages=[StageOptions("upscale")])


def test_sdedit_is_every_stage_s_and_strength_0_changes_nothing(cascade, photo):
    assert cascade("words", start=SDEdit(photo, 0.0), steps=2).image.tobytes() == photo.tobytes()
    cascade("words", start=SDEdit(photo, 0.5), steps=2)
    assert max(told(cascade, "picture")) == max(told(cascade, "upscale")) == 0.5
    with pytest.raises(BadInput, match="multiple of 8"):
        cascade("words", width=20, height=16)


def test_what_is_held_stays_to_the_byte_and_at_every_stage(cascade, photo):
    for hold, start in (
        (Outside(left_half()), SDEdit(photo, 1.0)),
        (Inferred("x", draws=1), Inverted(photo, 0.6, "x", refine=0)),
    ):
        result = cascade("a" * 800, start=start, hold=hold, steps=2)
        kept = np.asarray(result.masks[0] or left_half()) == 0
        assert (np.asarray(result.image)[kept] == np.asarray(photo)[kept]).all()
    assert (np.asarray(cascade("a" * 800, start=SDEdit(photo, 1.0), hold=Outside(left_half()), steps=2,
                               composite="none").image)[:, 9:] == np.asarray(photo)[:, 9:]).all()  # fmt: skip


def test_a_picture_is_the_same_alone_and_in_a_batch(cascade):
    noisy = replace(cascade.stages[1], encoders=(Speckled(),))
    pipe = replace(cascade, stages=(cascade.stages[0], noisy))
    both = pipe("words", count=2, seed=5, steps=2)
    assert both.images[1].tobytes() == pipe("words", seed=6, steps=2).image.tobytes()
    assert both.images[0].tobytes() != both.images[1].tobytes()


class Speckled(Encoder):
    """Noise of the picture's own in the place of what was made."""

    def __call__(self, batch: Any) -> Concat:
        return Concat(batch.noise(batch.like, "speckle"))


def test_a_model_that_only_makes_vectors_is_no_model_of_pictures(monkeypatch, tmp_path):
    prior = stage("prior", Vector(3), Worded(3, Vector(3).cells))
    monkeypatch.setattr(sys.modules["sfumato.model.load"], "read_stages", lambda *_, **__: (tmp_path, (prior,)))
    with pytest.raises(BadInput, match="paints no pictures: join the one that goes on"):
        sfumato.load("mini")


def test_models_are_joined_by_name(monkeypatch, tmp_path, cascade):
    known = dict(zip(("first", "second"), cascade.stages, strict=True))
    monkeypatch.setattr(
        sys.modules["sfumato.model.load"], "read_stages", lambda name, *_, **__: (tmp_path, (known[name],))
    )
    pipe = sfumato.load("first + second + second")
    assert [each.name for each in pipe.stages] == ["picture", "upscale", "upscale 2"]
    assert (pipe.name, pipe.size) == ("first + second + second", (32, 32))


def test_a_model_that_looks_at_nothing_of_the_one_before_is_not_joined(tiny_model):
    with pytest.raises(BadInput, match=r"does not go on with what .* makes: it looks at nothing of a stage before it"):
        sfumato.load(f"{tiny_model} + {tiny_model}")
