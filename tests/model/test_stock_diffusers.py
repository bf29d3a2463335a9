"""The same weights and the same noise through stock diffusers give the same picture."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.guide import ClassifierFree
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.zoo import ZOO

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from random_model import TINY, build

PROMPT = "a red boat on the sea"


@pytest.fixture(scope="module", params=["v", "eps"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp(request.param), request.param, TINY)


def psnr(a: Image.Image, b: Image.Image) -> float:
    error = np.square(np.asarray(a, float) - np.asarray(b, float)).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ours(
    folder: Path, guidance: float = 5.0, times: str = "trailing", **changes
) -> tuple[list[Image.Image], torch.Tensor]:
    """Our pictures, and the latents that they began from, as the U-Net got them."""
    pipe = sfumato.load(str(folder))
    calls: list[torch.Tensor] = []
    network = pipe.stage.denoiser.backbone.network  # pyright: ignore[reportAttributeAccessIssue]
    hook = network.register_forward_pre_hook(lambda _, args: calls.append(args[0].clone()))
    options = {"sampler": "ddim", "steps": 4, "seed": 3, "count": 1} | changes
    images = pipe(PROMPT, guidance=[ClassifierFree(guidance)], times=times, **options).images
    hook.remove()
    assert len(calls) == options["steps"], "one network call a step"
    return images, calls[0][: options["count"]]


def theirs(
    folder: Path, latents: torch.Tensor, guidance: float = 5.0, steps: int = 4, **scheduler
) -> list[Image.Image]:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, **scheduler)
    pipe.set_progress_bar_config(disable=True)
    prompts = [PROMPT] * len(latents)
    return pipe(prompts, num_inference_steps=steps, guidance_scale=guidance, latents=latents).images  # pyright: ignore[reportAttributeAccessIssue]


def test_ddim_gives_the_picture_of_stock_diffusers(tiny: Path):
    images, latents = ours(tiny)
    assert psnr(images[0], theirs(tiny, latents)[0]) >= 60
    assert psnr(images[0], theirs(tiny, latents, guidance=5.5)[0]) < 50, "guidance of these weights shows"
    assert psnr(images[0], theirs(tiny, latents.flip(-1))[0]) < 30, "the start of these weights shows"


def test_a_batch_with_the_leading_grid_gives_the_pictures_of_stock_diffusers(tiny: Path):
    """Their leading grid begins below t = 1, from noise of unit size, as ours does."""
    images, latents = ours(tiny, times="leading", count=2)
    stock = theirs(tiny, latents, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=True)
    for mine, other in zip(images, stock, strict=True):
        assert psnr(mine, other) >= 60


def test_sides_need_be_multiples_of_the_autoencoder_s_cells_alone(tmp_path: Path):
    """As 520 is with Stable Diffusion: latents that the U-Net's halvings don't divide."""
    folder = build(tmp_path / "deep", "v", replace(TINY, unet=(32, 64, 64), heads=(2, 4, 4)))
    images, latents = ours(folder, width=36, height=44, steps=3)
    assert (images[0].size, latents.shape[2:]) == ((36, 44), (22, 18))
    assert psnr(images[0], theirs(folder, latents, steps=3)[0]) >= 60


def test_different_prompts_run_as_one_batch_and_give_the_pictures_they_give_alone(tiny: Path):
    pipe = sfumato.load(str(tiny), engine="exact")
    network = pipe.stage.denoiser.backbone.network  # pyright: ignore[reportAttributeAccessIssue]
    plain = Recipe(model=str(tiny), engine="exact", steps=3)
    prompts = {PROMPT: "", "a woman": "a hat", "a cat at night": ""}
    recipes = [replace(plain, prompt=p, negative=n, seed=i) for i, (p, n) in enumerate(prompts.items())]
    rows: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    together = pipe.run(recipes)
    hook.remove()
    assert rows == [6, 6, 6]
    assert together.images == [pipe.run(recipe).image for recipe in recipes]
    assert [recipe.prompt for recipe in together.recipes] == list(prompts)


@pytest.mark.skipif(not (ZOO / "mini" / "model_index.json").is_file(), reason="the miniature is not in this checkout")
def test_the_miniature_gives_the_picture_of_stock_diffusers():
    images, latents = ours(ZOO / "mini", steps=8)
    assert psnr(images[0], theirs(ZOO / "mini", latents, steps=8)[0]) >= 40
    assert np.asarray(images[0]).std() > 10, "a picture, not a grey sheet"


@pytest.fixture
def broken(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def refused(folder: Path | str) -> str:
    """The sentence that `load` refuses with."""
    with pytest.raises(BadInput) as caught:
        sfumato.load(str(folder))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 900
    return sentence


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    assert "model_index.json" in refused(tmp_path)
    assert "no model called" in refused("a name of nothing")
    (tmp_path / "weights.bin").write_bytes(b"x")
    assert "is a file" in refused(tmp_path / "weights.bin")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("harm", ["truncated", "overwritten", "empty", "missing"])
def test_damaged_weights_are_refused_by_name(broken: Path, part: str, harm: str):
    weights = next((broken / part).glob("*.safetensors"))
    data = weights.read_bytes()
    if harm == "missing":
        weights.unlink()
    else:
        weights.write_bytes(
            {"truncated": data[: len(data) // 2], "overwritten": b"\xff" * 64 + data[64:], "empty": b""}[harm]
        )
    assert part in refused(broken)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_refused_by_name(broken: Path, part: str):
    shutil.rmtree(broken / part)
    assert part in refused(broken)


def test_an_index_that_names_no_part_or_another_class_is_refused(broken: Path):
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(json.dumps({**index, "unet": ["diffusers", "FluxTransformer2DModel"]}))
    assert "FluxTransformer2DModel" in refused(broken)
    (broken / "model_index.json").write_text(json.dumps({k: v for k, v in index.items() if k != "vae"}))
    assert "vae" in refused(broken)
    (broken / "model_index.json").write_text("{")
    assert "JSON" in refused(broken)


def test_weights_of_another_shape_are_refused(broken: Path):
    config = json.loads((broken / "unet" / "config.json").read_text())
    (broken / "unet" / "config.json").write_text(json.dumps({**config, "cross_attention_dim": 48}))
    assert "unet" in refused(broken)
