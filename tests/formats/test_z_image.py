"""Z-Image beside stock diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stock import z_image
from stock.edits import edits_keep_and_return

import sfumato
from sfumato.formats import capabilities_of
from sfumato.guide import PerturbedAttention
from sfumato.picture import BadInput

WIDTH, HEIGHT = SIZE = z_image.SIZE


@pytest.fixture(scope="module")
def stock() -> Any:
    pipeline = z_image.build()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def folder(stock, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("z-image")
    stock.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pipe(folder) -> sfumato.Pipe:
    return sfumato.load(folder)


@pytest.mark.parametrize("w", [0.0, 3.0])
def test_pictures_are_those_of_the_stock_pipeline(stock, pipe, w):
    assert z_image.parity(stock, pipe, w) < 1e-4


def test_turbo_suits_eight_steps_without_guidance(folder, pipe):
    assert capabilities_of(folder) == pipe.capabilities
    suits = pipe.stage.suits
    assert (suits.steps, suits.guidance) == (8, ())


def test_every_edit_works_on_it(pipe):
    edits_keep_and_return(pipe, SIZE)


def test_what_joint_attention_makes_impossible_is_refused(pipe):
    with pytest.raises(BadInput, match="perturbed-attention out"):
        pipe("a cat", guidance=[PerturbedAttention()], width=WIDTH, height=HEIGHT)


def test_a_text_longer_than_the_window_is_refused(pipe):
    with pytest.raises(BadInput, match="at most 512"):
        pipe("very " * 120, steps=1, width=WIDTH, height=HEIGHT)
