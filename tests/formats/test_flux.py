"""FLUX.1: the latents of stock diffusers, every edit, and refusals by name."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from stock import flux
from stock.compare import Both, Watched, error, painter, ran, shown, stock

import sfumato
from sfumato import Inferred, Inverted, Outside, Recipe, SDEdit
from sfumato.edit import Composite, Paste, Poisson, PromptToPrompt
from sfumato.encode import PooledText
from sfumato.formats import capabilities_of
from sfumato.guide import ClassifierFree, Distilled, PerturbedAttention
from sfumato.model.look import look_attention
from sfumato.picture import BadInput
from sfumato.provenance import recipe_or_replay
from sfumato.recipe.prompt import parse
from sfumato.space.pixels import to_images, to_tensor

PROMPT, NEGATIVE = "a red hat", "a boat"
WIDTH, HEIGHT = flux.SIZE
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(flux.build(), tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture(scope="module")
def schnell(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(flux.build(guided=False), tmp_path_factory.mktemp("flux") / "schnell")


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


@pytest.fixture
def mask() -> Image.Image:
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[5:19, 6:21] = 255
    return Image.fromarray(white)


def kept(image: Image.Image, picture: Image.Image, mask: Image.Image) -> bool:
    """Whether all outside the mask is the picture's own, and something inside is not."""
    outside = np.asarray(mask) == 0
    same = (np.asarray(image) == np.asarray(picture)).all(-1)
    return bool(same[outside].all()) and not bool(same[~outside].all())


def decoded(pipe: sfumato.Pipe, picture: Image.Image) -> np.ndarray:
    space = pipe.stage.space
    with torch.no_grad():
        return np.asarray(to_images(space.decode(space.encode(to_tensor([picture]))))[0]).astype(int)


@pytest.mark.parametrize("size", [(32, 24), (48, 64)])
@pytest.mark.parametrize("true", [1.0, 2.5])
def test_dev_gives_the_latents_of_stock_diffusers(dev: Both, size: tuple[int, int], true: float):
    """With the shift of either size, distilled guidance told, and true guidance with a negative prompt beside it."""
    assert flux.parity(dev.stock, dev.pipe, size, true) < 1e-4
    both = {"width": size[0], "height": size[1]}
    guidance = [Distilled(3.5), *([ClassifierFree(true)] if true != 1 else [])]
    with painter(dev.pipe) as network:
        start, end = ran(dev.pipe, PROMPT, negative=NEGATIVE, guidance=guidance, steps=5, seed=3, **both)
    mine = shown(dev.pipe, end)
    asked = {"negative_prompt": NEGATIVE, "true_cfg_scale": true, "num_inference_steps": 5, "latents": start, **both}
    assert error(mine, stock(dev.stock, PROMPT, guidance_scale=4.5, **asked)) > 1e-3, "the scale that is told shows"
    assert error(mine, stock(dev.stock, NEGATIVE, guidance_scale=3.5, **asked)) > 1e-3, "words show"
    assert len(network.calls) == 5


def test_a_text_beyond_clip_s_window_is_cut_where_stock_cuts_it(dev: Both):
    text = "a boat, " * 23 + "abcdefghijkl"
    stock_text = dev.stock._get_clip_prompt_embeds(prompt=text)
    encoder = next(each for each in dev.pipe.stage.encoders if isinstance(each, PooledText))
    pooled = encoder.text([parse(text)], [parse("")]).pooled
    assert pooled is not None
    torch.testing.assert_close(pooled, stock_text, rtol=0, atol=1e-5)


def test_a_picture_of_comfyui_is_painted_with_its_noise_and_its_noise_levels(dev: Both, tmp_path: Path, monkeypatch):
    """Euler's steps over FLUX's levels in ComfyUI (shift exp(1.15) of a table of 10,000, "simple") from torch's noise,
    taken by stock's transformer through stock's pipeline."""
    inputs = {
        "seed": 5,
        "steps": 4,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "model": ["1", 0],
        "positive": ["3", 0],
        "negative": ["4", 0],
        "latent_image": ["5", 0],
    }
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "flux1-dev-fp8.safetensors"}),
        "2": ("CLIPTextEncode", {"text": PROMPT, "clip": ["1", 1]}),
        "3": ("FluxGuidance", {"guidance": 2.5, "conditioning": ["2", 0]}),
        "4": ("ConditioningZeroOut", {"conditioning": ["2", 0]}),
        "5": ("EmptySD3LatentImage", {**SIZE, "batch_size": 1}),
        "6": ("KSampler", inputs),
    }
    info = PngInfo()
    info.add_text("prompt", json.dumps({key: {"class_type": k, "inputs": i} for key, (k, i) in nodes.items()}))
    Image.new("RGB", (8, 8)).save(tmp_path / "comfyui.png", pnginfo=info)
    recipe, remarks = recipe_or_replay(tmp_path / "comfyui.png", str(dev.folder))
    assert not remarks
    with Watched(dev.pipe.stage.networks["vae"].decoder) as end:
        dev.pipe.run(recipe)
    levels = [math.exp(1.15) * u / (1 + (math.exp(1.15) - 1) * u) for u in (1, 0.75, 0.5, 0.25)]
    monkeypatch.setattr(dev.stock, "scheduler", type(dev.stock.scheduler)(shift=1.0))
    asked = {"sigmas": levels, "generator": torch.Generator().manual_seed(5), "guidance_scale": 2.5, **SIZE}
    theirs = stock(dev.stock, PROMPT, **asked)
    assert error(end.calls[-1], theirs) < 1e-4


def test_schnell_gives_the_latents_of_stock_diffusers_in_the_steps_that_suit_it(schnell: Both):
    with painter(schnell.pipe) as network:
        start, end = ran(schnell.pipe, PROMPT, seed=1, **SIZE)
    assert (len(network.calls), len(network.calls[0])) == (4, 1)
    asked = {"num_inference_steps": 4, "latents": start, "guidance_scale": 0.0, **SIZE}
    assert error(shown(schnell.pipe, end), stock(schnell.stock, PROMPT, max_sequence_length=256, **asked)) < 1e-4


def test_what_can_be_told_is_read_from_json_alone(dev: Both, schnell: Both):
    for model in (dev, schnell):
        assert capabilities_of(model.folder) == model.pipe.capabilities
    assert dev.pipe.stage.suits.guidance == (Distilled(3.5),)
    assert not schnell.pipe.capabilities.distilled


def test_weights_in_several_files_are_read_as_one(dev: Both, tmp_path: Path):
    folder = Path(shutil.copytree(dev.folder, tmp_path / "model"))
    for part in ("transformer", "text_encoder_2"):
        shutil.rmtree(folder / part)
        getattr(dev.stock, part).save_pretrained(folder / part, max_shard_size="30KB")
        assert len(list((folder / part).glob("*.safetensors"))) > 1
    options = {"steps": 1, "seed": 1, **SIZE}
    assert sfumato.load(folder)(PROMPT, **options).image == dev.pipe(PROMPT, **options).image


def test_alone_and_in_a_batch_the_exact_engine_paints_the_same(dev: Both):
    pipe = sfumato.load(dev.folder, engine="exact")
    plain = Recipe(model=pipe.name, engine="exact", steps=2, guidance=(Distilled(3.5), ClassifierFree(2.0)), **SIZE)
    recipes = [replace(plain, prompt=prompt, seed=i) for i, prompt in enumerate((PROMPT, "a cat at night"))]
    assert pipe.run(recipes).images == [pipe.run(recipe).image for recipe in recipes]


@pytest.mark.parametrize("composite", [Paste(), Poisson()])
def test_a_mask_keeps_the_rest_to_the_byte(dev: Both, picture: Image.Image, mask: Image.Image, composite: Composite):
    made = dev.pipe(PROMPT, hold=Outside(mask, picture), steps=2, composite=composite, **SIZE)
    assert kept(made.image, picture, mask)


def test_sdedit_goes_from_the_picture_to_noise(dev: Both, picture: Image.Image):
    """Strength 0 is the picture, and what is farther from it was started farther away."""
    made = [dev.pipe(PROMPT, start=SDEdit(picture, strength), steps=4, **SIZE).image for strength in (0, 0.2, 1)]
    near, far = (np.abs(np.asarray(image) - decoded(dev.pipe, picture)).mean() for image in made[1:])
    assert np.array_equal(made[0], picture)
    assert 0 < near < far


def test_an_inverted_picture_comes_back(dev: Both, picture: Image.Image):
    options = {"guidance": [Distilled(1.0)], "sampler": "ddim", "steps": 6, **SIZE}
    apart = [
        np.abs(np.asarray(dev.pipe(NEGATIVE, start=Inverted(picture, 0.9, NEGATIVE, refine), **options).image) - truth)
        for truth in [decoded(dev.pipe, picture)]
        for refine in (0, 20)
    ]
    assert apart[1].max() <= 1 < apart[0].max()


def test_diffedit_infers_a_mask_and_keeps_the_rest(dev: Both, picture: Image.Image):
    start = Inverted(picture, 0.8, NEGATIVE)
    made = dev.pipe(PROMPT, start=start, hold=Inferred(NEGATIVE, draws=2), sampler="ddim", steps=3, **SIZE)
    found = made.masks[0]
    assert found is not None
    assert found.getextrema() == (0, 255)
    assert kept(made.image, picture, found)


def test_what_reads_attention_maps_is_refused_by_name(dev: Both):
    for options in (
        {"guidance": [Distilled(3.5), PerturbedAttention(3.0)]},
        {"attention": PromptToPrompt(NEGATIVE)},
    ):
        with pytest.raises(BadInput, match=r"words and picture at once.*(perturbed-attention|prompt-to-prompt)"):
            dev.pipe(PROMPT, steps=1, **SIZE, **options)
    with pytest.raises(BadInput, match="no word has a map"):
        look_attention(dev.pipe, Recipe(prompt=PROMPT))


def test_what_was_not_learned_is_refused_by_name(dev: Both, schnell: Both, picture: Image.Image):
    with pytest.raises(BadInput, match="No guidance was distilled"):
        schnell.pipe(PROMPT, guidance=[Distilled(3.5)])
    with pytest.raises(BadInput, match="looks at none"):
        dev.pipe(PROMPT, images=[picture])
    with pytest.raises(BadInput, match="multiple of 4"):
        dev.pipe(PROMPT, width=34, height=24)


def truncated(folder: Path) -> None:
    path = next((folder / "text_encoder_2").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:2000])


def said(file: str, **changes: Any) -> Any:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: shutil.rmtree(folder / "text_encoder_2"), ("text_encoder_2", "missing")),
        (truncated, ("text_encoder_2", "model.safetensors", "damaged")),
        (said("model_index.json", vae=["diffusers", "AutoencoderTiny"]), ("vae", "AutoencoderTiny", "AutoencoderKL")),
        (said("model_index.json", vae=None), ("names no vae",)),
        (said("model_index.json", controlnet=["diffusers", "FluxControlNetModel"]), ("controlnet",)),
        (said("transformer/config.json", strange=1), ("transformer", "strange")),
        (said("transformer/config.json", patch_size=2), ("transformer", "patch_size")),
        (said("transformer/config.json", num_layers=2), ("transformer", "lacks weights")),
        (said("scheduler/scheduler_config.json", strange=1), ("scheduler", "strange")),
        (said("scheduler/scheduler_config.json", _class_name="DDIMScheduler"), ("scheduler", "DDIMScheduler", "flow")),
        (said("tokenizer_2/tokenizer_config.json", pad_token=None), ("tokenizer_2", "pad_token")),
    ],
)
def test_a_broken_folder_is_one_sentence(dev: Both, tmp_path: Path, change: Any, words: tuple[str, ...]):
    folder = Path(shutil.copytree(dev.folder, tmp_path / "model"))
    change(folder)
    with pytest.raises(BadInput) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_texts_of_another_width_are_refused(tmp_path: Path, dev: Both):
    folder = Path(shutil.copytree(dev.folder, tmp_path / "model"))
    shutil.rmtree(folder / "text_encoder_2")
    flux.t5(40).save_pretrained(folder / "text_encoder_2")
    with pytest.raises(BadInput, match="takes texts 32 wide, and its text_encoder_2's are 40"):
        sfumato.load(folder)


def test_an_adapter_of_no_weight_changes_nothing_at_any_size(dev: Both, tmp_path: Path):
    """The shift is that of the size with adapters too."""
    from safetensors.torch import save_file

    from sfumato.adapt import LoRA

    layers = dev.pipe.stage.networks["transformer"].named_modules()
    name, layer = next((name, layer) for name, layer in layers if name.endswith("attn.to_q"))
    rows, columns = layer.weight.shape  # pyright: ignore[reportAttributeAccessIssue, reportGeneralTypeIssues]
    tensors = {"lora_A": torch.ones(2, columns), "lora_B": torch.ones(rows, 2)}
    save_file({f"transformer.{name}.{key}.weight": value for key, value in tensors.items()}, tmp_path / "a.safetensors")
    for width, height in ((WIDTH, HEIGHT), (48, 64)):
        options: dict[str, Any] = {"width": width, "height": height, "steps": 3, "seed": 2}
        nothing = dev.pipe(PROMPT, adapters=[LoRA(tmp_path / "a.safetensors") * 0], **options).image
        assert nothing.tobytes() == dev.pipe(PROMPT, **options).image.tobytes()
