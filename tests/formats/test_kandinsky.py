"""Kandinsky 2.2 beside stock diffusers: its prior, its decoder, both together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from stock import kandinsky
from stock.compare import Watched, error
from stock.edits import half
from stock.kandinsky import SIDE, WIDTH
from stock.stages import recipe_of, start, steps, walked

import sfumato
from sfumato import Outside, SDEdit
from sfumato.condition import Concat, Image
from sfumato.control import ControlNet
from sfumato.encode import Told
from sfumato.formats import capabilities_named, capabilities_of, format_of
from sfumato.formats.parts import Parts
from sfumato.guide import ClassifierFree, DynamicThreshold, PerturbedAttention, StaticThreshold
from sfumato.network.engine import engine_of
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.sample import DDIM
from sfumato.space.pixels import mask_to_tensor, to_tensor
from sfumato.stage import Stage
from sfumato.times import LeadingGrid, TrailingGrid

PROMPT = "a red boat on the sea"
SIZE = (SIDE, SIDE)


def stages_of(folder: Path) -> tuple[Stage, ...]:
    return format_of(folder).stages(Parts(folder), engine_of("eager"))


class Whole:
    def __init__(self, folder: Path) -> None:
        self.stock, self.folder = kandinsky.build(), folder
        self.stock.set_progress_bar_config(disable=True)
        self.stock.save_pretrained(folder)
        self.prior, self.decoder = stages_of(folder)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("kandinsky"))


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Stage]:
    stock, folder = kandinsky.inpainting(), tmp_path_factory.mktemp("inpainting")
    stock.set_progress_bar_config(disable=True)
    stock.save_pretrained(folder)
    return stock, folder, stages_of(folder)[0]


def test_the_prior_draws_what_stock_diffusers_draws(both: Whole):
    with Watched(both.prior.networks["prior"], "hidden_states") as asked:
        ours, theirs = kandinsky.prior_of(both.stock, both.prior)
    assert {len(call) for call in asked.calls} == {2}, "told the prompt, and nothing"
    assert error(ours[:, :WIDTH], theirs.image_embeds) < 1e-4
    assert error(ours[:, 2 * WIDTH :], theirs.negative_image_embeds) < 1e-4, "a black picture, as CLIP sees it"
    unguided = recipe_of(both.prior, PROMPT, guidance=(StaticThreshold(limit=1.5),))
    plain = both.prior.space.decode(walked(both.prior, start(both.prior, SIZE), unguided, SIZE))
    assert error(plain[:, :WIDTH], theirs.image_embeds) > 1e-2


def test_a_negative_prompt_guides_the_prior_and_has_an_embedding_of_its_own(both: Whole):
    with Watched(both.prior.networks["prior"], "hidden_states") as asked:
        ours, theirs = kandinsky.prior_of(both.stock, both.prior, "a dog")
    assert {len(call) for call in asked.calls} == {4}
    assert error(ours[:, :WIDTH], theirs.image_embeds) < 1e-4
    assert error(ours[:, WIDTH : 2 * WIDTH], theirs.negative_image_embeds) < 1e-4


def test_what_suits_a_prior_is_its_schedulers(both: Whole):
    suits = both.prior.suits
    assert (suits.steps, suits.guidance) == (25, (ClassifierFree(4.0), StaticThreshold(limit=1.5)))
    assert both.prior.space.cells((512, 512)) == (1, 1)
    assert not both.prior.space.paints


def test_the_decoder_paints_what_stock_diffusers_paints(both: Whole):
    embeds, x = torch.randn(3, WIDTH), torch.randn(1, 4, 32, 32)
    assert kandinsky.decoded(both.stock, both.decoder, embeds, 2) < 1e-4
    assert kandinsky.decoded(both.stock, both.decoder, embeds, 1, "a dog") < 1e-4
    with torch.no_grad():
        assert error(both.decoder.space.decode(x), both.stock.movq.decode(x, force_not_quantize=True).sample) < 1e-4


def test_a_learned_variance_is_stocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """DDPM steps with the variance that the network says, and dynamic thresholding as the scheduler's config says."""
    from diffusers import DDPMScheduler
    from diffusers.schedulers import scheduling_ddpm

    from sfumato.sample import DDPM

    stock = kandinsky.build()
    stock.decoder_pipe.scheduler = stock.scheduler = DDPMScheduler(
        beta_schedule="linear",
        beta_start=0.00085,
        beta_end=0.012,
        variance_type="learned_range",
        thresholding=True,
        sample_max_value=2.0,
    )  # leading: where the walk ends with an index of 0, which has no noise
    stock.decoder_pipe.set_progress_bar_config(disable=True)
    stock.decoder_pipe.save_pretrained(tmp_path)
    (stage,) = stages_of(tmp_path)
    assert stage.suits.guidance == (ClassifierFree(4.0), DynamicThreshold(largest=2.0))
    x, embeds = torch.randn(1, 4, 32, 32), torch.randn(3, WIDTH)
    recipe = recipe_of(stage, sampler=DDPM(variance="learned"), times=LeadingGrid(offset=0))
    ours = walked(stage, x, recipe, (64, 64), before=embeds.reshape(1, -1))
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", steps(x))
    theirs = stock.decoder_pipe(
        image_embeds=embeds[:1],
        negative_image_embeds=embeds[2:],
        latents=x,
        output_type="latent",
        height=64,
        width=64,
        num_inference_steps=4,
        guidance_scale=4.0,
    ).images
    assert error(ours, theirs) < 1e-4


def test_the_decoder_alone_sees_a_reference_picture(both: Whole, picture: Pillow.Image):
    stage = both.decoder
    told = Told([Recipe(), Recipe()], SIZE, stage.denoiser.schedule, references=[picture])
    image = stage.condition(told).get(Image)
    assert image is not None
    pixels = both.stock.prior_image_processor(images=picture, return_tensors="pt").pixel_values
    with torch.no_grad():
        theirs = both.stock.prior_image_encoder(pixels).image_embeds
    assert error(image.embeds[1], theirs) < 1e-5
    assert error(image.null().embeds[1], both.stock.prior_pipe.get_zero_embed()) < 1e-5
    with pytest.raises(BadInput, match="like another"):
        stage.condition(Told([Recipe()], SIZE, stage.denoiser.schedule))


def test_a_controlnet_answers_in_the_decoders_place(both: Whole, tmp_path: Path, picture: Pillow.Image):
    """Alone, at weight 1, it is stock's pipeline; otherwise F + w (F' - F)."""
    stock, stage, size = kandinsky.controlled(both.stock, tmp_path), both.decoder, (64, 64)
    torch.manual_seed(0)
    x, embeds = torch.randn(1, 4, 32, 32), torch.randn(3, WIDTH)
    hint = torch.nn.functional.interpolate((to_tensor([picture.resize(size)]) + 1) / 2, (256, 256), mode="area")
    told = {"image_embeds": embeds[:1], "negative_image_embeds": embeds[2:], "latents": x, "hint": hint}
    with Watched(stock.movq.post_quant_conv) as end:
        stock(**told, height=64, width=64, num_inference_steps=4, guidance_scale=4.0, output_type="pt")
    control = ControlNet(picture.resize(size), tmp_path)
    options = {"sampler": DDIM(), "times": TrailingGrid(), "guidance": (ClassifierFree(4.0),)}

    def ours(*controls: Any) -> torch.Tensor:
        recipe = recipe_of(stage, controls=controls, **options)
        return walked(stage, x, recipe, size, before=embeds.reshape(1, -1))

    assert error(ours(control), end.calls[0]) < 1e-3
    plain = ours()
    assert torch.equal(ours(control * 0.0), plain)
    assert error(ours(control), plain) > 0.1
    assert torch.equal(ours(replace(control, mask=Pillow.new("L", size))), plain), "nowhere"
    both_halves = [replace(control, mask=half(size)), replace(control, mask=half(size).rotate(180))]
    assert error(ours(*both_halves), ours(control)) < 1e-3
    with pytest.raises(BadInput, match="name this folder as a control"):
        sfumato.load(tmp_path)
    with pytest.raises(BadInput, match="paints, and no ControlNet"):
        ours(ControlNet(picture, both.folder / "unet"))


def test_a_decoder_without_an_eye_needs_a_prior(inpainting: tuple[Any, Path, Stage], picture: Pillow.Image):
    _, folder, stage = inpainting
    assert capabilities_of(folder).references == stage.capabilities.references == 0
    with pytest.raises(BadInput, match="a prior makes of words"):
        stage.condition(Told([Recipe()], SIZE, stage.denoiser.schedule, references=[picture]))


def test_what_is_held_is_shown_as_stock_shows_it(
    inpainting: tuple[Any, Path, Stage], picture: Pillow.Image, mask: Pillow.Image
):
    stock, folder, stage = inpainting
    assert capabilities_of(folder).inpaints
    embeds = torch.randn(3, WIDTH)
    big = [each.resize((64, 64), Pillow.Resampling.NEAREST) for each in (picture, mask)]
    with Watched(stock.unet, "sample") as network:
        stock(embeds[:1], *big, embeds[2:], height=64, width=64, num_inference_steps=1, output_type="latent")
    from sfumato.formats.kandinsky import kept_planes

    planes = kept_planes(stage.space, to_tensor([big[0]]), mask_to_tensor(big[1]))
    assert torch.allclose(planes, network.calls[0][:1, 4:], atol=1e-5)
    x = torch.randn(1, 4, 32, 32)
    told = Told([Recipe()], (64, 64), stage.denoiser.schedule, {"held": big[0]}, big[1], before=embeds.reshape(1, -1))
    condition = stage.condition(told)
    concat = condition.get(Concat)
    assert concat is not None
    assert torch.equal(concat.planes, planes)
    with torch.no_grad():
        answer = stage.denoiser.output(x, torch.tensor(1.0), condition)  # pyright: ignore[reportAttributeAccessIssue]
        theirs = stock.unet(torch.cat([x, planes], 1), 999, None, added_cond_kwargs={"image_embeds": embeds[:1]}).sample
    assert error(answer, theirs) < 1e-5


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("unet/config.json", {"in_channels": 5}, "unet"),
        ("unet/config.json", {"addition_embed_type": None}, "addition_embed_type"),
        ("unet/config.json", {"encoder_hid_dim": 16}, "unet"),
        ("movq/config.json", {"norm_type": "group"}, "norm_type"),
        ("prior_prior/config.json", {"num_embeddings": 30}, "prior_prior"),
        ("prior_prior/config.json", {"added_emb_type": None}, "added_emb_type"),
        ("prior_scheduler/scheduler_config.json", {"beta_schedule": "linear"}, "beta_schedule"),
        ("prior_scheduler/scheduler_config.json", {"flavour": 1}, "flavour"),
        ("scheduler/scheduler_config.json", {"prediction_type": "taste"}, "taste"),
        ("model_index.json", {"prior_image_encoder": [None, None]}, "prior_image_encoder"),
        ("model_index.json", {"movq": ["diffusers", "AutoencoderKL"]}, "movq"),
        ("model_index.json", {"controlnet": ["diffusers", "ControlNetModel"]}, "controlnet"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_one_sentence(
    both: Whole, tmp_path: Path, file: str, changes: dict, said: str
):
    folder = Path(shutil.copytree(both.folder, tmp_path / "model"))
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(BadInput, match=said) as caught:
        stages_of(folder)
    assert "\n" not in str(caught.value)


def test_words_become_a_picture(both: Whole, tmp_path: Path, picture: Pillow.Image, mask: Pillow.Image):
    """The whole way, in one folder and in two, and what its edits promise."""
    pipe = sfumato.load(both.folder)
    assert capabilities_of(both.folder) == pipe.capabilities
    made = pipe(PROMPT, seed=1, steps=2)
    assert made.image.size == SIZE
    assert [(each.stage, each.steps) for each in made.recipe.stages] == [("prior", 25)]
    for folder, stock in (("prior", both.stock.prior_pipe), ("decoder", both.stock.decoder_pipe)):
        stock.save_pretrained(tmp_path / folder)
    two = sfumato.load(f"{tmp_path / 'prior'} + {tmp_path / 'decoder'}")
    assert two(PROMPT, seed=1, steps=2).image.tobytes() == made.image.tobytes()
    assert capabilities_named(f"{tmp_path / 'prior'} + {tmp_path / 'decoder'}") == two.capabilities
    seen = [each(images=[picture], seed=1, steps=2).image.tobytes() for each in (two, pipe)]
    assert seen[0] == seen[1], "by the prior's eye"
    assert pipe(PROMPT, negative="a dog", seed=1, steps=2).image.tobytes() != made.image.tobytes()
    edited = pipe(PROMPT, start=SDEdit(picture, 0.5), hold=Outside(mask), steps=2).image
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(edited)[kept], np.asarray(picture)[kept])
    assert not np.array_equal(np.asarray(edited)[~kept], np.asarray(picture)[~kept])
    alike = pipe(images=[picture], seed=1, steps=2)
    assert alike.recipe.stages == (), "the prior rests"
    with pytest.raises(BadInput, match="give it one"):
        pipe(PROMPT, images=[picture], steps=1)
    with pytest.raises(BadInput, match="attention can't be directed"):
        pipe(PROMPT, guidance=[PerturbedAttention()], steps=1)
    with pytest.raises(BadInput, match="a prior makes of words"):
        sfumato.load(tmp_path / "decoder")(PROMPT, steps=1)
    with pytest.raises(BadInput, match="paints no pictures"):
        sfumato.load(tmp_path / "prior")


def test_attention_to_words_and_picture_at_once_is_not_for_openvino(both: Whole):
    """Its compiler ends the process for want of a check of its own."""
    from sfumato.network.engine.graph import _check_attention
    from sfumato.network.engine.told import NotServed

    with pytest.raises(NotServed, match="at once"):
        _check_attention(both.decoder.networks["unet"])
    _check_attention(both.prior.networks["prior"])


def test_a_prompt_longer_than_the_window_is_refused(both: Whole):
    with pytest.raises(BadInput, match="75 tokens"):
        both.prior.encode([Recipe(prompt="boat " * 80)])
    assert np.isfinite(both.prior.encode([Recipe(prompt="boat " * 75)]).parts[0].embeds.numpy()).all()  # pyright: ignore
