"""Qwen-Image beside stock diffusers, and every edit on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import sfumato
from sfumato.network.qwen_image import packed
from tests.stock import qwen_image
from tests.stock.parity import walked

WIDTH, HEIGHT = qwen_image.SIZE


@pytest.fixture(scope="module")
def stock() -> Any:
    pipeline = qwen_image.build()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def folder(stock, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("qwen-image")
    stock.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pipe(folder) -> sfumato.Pipe:
    return sfumato.load(folder)


def test_pictures_are_those_of_the_stock_pipeline(stock, pipe):
    x = torch.randn(1, 4, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(1))
    options = {"width": WIDTH, "height": HEIGHT}
    theirs = stock(
        "a red hat", negative_prompt="blue, and a long text of other things", true_cfg_scale=4.0,
        latents=packed(x).flatten(2).transpose(1, 2), num_inference_steps=5, output_type="pt", **options,
    ).images  # fmt: skip
    latents = walked(pipe, x, "a red hat", negative="blue, and a long text of other things", steps=5, **options)
    ours = pipe.stages[0].space.decode(latents) / 2 + 0.5
    error = (ours - theirs).abs().max()
    print(error, theirs.std())
    assert theirs.std() > 0.01
    assert error < 1e-4
