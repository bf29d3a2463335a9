"""FLUX.1 Fill: what it is shown, and the latents of stock diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from stock import flux_fill as fill
from stock.compare import Both, error, ran, shown, stock

import sfumato
from sfumato import Outside
from sfumato.formats import capabilities_of
from sfumato.guide import Distilled
from sfumato.picture import BadInput

PROMPT = "a red hat"
WIDTH, HEIGHT = fill.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(fill.build(), tmp_path_factory.mktemp("fill") / "model")


def scene() -> tuple[Image.Image, Image.Image]:
    """A picture, and a mask whose hole is no multiple of a cell, with soft edges."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:-4, 7:20] = 255
    mask[4, 7:20] = 127
    return Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), Image.fromarray(mask)


def test_the_latents_are_those_of_stock_diffusers(model: Both, monkeypatch: pytest.MonkeyPatch):
    """Of their masked picture the mean is taken, as we do, instead of a draw."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    picture, mask = scene()
    start, end = ran(model.pipe, PROMPT, hold=Outside(mask, picture), composite="none", steps=4, seed=3, **SIZE)
    mine = shown(model.pipe, end)

    def theirs(hole: Image.Image) -> torch.Tensor:
        shown = {"image": picture, "mask_image": hole, "latents": start[..., :16]}
        return stock(model.stock, PROMPT, num_inference_steps=4, **shown, **fill.CALL, **SIZE)

    assert fill.parity(model.stock, model.pipe) < 1e-4
    assert error(mine, theirs(mask)) < 1e-4
    assert error(mine, theirs(Image.fromarray(255 - np.asarray(mask)))) > 1e-3, "what is shown shows"


def test_it_is_shown_every_pixel_of_the_mask_and_what_is_left(model: Both):
    picture, mask = scene()
    start, _ = ran(model.pipe, PROMPT, hold=Outside(mask, picture), steps=1, **SIZE)
    assert start.shape[2] == 16 + fill.BESIDE
    pixels = start[0, :, 32:].unflatten(0, (HEIGHT // 4, WIDTH // 4)).unflatten(2, (2, 2, 2, 2))
    whole = pixels.permute(0, 4, 2, 1, 5, 3).reshape(HEIGHT, WIDTH)  # row, row in cell row ..., of a token's cells
    assert np.array_equal(whole.numpy(), np.asarray(mask) >= 128)


def test_the_rest_keeps_its_bytes_and_the_model_is_one_that_inpaints(model: Both):
    picture, mask = scene()
    made = np.asarray(model.pipe(PROMPT, hold=Outside(mask, picture), steps=2, **SIZE).image)
    outside = np.asarray(mask) == 0
    assert np.array_equal(made[outside], np.asarray(picture)[outside])
    assert not np.array_equal(made[~outside], np.asarray(picture)[~outside])
    told = model.pipe.capabilities
    assert told == capabilities_of(model.folder)
    assert told.inpaints
    assert told.suits.guidance == (Distilled(30.0),)


def test_a_transformer_of_other_channels_is_refused(tmp_path: Path):
    from stock import flux

    flux.build("FluxFillPipeline", beside=20).save_pretrained(tmp_path / "model")
    with pytest.raises(BadInput, match=r"takes 36 channels and answers 16; accepted are 16 .* and 48"):
        sfumato.load(tmp_path / "model")
