"""The smaller families of `UNet2DConditionModel` beside stock diffusers, each of a tiny folder that it saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stock import (
    image_variations,
    instruct_pix2pix,
    latent_consistency,
    stable_diffusion_2,
    stable_diffusion_depth,
    stable_diffusion_upscale,
)
from stock.compare import Both, error, families, noise, walked
from stock.sana import whole
from stock.unets import SIDE

import sfumato
from sfumato.condition import Concat, Text
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, Distilled, Instruct
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.recipe import Recipe, intent
from sfumato.sample import DDIM, Consistency
from sfumato.schedule import Flow

PROMPT = "make the hat red"
GUIDED = [ClassifierFree(5.0)]
SAID: dict[str, Any] = {"guidance_scale": 5.0, "num_inference_steps": 4, "output_type": "latent"}
BUILT = {
    "velocity": stable_diffusion_2.build,
    "zero terminal": lambda: stable_diffusion_2.build(rescale_betas_zero_snr=True),
    "turbo": stable_diffusion_2.turbo,
    "flow": stable_diffusion_2.flow,
    "lcm": latent_consistency.build,
    "instruct": instruct_pix2pix.build,
    "depth": stable_diffusion_depth.build,
    "upscale": stable_diffusion_upscale.build,
    "variations": image_variations.build,
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    """family("lcm"): both pipelines of it."""
    return families(BUILT, tmp_path_factory)


@pytest.mark.parametrize("name", ["velocity", "zero terminal"])
def test_stable_diffusion_2_answers_velocities(family: Callable[[str], Both], name: str):
    both = family(name)
    assert stable_diffusion_2.parity(both.stock, both.pipe) < 1e-4
    assert (float(both.pipe.stage.denoiser.schedule(1.0)[0]) == 0) == (name == "zero terminal")


def test_a_network_of_flow_matching_is_walked_as_stock_diffusers(family: Callable[[str], Both]):
    both = family("flow")
    size, x = {"width": SIDE, "height": SIDE}, noise(both.pipe, (SIDE, SIDE))
    both.stock.scheduler = whole(both.stock.scheduler)
    made = both.stock(PROMPT, latents=x, **SAID, **size).images
    sigmas = both.stock.scheduler.sigmas.double()
    knots = Flow(2.0).time(sigmas / (1 - sigmas))
    assert both.pipe.stage.denoiser.schedule == Flow(2.0)
    ours = walked(both.pipe, x, PROMPT, knots, guidance=GUIDED, steps=4, sampler="dpmpp-2m", **size)
    assert error(ours, made) < 1e-4


def test_flow_matching_in_a_unet_is_understood_or_refused(family: Callable[[str], Both], tmp_path: Path):
    for number, (told, said) in enumerate(
        [
            ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, None),
            (
                {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": False},
                "use_flow_sigmas False; accepted is",
            ),
            ({"_class_name": "LCMScheduler"}, "use_flow_sigmas True; accepted is False"),
            ({"thresholding": True}, "thresholding True; accepted is False"),
        ]
    ):
        folder = shutil.copytree(family("flow").folder, tmp_path / str(number))
        place = folder / "scheduler" / "scheduler_config.json"
        config = json.loads(place.read_text())
        own = {"_class_name": told["_class_name"], "shift": 3.0} if said is None else {**config, **told}
        place.write_text(json.dumps(own))
        if said is None:
            assert sfumato.load(folder).stage.denoiser.schedule == Flow(3.0)
            continue
        with pytest.raises(BadInput, match=said):
            sfumato.load(folder)


def test_layers_that_are_left_out_still_go_through_the_last_norm(family: Callable[[str], Both]):
    both = family("velocity")
    stage, encoder = both.pipe.stage, both.stock.text_encoder
    ids = both.stock.tokenizer(PROMPT, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(ids, output_hidden_states=True).hidden_states
    norm = getattr(encoder, "text_model", encoder).final_layer_norm
    for skip in (1, 2, 3):
        text = stage.encode([Recipe(prompt=PROMPT, clip_skip=skip)]).get(Text)
        assert text is not None
        torch.testing.assert_close(text.embeds, norm(states[-skip]), rtol=0, atol=1e-5)
    with pytest.raises(BadInput, match="reads no text"):
        family("variations").pipe(images=[Image.new("RGB", (SIDE, SIDE))], clip_skip=2, steps=1)


def test_a_distilled_model_is_walked_in_few_steps_and_unguided(family: Callable[[str], Both]):
    both = family("turbo")
    suits = both.pipe.stage.suits
    assert (suits.steps, suits.guidance, suits.sampler) == (4, (), DDIM())
    assert capabilities_of(both.folder).suits == suits
    start, end = both.ran(PROMPT, guidance=None, sampler=None, times=None, steps=None)
    both.stock.scheduler.set_timesteps(4)
    largest = float(both.stock.scheduler.sigmas[0])
    latents = (
        start * (1 + largest**-2) ** 0.5
    )  # the noise start of their scheduler is sigma z, ours sqrt(1 + sigma^2) z
    said = SAID | {"guidance_scale": 0.0}
    theirs = both.stock(PROMPT, latents=latents, width=SIDE, height=SIDE, **said).images
    assert error(end, theirs) < 1e-4


def test_a_consistency_model_is_told_its_scale_and_bounded(family: Callable[[str], Both]):
    both = family("lcm")
    suits = both.pipe.stage.suits
    assert (suits.steps, suits.guidance, suits.sampler) == (4, (Distilled(8.5),), Consistency())
    assert capabilities_of(both.folder).distilled
    assert latent_consistency.parity(both.stock, both.pipe) < 1e-4
    end = both.ran(PROMPT, guidance=None, sampler=None, times=None, steps=None)[1]
    assert error(both.ran(PROMPT, guidance=[Distilled(2.0)], sampler="consistency", times="uniform")[1], end) > 1e-3
    with pytest.raises(BadInput, match="consistency"):
        both.pipe(PROMPT, sampler="ddim")


def test_the_bound_of_a_consistency_function_is_the_picture_itself():
    from sfumato.denoise import Preconditioned
    from sfumato.schedule import Discrete

    answers = Preconditioned(lambda x, t, c: torch.full_like(x, 7.0), Discrete.named(), boundary=10.0)
    x = torch.randn(1, 3, 4, 4)
    at_first = answers(x, torch.tensor(1 / 1000), sfumato.condition.Condition.empty(1))
    assert torch.equal(at_first.x0, x), "index 0: c_skip 1, c_out 0"


def test_an_instruction_edits_the_picture_as_stock_diffusers(family: Callable[[str], Both], picture: Image.Image):
    both = family("instruct")
    assert instruct_pix2pix.parity(both.stock, both.pipe) < 1e-4
    end = both.ran(PROMPT, images=[picture], guidance=[Instruct(7.5, 1.5)])[1]
    assert error(both.ran(PROMPT, images=[picture], guidance=[Instruct(7.5, 1.0)])[1], end) > 1e-4
    free = both.ran(PROMPT, images=[picture], guidance=[ClassifierFree(7.5)])[1]
    assert error(both.ran(PROMPT, images=[picture], guidance=[Instruct(7.5, 1.0)])[1], free) < 1e-4


def test_an_instruction_within_a_mask_leaves_the_rest(
    family: Callable[[str], Both], picture: Image.Image, mask: Image.Image
):
    both = family("instruct")
    tells = capabilities_of(both.folder)
    recipe = intent.edit(picture, PROMPT, mask=mask, model=str(both.folder), seed=1, steps=2, tells=tells)
    assert recipe.images
    assert recipe.guidance == (Instruct(),)
    edited = np.asarray(both.pipe.run(recipe).image)
    kept = np.asarray(mask) == 0
    assert np.array_equal(edited[kept], np.asarray(picture)[kept])
    assert not np.array_equal(edited[~kept], np.asarray(picture)[~kept])


def test_instruct_is_for_models_that_see_a_picture(family: Callable[[str], Both]):
    with pytest.raises(BadInput, match="beside the noise"):
        family("velocity").pipe(PROMPT, guidance=[Instruct()], steps=1)


def test_depth_is_estimated_as_stock_diffusers_does(family: Callable[[str], Both], picture: Image.Image, monkeypatch):
    both = family("depth")
    start, end = both.ran(PROMPT, images=[picture], guidance=GUIDED)
    monkeypatch.setattr(both.stock, "prepare_latents", lambda *_, **__: start)
    assert stable_diffusion_depth.parity(both.stock, both.pipe) < 1e-4
    depth = Image.linear_gradient("L").resize((SIDE, SIDE))
    given = torch.from_numpy(np.asarray(depth, np.float32))[None] / 255
    theirs = both.stock(PROMPT, image=picture, depth_map=given, strength=1.0, **SAID).images
    told = both.ran(PROMPT, images=[picture, depth], guidance=GUIDED)[1]
    assert error(told, theirs) < 1e-4
    assert error(told, end) > 1e-3
    started = both.ran(PROMPT, start=sfumato.SDEdit(picture, 1.0), guidance=GUIDED)[1]
    assert error(started, end) < 1e-6, "the picture that is started from is looked at where no other is given"
    with pytest.raises(BadInput, match="how far away"):
        both.pipe(PROMPT, steps=1)


def test_the_upscaler_is_told_the_small_picture_and_its_noise(
    family: Callable[[str], Both], picture: Image.Image, monkeypatch
):
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_upscale as module

    both, small = family("upscale"), picture.resize((SIDE // 2, SIDE // 2))
    size = {"width": SIDE, "height": SIDE}
    start, end = both.ran(PROMPT, images=[small], guidance=GUIDED, **size)
    noise = KeyedNoise([3])(torch.zeros(1, 3, SIDE // 2, SIDE // 2), "low resolution")
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: noise)
    assert stable_diffusion_upscale.parity(both.stock, both.pipe) < 1e-4
    other = both.stock(PROMPT, image=small, latents=start, noise_level=60, **SAID).images
    assert error(end, other) > 1e-3
    with pytest.raises(BadInput, match="larger"):
        both.pipe(PROMPT, steps=1)


def test_variations_are_told_a_picture_in_the_place_of_words(family: Callable[[str], Both], picture: Image.Image):
    both = family("variations")
    assert image_variations.parity(both.stock, both.pipe) < 1e-4
    with pytest.raises(BadInput, match="reads no text"):
        both.pipe(PROMPT, images=[picture])
    with pytest.raises(BadInput, match="like another"):
        both.pipe(steps=1)


@pytest.mark.parametrize("name", ["instruct", "depth", "upscale", "variations", "lcm"])
def test_edits_hold_what_is_outside_the_mask_and_capabilities_need_no_weights(
    family: Callable[[str], Both], picture: Image.Image, mask: Image.Image, name: str
):
    both = family(name)
    tells = capabilities_of(both.folder)
    ours = both.pipe.capabilities
    assert (tells.text, tells.references, tells.suits) == (ours.text, ours.references, ours.suits)
    recipe = intent.edit(
        picture, PROMPT if tells.text else "", mask=mask, model=str(both.folder), seed=1, steps=2, tells=tells
    )
    edited, kept = np.asarray(both.pipe.run(recipe).image), np.asarray(mask) == 0
    assert np.array_equal(edited[kept], np.asarray(picture)[kept])
    assert not np.array_equal(edited[~kept], np.asarray(picture)[~kept])
    walked = both.ran(
        recipe.prompt,
        **{k: getattr(recipe, k) for k in ("images", "guidance", "sampler", "times")},
        start=sfumato.SDEdit(picture, 0.5),
        steps=2,
    )[1]
    assert bool(torch.isfinite(walked).all())


@pytest.mark.parametrize(
    ("name", "file", "changes", "said"),
    [
        ("instruct", "unet/config.json", {"in_channels": 9}, "unet"),
        ("depth", "model_index.json", {"depth_estimator": [None, None]}, "depth_estimator"),
        ("depth", "model_index.json", {"feature_extractor": [None, None]}, "feature_extractor"),
        ("upscale", "low_res_scheduler/scheduler_config.json", {"num_train_timesteps": 100}, "low_res_scheduler"),
        ("upscale", "low_res_scheduler/scheduler_config.json", {"flavour": 1}, "flavour"),
        ("variations", "model_index.json", {"image_encoder": ["transformers", "CLIPTextModel"]}, "image_encoder"),
        ("lcm", "unet/config.json", {"time_cond_proj_dim": None}, "cond_proj"),
        ("lcm", "scheduler/scheduler_config.json", {"thresholding": True}, "thresholding"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_one_sentence(
    family: Callable[[str], Both], tmp_path: Path, name: str, file: str, changes: dict, said: str
):
    folder = Path(shutil.copytree(family(name).folder, tmp_path / "model"))
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(BadInput, match=said) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)


def test_the_planes_of_a_reference_are_its_unscaled_latents(family: Callable[[str], Both], picture: Image.Image):
    from sfumato.encode import Told
    from sfumato.space.pixels import to_tensor

    stage = family("instruct").pipe.stage
    told = Told([Recipe(prompt=PROMPT)], (SIDE, SIDE), stage.denoiser.schedule, references=[picture])
    planes = stage.condition(told).get(Concat)
    vae: Any = stage.networks["vae"]
    assert planes is not None
    assert error(planes.planes, vae.encode(to_tensor([picture])).latent_dist.mode()) < 1e-5
