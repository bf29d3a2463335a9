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
from stock.compare import Both, error, shown, stock, walked

import sfumato
from sfumato import Outside
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput

PROMPT, NEGATIVE = "a red hat", "a boat, a cat"
WIDTH, HEIGHT = sd3.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module", params=[{}, {"later": True}, {"words": False}], ids=["3", "3.5", "without T5"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(sd3.build(**request.param), tmp_path_factory.mktemp("sd3") / "model")


def test_the_latents_are_those_of_stock_diffusers(model: Both):
    """Over the stock scheduler's sigmas, whose smallest is shifted twice."""
    x = torch.randn(1, sd3.CHANNELS, HEIGHT // 2, WIDTH // 2, generator=torch.Generator().manual_seed(3))
    asked = {"num_inference_steps": 5, "latents": x, "negative_prompt": NEGATIVE, "guidance_scale": 4.0, **SIZE}
    theirs = stock(model.stock, PROMPT, **asked)
    sigmas = model.stock.scheduler.sigmas.double()
    knots = model.pipe.stage.at((WIDTH, HEIGHT)).denoiser.schedule.time(sigmas / (1 - sigmas))

    def mine(scale: float) -> torch.Tensor:
        told = {"negative": NEGATIVE, "guidance": [ClassifierFree(scale)], **SIZE}
        return shown(model.pipe, walked(model.pipe, x, PROMPT, knots, **told))

    assert sd3.parity(model.stock, model.pipe) < 1e-4
    assert error(mine(5.0), theirs) > 1e-3, "guidance shows"
    assert error(mine(4.0), stock(model.stock, NEGATIVE, **asked)) > 1e-3, "words show"


def test_a_mask_keeps_the_rest_and_json_says_what_can_be_told(model: Both):
    assert capabilities_of(model.folder) == model.pipe.capabilities
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[5:19, 6:21] = 255
    hold = Outside(Image.fromarray(white), Image.fromarray(pixels))
    made = np.asarray(model.pipe(PROMPT, hold=hold, steps=2, **SIZE).image)
    assert np.array_equal(made[white == 0], pixels[white == 0])
    assert not np.array_equal(made[white != 0], pixels[white != 0])


def test_words_beyond_the_window_of_its_clips_are_read_by_all(model: Both):
    encoder: Any = model.pipe.stage.encoders[0]
    from sfumato.recipe.prompt import parse

    long = parse("a red boat on the sea, " * 15)
    text = encoder.embed([long, parse("a")])
    assert text.embeds.shape[1] == 2 * 77 + 256
    assert text.pooled is not None
    assert text.pooled.shape[1] == 40


def test_larger_pictures_than_it_has_places_for_are_refused(model: Both):
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


def test_a_part_is_left_out_by_the_models_name(tmp_path: Path):
    """Of a folder and of a single file; it is the model whose index names none, and redo finds it again."""
    from sfumato.formats.convert import convert
    from sfumato.provenance import redo

    folder, file, bare = tmp_path / "model", tmp_path / "model.safetensors", tmp_path / "bare"
    sd3.build().save_pretrained(folder)
    sd3.build().save_pretrained(bare)
    index = json.loads((bare / "model_index.json").read_text())
    (bare / "model_index.json").write_text(json.dumps({**index, "text_encoder_3": [None, None]}))
    convert(folder, file)
    told = {"steps": 2, "seed": 3, **SIZE}
    whole, truth = (np.asarray(sfumato.load(each)(PROMPT, **told).image) for each in (folder, bare))
    assert not np.array_equal(whole, truth)
    for name in (folder, file):
        pipe = sfumato.load(f"{name}?without=text_encoder_3")
        assert "text_encoder_3" not in pipe.stage.networks
        result = pipe(PROMPT, **told)
        assert np.array_equal(np.asarray(result.image), truth)
        assert result.recipe.model == pipe.name == f"{name}?without=text_encoder_3"
        picture = result.save(tmp_path / f"{name.name}.png")[0]
        assert np.array_equal(np.asarray(redo(picture).image), truth)
    with pytest.raises(BadInput, match=r"model has no part 'text_encoder_4' to leave out: it has .*text_encoder_3"):
        sfumato.load(f"{folder}?without=text_encoder_4")
    with pytest.raises(BadInput, match="names no vae"):
        sfumato.load(f"{folder}?without=vae")
    with pytest.raises(BadInput, match="is no model folder"):
        sfumato.load(f"{tmp_path}?without=vae")
    for damaged in ("{", "[1]", "3"):
        (bare / "model_index.json").write_text(damaged)
        with pytest.raises(BadInput, match=r"The model_index\.json of .*bare can't be read"):
            sfumato.load(f"{bare}?without=vae")
