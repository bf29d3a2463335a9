"""Qwen-Image beside stock diffusers, and every edit on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stock import qwen_image
from stock.compare import tokens, walked
from stock.edits import edits_keep_and_return

import sfumato
from sfumato.condition import Condition, Text
from sfumato.denoise import Prediction
from sfumato.edit import PromptToPrompt
from sfumato.formats import capabilities_of
from sfumato.formats.flow_config import flow_schedule
from sfumato.guide import ClassifierFree, NormPreserving, PerturbedAttention
from sfumato.picture import BadInput
from sfumato.schedule import Flow
from sfumato.times import StretchedGrid

WIDTH, HEIGHT = SIZE = qwen_image.SIZE
OPTIONS: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
LONG = "blue, and a long text of other things"


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
    assert qwen_image.parity(stock, pipe) < 1e-5
    x = torch.randn(1, 4, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(1))
    asked = {"negative_prompt": LONG, "true_cfg_scale": 4.0, "num_inference_steps": 5, **OPTIONS}
    shown = stock("a red hat", latents=tokens(x), output_type="pt", **asked).images
    with torch.no_grad():
        ours = walked(pipe, x, "a red hat", negative=LONG, steps=5, **OPTIONS)
        assert (pipe.stage.space.decode(ours) / 2 + 0.5 - shown).abs().max() < 1e-5


@pytest.mark.parametrize("steps", [2, 7, 50])
def test_the_stretched_grid_is_that_of_the_stock_scheduler(stock, steps):
    config = dict(stock.scheduler.config)
    scheduler = type(stock.scheduler).from_config(config)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=0.7)
    _, sigma = Flow(float(np.exp(0.7)))(StretchedGrid(0.02)(steps, Flow(float(np.exp(0.7)))))
    torch.testing.assert_close(sigma.float(), scheduler.sigmas, rtol=1e-5, atol=1e-6)
    assert float(sigma[-2]) == pytest.approx(0.02)
    schedule = flow_schedule({"_class_name": type(stock.scheduler).__name__, **config}, "it", lambda size: 34)
    assert schedule((0, 0)).shift == pytest.approx(np.exp(0.7))  # half-way between 4 and 64 tokens: 0.5 and 0.9


def test_norm_preserving_guidance_turns_velocities_and_keeps_their_length():
    x, c, u = torch.randn(3, 2, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alpha, sigma = torch.tensor(0.8), torch.tensor(0.45)
    t = torch.tensor(0.5)

    def answer(v: torch.Tensor) -> Prediction:
        whole = alpha + sigma
        return Prediction(x, (x - sigma * v) / whole, (x + alpha * v) / whole, alpha, sigma)

    guided = NormPreserving(3.0).combine(answer(c), {"conditional": answer(c), "unconditional": answer(u)}, x, t)
    torch.testing.assert_close(alpha * guided.x0 + sigma * guided.eps, x)
    velocity, plain = guided.eps - guided.x0, u + 3 * (c - u)
    for row, column in ((0, 0), (2, 4)):
        token, free, told = (a[:, :, row : row + 2, column : column + 2].flatten(1) for a in (velocity, plain, c))
        torch.testing.assert_close(token.norm(dim=1), told.norm(dim=1))
        torch.testing.assert_close(torch.cosine_similarity(token, free), torch.ones(2, dtype=torch.float64))
    empty = Condition((Text(torch.zeros(2, 1, 1)),))
    assert NormPreserving(1.0).branches(empty, t) == {}


def test_every_edit_works_on_it(pipe):
    edits_keep_and_return(pipe, SIZE)


def test_a_picture_in_a_batch_is_the_picture_made_alone_to_the_bit(folder):
    pipe = sfumato.load(folder, engine="exact")
    recipes = [pipe.recipes(words, seed=n, steps=2, **OPTIONS)[0] for n, words in enumerate(("a cat", "a red hat"))]
    alone = [pipe.run(recipe).image.tobytes() for recipe in recipes]
    assert alone == [image.tobytes() for image in pipe.run(recipes).images]


def test_what_it_can_be_told_is_read_from_json_alone(folder, pipe):
    assert capabilities_of(folder) == pipe.capabilities
    suits = pipe.stage.suits
    assert (suits.steps, suits.guidance, suits.times) == (50, (NormPreserving(4.0),), StretchedGrid(0.02))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"guidance": [PerturbedAttention()]}, "perturbed-attention out"),
        ({"attention": PromptToPrompt("a dog")}, "prompt-to-prompt out"),
        ({"prompt": "a (red:1.3) hat"}, "no weights"),
        ({"prompt": "a hat BREAK a cat"}, "leave BREAK out"),
        ({"prompt": "a hat <|image_pad|>"}, "where a picture is seen"),
        ({"prompt": "very " * 300}, "at most 1024"),
    ],
)
def test_what_it_can_not_do_is_refused_by_name(pipe, options, words):
    with pytest.raises(BadInput, match=words):
        pipe(**{"prompt": "a cat", **options, **OPTIONS})


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("transformer/config.json", {"guidance_embeds": True}, ["transformer", "guidance_embeds"]),
        ("transformer/config.json", {"strange": 1}, ["transformer", "strange"]),
        ("transformer/config.json", {"_class_name": "FluxTransformer2DModel"}, ["transformer", "FluxTransformer"]),
        ("transformer/config.json", {"joint_attention_dim": 16}, ["transformer", "shape"]),
        ("scheduler/scheduler_config.json", {"shift_terminal": 2}, ["scheduler", "shift_terminal"]),
        ("scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"}, ["scheduler", "flow matching"]),
        ("vae/config.json", {"z_dim": 5}, ["vae"]),
        ("model_index.json", {"text_encoder": ["transformers", "CLIPTextModel"]}, ["text_encoder", "Qwen2_5_VL"]),
        ("model_index.json", {"text_encoder": [None, None]}, ["no text_encoder"]),
        ("model_index.json", {"controlnet": ["diffusers", "X"]}, ["not run: controlnet"]),
    ],
)
def test_a_broken_folder_is_one_sentence(folder, tmp_path, file, change, words):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput) as caught:
        sfumato.load(copy)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_file_cut_short_is_one_sentence(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"text_encoder.*damaged or incomplete"):
        sfumato.load(copy)


def test_classifier_free_guidance_goes_with_it_too(pipe):
    pipe("a cat", guidance=[ClassifierFree(2.0)], steps=1, **OPTIONS)
