"""Pictures of other tools: what they say becomes a recipe, and what can't be done is said by name."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato.guide import ClassifierFree
from sfumato.noise import A1111CpuNoise, A1111GpuNoise, TorchNoise
from sfumato.picture import BadInput
from sfumato.provenance import recipe_or_replay
from sfumato.recipe import Recipe, parameters
from sfumato.recipe.replay import Said, read_a1111, read_comfyui, read_invokeai, recipe_of
from sfumato.sample import DDIM, DPMpp2M, Euler
from sfumato.schedule import Discrete
from sfumato.times import KarrasGrid, LinspaceGrid, LogSNRGrid

OLD = """(masterpiece:1.2), a red boat,
sea: at night
Negative prompt: blurry, low quality
Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 123456789, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned-emaonly, Clip skip: 2, ENSD: 31337, Version: v1.6.0"""


def test_the_text_of_a1111_s_page_becomes_a_recipe() -> None:
    said = read_a1111(OLD)
    recipe, remarks = recipe_of(said, "mini")
    assert recipe.prompt == "(masterpiece:1.2), a red boat,\nsea: at night"
    assert recipe.negative == "blurry, low quality"
    assert (recipe.steps, recipe.seed, recipe.width, recipe.height) == (25, 123456789, 512, 768)
    assert (recipe.sampler, recipe.times) == (DPMpp2M(), KarrasGrid())
    assert recipe.guidance == (ClassifierFree(6.5),)
    assert recipe.noise == A1111GpuNoise(eta_delta=31337)
    assert (said.model, said.model_hash, said.clip_skip) == ("v1-5-pruned-emaonly", "6ce0161689", 2)
    told = [remark for remark in remarks if "Clip skip 2" in remark]
    assert bool(told) != ("clip_skip" in Recipe.__dataclass_fields__)
    assert recipe.start.unit is False  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("values", "sampler", "times"),
    [
        ("Sampler: Euler a", DDIM(eta=1.0), LinspaceGrid()),
        ("Sampler: Euler, Schedule type: Karras", Euler(), KarrasGrid()),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", DPMpp2M(), KarrasGrid()),
        ("Sampler: DPM++ 2M SDE, Schedule type: Exponential", DPMpp2M(sde=True), LogSNRGrid()),
        ("Sampler: Euler, Schedule type: SGM Uniform, RNG: CPU", Euler(), LinspaceGrid(ends=False)),
    ],
)
def test_samplers_and_schedules_of_a1111_s_page(values: str, sampler, times) -> None:
    recipe, remarks = recipe_of(read_a1111(f"a boat\nSteps: 20, {values}, CFG scale: 7, Seed: 1, Size: 64x64"), "mini")
    assert (recipe.sampler, recipe.times) == (sampler, times)
    assert isinstance(recipe.noise, A1111CpuNoise if "CPU" in values else A1111GpuNoise)
    assert bool(remarks) == ("SDE" in values)  # a Brownian tree


def test_what_we_write_for_that_page_reads_as_what_it_was() -> None:
    made = Recipe(
        prompt='a "red" boat, sea', negative="grey", sampler=DPMpp2M(sde=True), times=KarrasGrid(), steps=9, seed=4,
        width=64, height=96, guidance=(ClassifierFree(3.5),), noise=A1111CpuNoise(eta_delta=7),
    )  # fmt: skip
    again, _ = recipe_of(read_a1111(parameters(made)), "mini")
    for field in ("prompt", "negative", "sampler", "times", "steps", "seed", "width", "height", "guidance", "noise"):
        assert getattr(again, field) == getattr(made, field)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("Hires upscale: 2", r"a second pass at a larger size .*Hires upscale: 2"),
        ("Denoising strength: 0.5", "painted over"),
        ("ControlNet 0: canny", "a ControlNet"),
        ("Variation seed: 3", "a variation seed"),
        ("RNG: TPU", "RNG is TPU"),
    ],
)
def test_what_is_not_replayed_is_refused_by_name(change: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_a1111(f"{OLD}, {change}")


def test_unknown_samplers_are_refused_and_unknown_values_are_told() -> None:
    said = read_a1111('x\nSteps: 3, Sampler: DPM adaptive, CFG scale: 7, Seed: 1, NGMS: 1.5, Style: "a, b"')
    assert said.remarks == (
        "NGMS (1.5) is not known here and left out",
        "Style (a, b) is not known here and left out",
    )
    with pytest.raises(BadInput, match=r"the sampler 'DPM adaptive' is not here: known are .*Euler a"):
        recipe_of(said, "mini")
    for text in ("no text at all", "", "x\nSteps: many, Seed: 1", "x\nSteps: 3"):
        with pytest.raises(BadInput):
            read_a1111(text)


def graph(**sampler) -> dict:
    inputs = {
        "seed": 7, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
    }  # fmt: skip
    return {
        "3": {"class_type": "KSampler", "inputs": inputs | sampler},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 96, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a boat", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "grey", "clip": ["4", 1]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
    }


def test_a_plain_graph_of_comfyui() -> None:
    said = read_comfyui(json.dumps(graph(sampler_name="dpmpp_2m", scheduler="karras")))
    recipe, remarks = recipe_of(said, "mini")
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.noise) == ("a boat", "grey", 7, TorchNoise())
    assert (recipe.sampler, recipe.times, said.model) == (DPMpp2M(), KarrasGrid(), "sd15.safetensors")
    assert not remarks
    other = recipe_of(read_comfyui(json.dumps(graph(sampler_name="euler_ancestral"))), "mini")
    assert other[1] == ("ComfyUI draws the noise of Euler a's steps otherwise than here",)
    lora = graph() | {"11": {"class_type": "LoraLoader", "inputs": {}}}
    with pytest.raises(BadInput, match="graph has LoraLoader: plain"):
        read_comfyui(json.dumps(lora))
    with pytest.raises(BadInput, match="denoise below 1"):
        read_comfyui(json.dumps(graph(denoise=0.4)))
    with pytest.raises(BadInput, match="the scheduler 'beta' is not here"):
        read_comfyui(json.dumps(graph(scheduler="beta")))
    with pytest.raises(BadInput, match="graph has nothing where CLIPTextEncode is read"):
        read_comfyui(json.dumps(graph(positive=3)))
    for text in ("[]", "{", '{"1": 3}', '{"1": {"class_type": "KSampler", "inputs": [1]}}'):
        with pytest.raises(BadInput):
            read_comfyui(text)


def test_the_metadata_of_invokeai() -> None:
    values = {
        "generation_mode": "txt2img", "positive_prompt": "a boat", "negative_prompt": "grey", "width": 64, "height": 96,
        "seed": 7, "rand_device": "cpu", "cfg_scale": 6.0, "steps": 12, "scheduler": "dpmpp_2m_k", "clip_skip": 0,
        "model": {"name": "dreamshaper"}, "hrf_enabled": True,
    }  # fmt: skip
    said = read_invokeai(json.dumps(values))
    recipe, remarks = recipe_of(said, "mini")
    assert (recipe.sampler, recipe.times, recipe.steps, said.model) == (DPMpp2M(), KarrasGrid(), 12, "dreamshaper")
    assert recipe.noise == TorchNoise()
    assert remarks == ("hrf_enabled is not known here and left out",)
    with pytest.raises(BadInput, match="made with loras"):
        read_invokeai(json.dumps(values | {"loras": [{}]}))
    with pytest.raises(BadInput, match="made by img2img"):
        read_invokeai(json.dumps(values | {"generation_mode": "img2img"}))


def test_a_picture_asks_for_its_model_and_names_it(tmp_path) -> None:
    info = PngInfo()
    info.add_text("parameters", OLD)
    path = tmp_path / "civitai.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    with pytest.raises(BadInput, match=r"civitai\.png can't be made again: A1111 .*v1-5-pruned-emaonly \(6ce0161689\)"):
        recipe_or_replay(path, None)
    assert recipe_or_replay(path, "mini")[0].model == "mini"
    bare = tmp_path / "bare.png"
    Image.new("RGB", (8, 8)).save(bare)
    with pytest.raises(BadInput, match="holds no recipe"):
        recipe_or_replay(bare, "mini")


def test_k_diffusion_s_grid_over_a_table() -> None:
    schedule = Discrete.from_config({"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012})
    indices = LinspaceGrid()(5, schedule) * 1000 - 1
    assert torch.allclose(indices[:-1], torch.linspace(999, 0, 5, dtype=torch.float64))
    sgm = LinspaceGrid(ends=False)(5, schedule) * 1000 - 1
    assert torch.allclose(sgm[:-1], torch.linspace(999, 0, 6, dtype=torch.float64)[:-1])
    assert LinspaceGrid()(1, schedule).tolist() == [1.0, 0.0]
    assert Said("x", "y").unit
