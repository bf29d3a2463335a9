"""Stable Diffusion 3 and 3.5: the latents of stock diffusers with its T5 and without, edits, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stock import stable_diffusion_3 as sd3
from stock.watched import error, stock

import sfumato
from sfumato import Outside
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree
from sfumato.model.batch import Batch
from sfumato.picture import BadInput
from sfumato.sample import Euler, trajectory

PROMPT, NEGATIVE = "a red hat", "a boat, a cat"
WIDTH, HEIGHT = sd3.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


class Model:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.stock, self.folder = sd3.build(**options), folder
        self.stock.save_pretrained(folder)
        self.pipe = sfumato.load(folder)


@pytest.fixture(scope="module", params=[{}, {"later": True}, {"words": False}], ids=["3", "3.5", "without T5"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("sd3") / "model", **request.param)


def walked(pipe: sfumato.Pipe, x: torch.Tensor, sigmas: torch.Tensor, scale: float) -> torch.Tensor:
    """Our Euler with the stock scheduler's sigmas, whose smallest is shifted twice, as what its decoder is given."""
    recipe = pipe.resolve(pipe.recipes(PROMPT, negative=NEGATIVE, guidance=[ClassifierFree(scale)], **SIZE)[0])
    batch = Batch(pipe.stages[0].at((WIDTH, HEIGHT)), [recipe], (WIDTH, HEIGHT))
    times = batch.schedule.time(sigmas.double() / (1 - sigmas.double()))
    *_, last = trajectory(batch.denoise(recipe.guidance), Euler(), x, times, batch.noise)
    space: Any = pipe.stages[0].space
    return last.x / space.scale + space.shift


def test_the_latents_are_those_of_stock_diffusers(model: Model):
    x = torch.randn(1, sd3.CHANNELS, HEIGHT // 2, WIDTH // 2, generator=torch.Generator().manual_seed(3))
    asked = {"num_inference_steps": 5, "latents": x, "negative_prompt": NEGATIVE, "guidance_scale": 4.0, **SIZE}
    theirs = stock(model.stock, PROMPT, **asked)
    mine = walked(model.pipe, x, model.stock.scheduler.sigmas, 4.0)
    assert error(mine, theirs) < 1e-4
    assert error(walked(model.pipe, x, model.stock.scheduler.sigmas, 5.0), theirs) > 1e-3, "guidance shows"
    assert error(mine, stock(model.stock, NEGATIVE, **asked)) > 1e-3, "words show"


def test_a_mask_keeps_the_rest_and_json_says_what_can_be_told(model: Model):
    assert capabilities_of(model.folder) == model.pipe.stages[0].capabilities
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[5:19, 6:21] = 255
    hold = Outside(Image.fromarray(white), Image.fromarray(pixels))
    made = np.asarray(model.pipe(PROMPT, hold=hold, steps=2, **SIZE).image)
    assert np.array_equal(made[white == 0], pixels[white == 0])
    assert not np.array_equal(made[white != 0], pixels[white != 0])


def test_words_beyond_the_window_of_its_clips_are_read_by_all(model: Model):
    encoder: Any = model.pipe.stages[0].encoders[0]
    from sfumato.recipe.prompt import parse

    long = parse("a red boat on the sea, " * 15)
    text = encoder.embed([long, parse("a")])
    assert text.embeds.shape[1] == 2 * 77 + 256
    assert text.pooled is not None
    assert text.pooled.shape[1] == 40


def test_larger_pictures_than_it_has_places_for_are_refused(model: Model):
    with pytest.raises(BadInput, match="places for 32 x 32 cells, and this picture takes 36 x 12"):
        model.pipe(PROMPT, width=72, height=24, steps=1)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("text_encoder_3", None, ("text_encoder_3", "missing")),
        ("text_encoder_2", {"projection_dim": 20}, ("text_encoder_2", "shapes")),
        ("transformer", {"pos_embed_type": "round"}, ("transformer", "pos_embed_type")),
        ("transformer", {"dual_attention_layers": [0, 1]}, ("transformer", "lacks weights")),
    ],
)
def test_a_broken_folder_is_one_sentence(tmp_path: Path, part: str, change: Any, words: tuple[str, ...]):
    folder = tmp_path / "model"
    sd3.build(later=True).save_pretrained(folder)
    config = folder / part / "config.json"
    if change is None:
        shutil.rmtree(folder / part)
    else:
        config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(BadInput) as caught:
        sfumato.load(folder)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
