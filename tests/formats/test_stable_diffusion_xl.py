"""Stable Diffusion XL beside stock diffusers: base, inpainting, refiner."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from stock import stable_diffusion_xl as stock
from stock.compare import Both, error

import sfumato
from sfumato.condition import Sizes, Text
from sfumato.encode import Told
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.picture import BadInput
from sfumato.provenance import recipe_or_replay, redo
from sfumato.recipe import Recipe, intent, parameters
from sfumato.space.pixels import to_tensor
from sfumato.times import AlignYourStepsGrid

PROMPT = "a red hat, a boat on the sea"
GUIDED = [ClassifierFree(5.0)]
SIDE = stock.SIDE


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(stock.build(), tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def refiner(base: Both, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(stock.refiner(base.stock), tmp_path_factory.mktemp("refiner"))


@pytest.mark.parametrize(("negative", "size"), [("", (SIDE, SIDE)), ("a cat", (24, 40))])
def test_pictures_from_words_are_those_of_stock_diffusers(base: Both, negative: str, size: tuple[int, int]):
    assert stock.parity(base.stock, base.pipe, negative, size) < 1e-4
    width, height = size
    start, end = base.ran(PROMPT, negative=negative, guidance=GUIDED, width=width, height=height)
    said = {"negative_prompt": negative or None, "guidance_scale": 5.0, "num_inference_steps": 4}
    told = {"width": width, "height": height, "original_size": (4, 4)}
    other = base.stock(PROMPT, latents=start, output_type="latent", **told, **said)
    assert error(end, other.images) > 1e-3, "these weights are told sizes"


def test_no_negative_prompt_is_zeros_where_the_folder_says_so(base: Both, tmp_path: Path):
    def null(pipe: sfumato.Pipe) -> Text:
        text = pipe.stage.encode([Recipe(prompt=PROMPT, model=str(base.folder))]).get(Text)
        assert text is not None
        return text.null()

    zeros = null(base.pipe)
    assert zeros.pooled is not None
    assert not zeros.embeds.any()
    assert not zeros.pooled.any()
    folder = Path(shutil.copytree(base.folder, tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "force_zeros_for_empty_prompt": False}))
    assert null(sfumato.load(folder)).embeds.any()


def test_layers_are_left_out_as_stock_diffusers_does(base: Both):
    """Their clip_skip counts from 0; the empty negative prompt is zeros here, which has no layers."""
    start, end = base.ran(PROMPT, guidance=GUIDED, clip_skip=2)
    said = {"guidance_scale": 5.0, "num_inference_steps": 4, "output_type": "latent", "width": SIDE, "height": SIDE}
    assert error(end, base.stock(PROMPT, latents=start, clip_skip=1, **said).images) < 1e-4
    assert error(end, base.stock(PROMPT, latents=start, **said).images) > 1e-4
    with pytest.raises(BadInput, match="clip_skip 4"):
        base.pipe(PROMPT, clip_skip=4, steps=1)
    assert "Clip skip: 2" in parameters(Recipe(prompt=PROMPT, clip_skip=2))


def test_a_long_prompt_is_read_in_chunks_by_both_encoders(base: Both):
    stage = base.pipe.stage

    def text(prompt: str) -> Text:
        found = stage.condition(Told([Recipe(prompt=prompt)], (SIDE, SIDE), stage.denoiser.schedule)).get(Text)
        assert found is not None
        return found

    first, second = "a red hat " * 25, "a blue boat"
    both, alone, then = text(first + second), text(first.strip()), text(second)
    assert both.embeds.shape == (1, 154, 64)
    torch.testing.assert_close(both.embeds[:, :77], alone.embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(both.embeds[:, 77:], then.embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(both.pooled, alone.pooled, rtol=0, atol=1e-5)
    assert base.pipe(first + second, steps=1).image.size == (SIDE, SIDE)


def test_the_text_s_keys_are_kept_and_attention_is_directed(base: Both):
    plain, start = base.ran(PROMPT, guidance=GUIDED)[1], {"guidance": GUIDED, "steps": 4}
    cache = base.pipe.stage.denoiser.backbone.text_kv  # pyright: ignore[reportAttributeAccessIssue]
    assert len(cache._seen[1]) == len(cache.places) > 0
    same = base.ran(PROMPT, attention=sfumato.PromptToPrompt(PROMPT), **start)[1]
    assert error(same, plain) < 1e-4, "a picture's own maps change nothing"
    assert (
        error(base.ran(PROMPT, attention=sfumato.PromptToPrompt("a cat in the sea, at night"), **start)[1], plain)
        > 1e-3
    )
    assert error(base.ran(PROMPT, guidance=[*GUIDED, PerturbedAttention(2.0)])[1], plain) > 1e-3


def test_inpainting_sees_the_mask_and_the_picture_as_stock_diffusers_shows_them(
    tmp_path: Path, picture: Image.Image, mask: Image.Image
):
    both = Both.of(stock.inpainting(), tmp_path / "inpainting")
    start, _ = both.ran(PROMPT, hold=sfumato.Outside(mask, picture), guidance=GUIDED, composite="none")
    _, end = both.ran(PROMPT, hold=sfumato.Outside(mask, picture), guidance=GUIDED, composite="none")
    theirs = both.stock(
        PROMPT,
        image=picture,
        mask_image=mask,
        latents=start,
        strength=1.0,
        num_inference_steps=4,
        guidance_scale=5.0,
        output_type="latent",
        width=SIDE,
        height=SIDE,
    ).images
    assert error(end, theirs) < 1e-4
    edited = both.pipe(PROMPT, hold=sfumato.Outside(mask, picture), steps=2).image
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(edited)[kept], np.asarray(picture)[kept])


def test_the_refiner_edits_as_stock_diffusers(refiner: Both, picture: Image.Image):
    start, end = refiner.ran(PROMPT, start=sfumato.SDEdit(picture, 0.5), guidance=GUIDED, steps=2)
    theirs = refiner.stock(
        PROMPT,
        image=start,
        denoising_start=0.5,
        num_inference_steps=4,
        guidance_scale=5.0,
        output_type="latent",
        original_size=(SIDE, SIDE),
    ).images
    assert error(end, theirs) < 1e-4
    sizes = refiner.pipe.stage.encode([Recipe(prompt=PROMPT)]).get(Sizes)
    assert sizes is not None
    assert (sizes.values[0, -1], sizes.null().values[0, -1]) == (6.0, 2.5)


def test_edits_keep_what_they_hold_and_inversion_comes_back(base: Both, picture: Image.Image, mask: Image.Image):
    edited = base.pipe(PROMPT, start=sfumato.SDEdit(picture, 0.7), hold=sfumato.Outside(mask), steps=2).image
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(edited)[kept], np.asarray(picture)[kept])
    assert not np.array_equal(np.asarray(edited)[~kept], np.asarray(picture)[~kept])
    start = sfumato.Inverted(picture, 0.2, shows=PROMPT, refine=8)
    back = base.ran(PROMPT, start=start, guidance=[], times="uniform", steps=6)[1]
    latents = base.pipe.stage.space.encode(to_tensor([picture]))
    assert error(back, latents) < 0.05


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("text_encoder_2/config.json", {"architectures": None, "projection_dim": 16}, "text_encoder_2"),
        ("unet/config.json", {"addition_embed_type": None}, "addition_embed_type"),
        ("unet/config.json", {"addition_time_embed_dim": 4}, "text_encoder_2's embedding"),
        (
            "model_index.json",
            {"text_encoder_2": ["transformers", "CLIPTextModel"]},
            "text_encoder_2 is a CLIPTextModel",
        ),
        ("model_index.json", {"image_encoder_3": ["transformers", "CLIPTextModel"]}, "image_encoder_3"),
        ("model_index.json", {"requires_aesthetics_score": True}, "5 sizes"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_one_sentence(
    base: Both, tmp_path: Path, file: str, changes: dict, said: str
):
    folder = Path(shutil.copytree(base.folder, tmp_path / "model"))
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(BadInput, match=said) as caught:
        sfumato.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["text_encoder_2", "tokenizer_2", "unet"])
def test_a_missing_part_is_named(base: Both, tmp_path: Path, part: str):
    folder = Path(shutil.copytree(base.folder, tmp_path / "model"))
    shutil.rmtree(folder / part)
    with pytest.raises(BadInput, match=part):
        sfumato.load(folder)


def test_a_refiner_takes_over_where_stock_diffusers_hands_over(base: Both, refiner: Both):
    relayed = {"guidance": GUIDED, "steps": 5, "refiner": sfumato.Refiner(str(refiner.folder), 0.4)}
    start, end = base.ran(PROMPT, **relayed)
    said = {"guidance_scale": 5.0, "num_inference_steps": 5, "output_type": "latent"}
    begun = base.stock(PROMPT, latents=start, denoising_end=0.6, width=SIDE, height=SIDE, **said).images
    theirs = refiner.stock(PROMPT, image=begun, denoising_start=0.6, original_size=(SIDE, SIDE), **said).images
    assert error(end, theirs) < 1e-4
    assert error(base.ran(PROMPT, guidance=GUIDED, steps=5)[1], theirs) > 1e-2, "who ends it shows"
    said = intent.generate(PROMPT, refiner=f"{refiner.folder}:at=0.4", seed=3)
    assert said.refiner == relayed["refiner"]
    assert "Refiner switch at: 0.6" in parameters(said)
    assert Recipe.from_json(replace(said, refiner=sfumato.Refiner("mini")).to_json()).refiner == sfumato.Refiner("mini")


def test_a_picture_of_a1111_s_page_that_a_refiner_ended_is_painted_again(base: Both, refiner: Both, tmp_path: Path):
    text = PngInfo()
    walk = f"Steps: 4, Sampler: Euler, Schedule type: Karras, CFG scale: 5, Seed: 3, Size: {SIDE}x{SIDE}"
    text.add_text("parameters", f"{PROMPT}\n{walk}, Refiner: xl_refiner, Refiner switch at: 0.6, Version: v1.10.0")
    picture = tmp_path / "theirs.png"
    Image.new("RGB", (SIDE, SIDE)).save(picture, pnginfo=text)
    with pytest.raises(BadInput, match="a second model, xl_refiner, which took over: say where that is with --refiner"):
        redo(picture, model=str(base.folder))
    made = redo(picture, model=str(base.folder), refiner=str(refiner.folder), device="cpu")
    assert made.recipe.refiner == sfumato.Refiner(str(refiner.folder), 0.4)
    by_hand = {"start": sfumato.Noise(False), "sampler": "euler", "times": "karras", "noise": "a1111-gpu", "steps": 4}
    relayed = base.pipe(PROMPT, seed=3, guidance=GUIDED, refiner=made.recipe.refiner, **by_hand).image
    assert np.abs(np.asarray(made.image, int) - np.asarray(relayed, int)).max() <= 1
    spaced = tmp_path / "spaced.png"
    text = PngInfo()
    text.add_text("parameters", f"{PROMPT}\n{walk.replace('Karras', 'Align Your Steps')}")
    Image.new("RGB", (SIDE, SIDE)).save(spaced, pnginfo=text)
    assert recipe_or_replay(spaced, str(base.folder))[0].times == AlignYourStepsGrid("sdxl", last=True)
    again = redo(made.recipe, refiner=str(refiner.folder), device="cpu")
    assert again.identical
    with pytest.raises(BadInput, match="no refiner took over: leave --refiner out"):
        redo(replace(made.recipe, refiner=None), refiner="mini")


@pytest.mark.parametrize("sampler", ["dpmpp-2m", "heun"])
def test_a_relay_is_one_run_after_the_other(base: Both, refiner: Both, sampler: str):
    """What a multistep sampler remembers of the first model does not reach into the second."""
    from sfumato.denoise import bind
    from sfumato.edit import Relay
    from sfumato.guide import Guided
    from sfumato.noise import KeyedNoise
    from sfumato.sample import Sampler, trajectory

    stages = [both.pipe.stage for both in (base, refiner)]
    first, second = (bind(Guided(s.denoiser, ()), s.encode([Recipe(prompt=PROMPT)])) for s in stages)
    noise, times = KeyedNoise([3]), torch.linspace(1, 0, 11, dtype=torch.float64)
    x = noise(torch.zeros(1, 4, 16, 16))
    walks = [(first, times[:7]), (second, times[6:])]  # the cut stands at 0.4
    apart = x
    for denoise, knots in walks:
        *_, last = trajectory(denoise, Sampler.registry.named(sampler), apart, knots, noise)
        apart = last.x
    relay = bind(Relay(first.denoiser, second, 0.4 + 1e-9), first.condition)
    *_, last = trajectory(relay, Sampler.registry.named(sampler), x, times, noise)
    if sampler == "heun":  # its second evaluation of the last step above the cut stands below it
        assert error(last.x, apart) > 0
    else:
        assert torch.equal(last.x, apart)


def test_a_refiner_that_can_t_go_on_is_refused(base: Both, refiner: Both, tiny_model: Path):
    with pytest.raises(BadInput, match=r"other levels of noise|another space"):
        base.pipe(PROMPT, refiner=sfumato.Refiner(str(tiny_model)), steps=2)
    edit = sfumato.PromptToPrompt("a cat")
    with pytest.raises(BadInput, match="prompt-to-prompt"):
        base.pipe(PROMPT, refiner=sfumato.Refiner(str(refiner.folder)), attention=edit, steps=2)
    picture = Image.new("RGB", (SIDE, SIDE), "red")
    with pytest.raises(BadInput, match="The picture is inverted by this model, and the refiner"):
        base.pipe(PROMPT, refiner=sfumato.Refiner(str(refiner.folder)), start=sfumato.Inverted(picture), steps=2)
