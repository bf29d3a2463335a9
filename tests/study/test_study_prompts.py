"""The study of additional prompts: what is moved in latent space is the prompt, by the gradient of the quality."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sfumato
from sfumato import study
from sfumato.condition import Text
from sfumato.evaluate.adherence import Drawn
from sfumato.sample import DDIM
from sfumato.space.pixels import to_tensor
from sfumato.study import prompts
from sfumato.study.additional_prompt import SIDES, asked, bound, moved, painted, scene_of, with_extra
from sfumato.study.control_nets import nets_for
from sfumato.study.improved_prompt import Quality, walked
from sfumato.study.study import Model

SMALL = ["inputs=1", "each=1", "steps=1", "iterations=1", "walk=1", "batch=1", "positive=[good, excellent]",
         "negative=[bad, terrible]"]  # fmt: skip


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> sfumato.Pipe:
    return sfumato.load(str(tiny_model))


def nothing(*_: Any) -> None:
    pass


def test_ten_inputs_are_ten_things_of_one_word():
    words = [scene_of(n)["subject"] for n in range(13)]
    assert len(set(words)) == 13
    assert scene_of(13) != scene_of(0)
    assert scene_of(13)["subject"] in words


def test_a_delta_of_zero_is_the_prompt_to_the_bit_and_any_other_moves_its_side_alone(pipe):
    recipe, _ = asked(pipe, scene_of(0), None, 4.0, 2, 3)
    for side in SIDES:
        extra = with_extra(recipe, side, "good")
        plain = np.asarray(pipe.run(pipe.resolve(extra)).images[0])
        text = bound(pipe, extra).denoise.condition.get(Text)
        zero = torch.zeros_like(text.embeds)
        assert np.array_equal(painted(pipe, extra, side, zero), plain)
        assert not np.array_equal(painted(pipe, extra, side, zero + 1), plain)
    alone, _ = asked(pipe, scene_of(0), None, 1.0, 2, 3)  # without guidance nobody hears the negative prompt
    assert np.array_equal(
        painted(pipe, with_extra(alone, "negative", "bad"), "negative", zero + 1), painted(pipe, alone)
    )


@pytest.mark.parametrize("side", SIDES)
def test_the_gradient_goes_through_all_steps(pipe, side):
    """d quality / d delta along a direction, against the difference of two walks."""
    recipe, _ = asked(pipe, scene_of(0), None, 4.0, 3, 5)
    run, quality = bound(pipe, replace(with_extra(recipe, side, "good"), sampler=DDIM())), Quality()
    text = run.denoise.condition.get(Text)
    delta = torch.zeros_like(text.embeds).requires_grad_()

    def value(delta: torch.Tensor) -> torch.Tensor:
        x = walked(run, moved(run.denoise.condition, side, delta))
        return quality(pipe.stage.space.decode(x), ["woman"])[0].sum()

    (gradient,) = torch.autograd.grad(value(delta), [delta])
    direction, step = gradient / gradient.norm(), 0.05
    with torch.no_grad():
        change = (value(step * direction) - value(-step * direction)) / (2 * step)
    assert float(gradient.norm()) > 0
    torch.testing.assert_close(change, gradient.norm(), rtol=0.05, atol=1e-6)


def test_the_judge_holds_a_true_picture_for_better_than_noise_and_than_what_was_not_asked():
    pictures = to_tensor([Drawn.of(scene_of(n), 64).picture for n in range(4)])
    words, quality = [scene_of(n)["subject"] for n in range(4)], Quality()
    with torch.no_grad():
        right, said = quality(pictures, words)
        assert (right > -0.6).all()
        assert (said > 0.9).all()
        assert (quality(pictures, words[1:] + words[:1])[0] < right - 1).all()
        assert (quality(torch.rand(4, 3, 64, 64) * 2 - 1, words)[0] < right - 1).all()


def test_it_runs_from_end_to_end(tiny_model, tmp_path):
    page = study.run("prompts", model=str(tiny_model), out=tmp_path, settings=SMALL, progress=False)
    assert "No trained network of canny" in page.read_text()
    with open(tmp_path / "table.csv", newline="") as file:
        rows = {row["prompt"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["none", "none, another noise", "good", "excellent", "bad", "terrible", "positive, improved",
                          "negative, improved"]  # fmt: skip
    assert float(rows["none"]["ssim"]) == pytest.approx(1)
    assert float(rows["none, another noise"]["ssim"]) < float(rows["good"]["ssim"]) < 1
    for side, prompt in (("positive", "excellent"), ("negative", "terrible")):
        assert rows[f"{side}, improved"]["quality"] != rows[prompt]["quality"]


def test_a_network_that_was_never_trained_changes_nothing(tiny_model, tmp_path):
    from diffusers import ControlNetModel, UNet2DConditionModel

    net: Any = ControlNetModel.from_unet(
        UNet2DConditionModel.from_pretrained(tiny_model / "unet"), conditioning_embedding_out_channels=(8, 16)
    )
    net.save_pretrained(tmp_path)
    model = Model.named(str(tiny_model))
    shown = nets_for(("canny",), [f"canny={tmp_path}"], model)["canny"]
    told = {"guidance": 4.0, "steps": 1, "each": 1, "positive": ("good",), "negative": ("bad",), "number": 1}
    words, edges = (prompts.paint(nothing, model, net, **told) for net in (None, shown))
    assert np.array_equal(words["figures"], edges["figures"])
    assert np.array_equal(words["shown"], edges["shown"])


def test_a_mean_over_inputs_has_an_interval_over_inputs():
    draw = np.random.default_rng(0)
    inputs = draw.normal(2, 1, (200, 1)) + draw.normal(0, 0.1, (200, 5))
    figure = prompts.averaged(inputs)
    assert figure.value == pytest.approx(inputs.mean())
    assert figure.high - figure.value == pytest.approx(1.96 * inputs.mean(1).std() / np.sqrt(200), rel=0.1)
