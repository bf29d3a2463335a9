"""Pictures of other tools: what they say becomes a recipe, and what can't be done is said by name."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

import sfumato
from sfumato.adapt import LoRA
from sfumato.edit import HiresFix, Noise
from sfumato.emphasis import FromEmpty
from sfumato.formats.convert import convert
from sfumato.guide import ClassifierFree, Distilled
from sfumato.noise import A1111CpuNoise, A1111GpuNoise, TorchNoise
from sfumato.picture import BadInput
from sfumato.provenance import inspect, recipe_or_replay
from sfumato.recipe import Recipe, parameters
from sfumato.recipe.prompt import parse, plan_of
from sfumato.recipe.prompt.schedule import periods
from sfumato.recipe.replay import Said, read_a1111, read_comfyui, read_invokeai, recipe_of
from sfumato.recipe.replay.comfyui_walks import NAMES, SCHEDULERS
from sfumato.sample import (
    DDIM,
    DPM2,
    LMS,
    PLMS,
    DPMAdaptive,
    DPMFast,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    Heun,
    UniPC,
)
from sfumato.schedule import Discrete, Flow
from sfumato.times import (
    AlignYourStepsGrid,
    BetaGrid,
    DiscardPenultimateGrid,
    KarrasGrid,
    KLOptimalGrid,
    LeadingGrid,
    LinearQuadraticGrid,
    LinspaceGrid,
    LogSNRGrid,
    RestartGrid,
    ShiftedGrid,
    TrailingGrid,
)

TABLE = Discrete.named("scaled_linear", beta_start=0.00085, beta_end=0.012)
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
    assert recipe.clip_skip == 2
    (remark,) = remarks
    assert remark.startswith("A1111 before 1.8 kept its noise levels in half precision")
    assert recipe.start.unit is False  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("values", "sampler", "times"),
    [
        ("Sampler: Euler a", DDIM(eta=1.0), LinspaceGrid()),
        ("Sampler: Euler, Schedule type: Karras", Euler(), KarrasGrid()),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", DPMpp2M(), KarrasGrid()),
        ("Sampler: DPM++ 2M SDE, Schedule type: Exponential", DPMpp2M(sde=True), LogSNRGrid()),
        ("Sampler: Euler, Schedule type: SGM Uniform, RNG: CPU", Euler(), LinspaceGrid(ends=False)),
        ("Sampler: Euler, Schedule type: Simple", Euler(), TrailingGrid(up=True)),
        ("Sampler: Euler, Schedule type: Normal", Euler(), LinspaceGrid()),
        ("Sampler: Euler, Schedule type: Beta", Euler(), BetaGrid(of="kappa")),
        ("Sampler: Euler, Schedule type: Align Your Steps", Euler(), AlignYourStepsGrid(last=True)),
        ("Sampler: Euler, Schedule type: KL Optimal", Euler(), KLOptimalGrid(least=False)),
        ("Sampler: LMS Karras", LMS(), KarrasGrid()),
        ("Sampler: Heun, Schedule type: Karras", Heun("kappa"), KarrasGrid()),
        ("Sampler: Restart, Schedule type: Karras", Heun("kappa"), RestartGrid()),
        ("Sampler: PLMS", PLMS(), LeadingGrid()),
        ("Sampler: DPM++ SDE Karras", DPMppSDE(), KarrasGrid()),
        ("Sampler: DPM++ SDE, Schedule type: Automatic", DPMppSDE(), KarrasGrid()),
        ("Sampler: DPM++ 2M SDE Heun Exponential", DPMpp2M(sde=True, solver="heun"), LogSNRGrid()),
        ("Sampler: DPM++ 2S a Karras", DPMpp2S(1.0), KarrasGrid()),
        ("Sampler: DPM2 a Karras", DPM2(1.0), DiscardPenultimateGrid(KarrasGrid())),
        ("Sampler: DPM++ 3M SDE, Schedule type: Automatic", DPMpp3M(sde=True), DiscardPenultimateGrid(LogSNRGrid())),
    ],
)
def test_samplers_and_schedules_of_a1111_s_page(values: str, sampler, times) -> None:
    recipe, remarks = recipe_of(read_a1111(f"a boat\nSteps: 20, {values}, CFG scale: 7, Seed: 1, Size: 64x64"), "mini")
    assert (recipe.sampler, recipe.times) == (sampler, times)
    assert isinstance(recipe.noise, A1111CpuNoise if "CPU" in values else A1111GpuNoise)
    assert bool(remarks) == any(name in values for name in ("SDE", "PLMS", "KL"))  # a Brownian tree; another end


@pytest.mark.parametrize(
    ("sampler", "times"),
    [
        (DPMpp2M(sde=True), KarrasGrid()),
        (DPM2(1.0), DiscardPenultimateGrid(KarrasGrid())),
        (DPMppSDE(), TrailingGrid(up=True)),
        (Heun("kappa"), KarrasGrid()),
    ],
)
def test_what_we_write_for_that_page_reads_as_what_it_was(sampler, times) -> None:
    made = Recipe(
        prompt='a "red" boat, sea', negative="grey", sampler=sampler, times=times, steps=9, seed=4,
        width=64, height=96, guidance=(ClassifierFree(3.5),), noise=A1111CpuNoise(eta_delta=7),
    )  # fmt: skip
    again, _ = recipe_of(read_a1111(parameters(made)), "mini")
    for field in ("prompt", "negative", "sampler", "times", "steps", "seed", "width", "height", "guidance", "noise"):
        assert getattr(again, field) == getattr(made, field)


@pytest.mark.parametrize(
    ("steps", "values", "sampler", "taken"),
    [
        (18, "DPM fast", DPMFast(18, 1.0, denoise_to_zero=False), 8),
        (20, "DPM fast, Schedule type: Karras, Eta: 0.5", DPMFast(20, 0.5, denoise_to_zero=False), 8),
        (1, "DPM fast, Eta: 0", DPMFast(1, 0.0, denoise_to_zero=False), 2),
        (20, "DPM adaptive", DPMAdaptive(eta=1.0, denoise_to_zero=False), 2),
        (20, "DPM adaptive, Eta: 0", DPMAdaptive(denoise_to_zero=False), 2),
    ],
)
def test_samplers_that_choose_their_noise_levels(steps: int, values: str, sampler, taken: int) -> None:
    recipe, remarks = recipe_of(read_a1111(f"x\nSteps: {steps}, Sampler: {values}, Seed: 1"), "mini")
    assert (recipe.sampler, recipe.times, recipe.steps, remarks) == (sampler, LogSNRGrid(), taken, ())
    again, _ = recipe_of(read_a1111(parameters(recipe)), "mini")
    assert (again.sampler, again.times, again.steps) == (sampler, LogSNRGrid(), taken)


def test_the_eta_of_that_page_is_that_of_samplers_that_add_noise() -> None:
    for label, sampler in (("Euler a", DDIM(0.3)), ("DPM2 a", DPM2(0.3)), ("DPM++ SDE", DPMppSDE(0.3)), ("LMS", LMS())):
        assert recipe_of(read_a1111(f"x\nSteps: 3, Sampler: {label}, Seed: 1, Eta: 0.3"), "m")[0].sampler == sampler
    made = Recipe(sampler=DDIM(0.3), times=KarrasGrid(), steps=9)
    assert recipe_of(read_a1111(parameters(made)), "mini")[0].sampler == made.sampler
    _, remarks = recipe_of(read_a1111("x\nSteps: 3, Sampler: DPM++ 2M SDE, Seed: 1, Eta: 0.3"), "m")
    assert "A1111 gives DPM++ 2M SDE the eta 0.3, and it is 1 here" in remarks
    with pytest.raises(BadInput, match=r"its Eta is 1\.5: from 0 to 1 is replayed"):
        recipe_of(read_a1111("x\nSteps: 3, Sampler: Euler a, Seed: 1, Eta: 1.5"), "m")
    with pytest.raises(BadInput, match="its Eta is 'x', which is no number"):
        read_a1111("x\nSteps: 3, Sampler: Euler a, Seed: 1, Eta: x")


@pytest.mark.parametrize("label", ["DPM fast", "DPM adaptive"])
def test_what_chooses_its_noise_levels_is_not_replayed_where_they_are_others(label: str) -> None:
    twice = "Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent"
    with pytest.raises(BadInput, match=f"{label} chooses its noise levels itself.*two parts"):
        recipe_of(read_a1111(f"x\nSteps: 9, Sampler: {label}, Seed: 1, Size: 64x64, {twice}"), "m")
    with pytest.raises(BadInput, match=f"{label} chooses its noise levels itself.*of a flow"):
        recipe_of(Said("ComfyUI", "x", sampler=label, schedule="karras", shift=1.0), "m")


def test_restart_is_a_sampler_on_that_page_and_a_shift_nothing() -> None:
    made = Recipe(sampler=Heun("kappa"), times=RestartGrid(), steps=24, guidance=(ClassifierFree(3.5),))
    assert "Sampler: Restart, Schedule type: Karras" in parameters(made)
    again, remarks = recipe_of(read_a1111(parameters(made)), "mini")
    assert (again.sampler, again.times, remarks) == (made.sampler, made.times, ())
    assert "Schedule" not in parameters(replace(made, times=ShiftedGrid(3.0)))
    few, _ = recipe_of(read_a1111("x\nSteps: 15, Sampler: Restart, Schedule type: Uniform, Seed: 1"), "mini")
    assert few.times == LinspaceGrid()
    _, remarks = recipe_of(read_a1111("x\nSteps: 25, Sampler: Restart, Schedule type: Uniform, Seed: 1"), "mini")
    assert remarks == ("A1111 restarts on Karras' levels between the ends of Uniform",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("First pass size: 512x512", r"a second pass at a larger size, as older .*First pass size: 512x512"),
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
    said = read_a1111('x\nSteps: 3, Sampler: DPM sideways, CFG scale: 7, Seed: 1, NGMS: 1.5, Style: "a, b"')
    assert said.remarks == (
        "NGMS (1.5) is not known here and left out",
        "Style (a, b) is not known here and left out",
    )
    with pytest.raises(BadInput, match=r"the sampler 'DPM sideways' is not here: known are .*Euler a"):
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


LATENT = "EmptyLatentImage"


def twice(upscale: dict, **second) -> dict:
    """A graph of two KSamplers, with the latents enlarged between them."""
    last = {**graph()["3"]["inputs"], "seed": 8, "steps": 9, "denoise": 0.5, "latent_image": ["10", 0], **second}
    kind = "LatentUpscaleBy" if "scale_by" in upscale else "LatentUpscale"
    return graph() | {
        "10": {"class_type": kind, "inputs": {"samples": ["3", 0], "upscale_method": "bilinear", **upscale}},
        "11": {"class_type": "KSampler", "inputs": last},
    }


def test_a_graph_of_comfyui_with_the_latents_enlarged_between_two_samplers() -> None:
    recipe, remarks = recipe_of(read_comfyui(json.dumps(twice({"scale_by": 1.5}))), "mini")
    assert recipe.start == HiresFix(1.5, 0.5, "latent", of="steps", first_steps=20, seed=8)
    assert (recipe.width, recipe.height, recipe.steps, recipe.seed) == (96, 144, 9, 7)
    assert (recipe.times, remarks) == (LinspaceGrid(), ())
    sized = twice({"width": 128, "height": 192, "upscale_method": "nearest-exact"}, seed=7)
    recipe, _ = recipe_of(read_comfyui(json.dumps(sized)), "mini")
    assert recipe.start == HiresFix(2.0, 0.5, "latent-nearest-exact", of="steps", first_steps=20)
    lora = {"class_type": "LoraLoader", "inputs": {"lora_name": "x", "clip": ["4", 1], "model": ["4", 0]}}
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "ropes", "clip": ["12", 1]}}
    lora_in_one_text = twice({"scale_by": 1.5}, positive=["13", 0]) | {"12": lora, "13": text}
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "ropes", "clip": ["4", 1]}}
    told = twice({"scale_by": 1.5}, positive=["13", 0], cfg=3.0) | {"13": text}
    recipe, _ = recipe_of(read_comfyui(json.dumps(told)), "mini")
    assert (recipe.prompt, recipe.negative, recipe.guidance) == ("ropes", "grey", (ClassifierFree(3.0),))
    own = {"first_prompt": "a boat", "first_guidance": [ClassifierFree(8.0)]}
    assert recipe.start == HiresFix(1.5, 0.5, "latent", of="steps", first_steps=20, seed=8, **own)
    for changed, why in (
        (twice({"scale_by": 1.5}, model=["12", 0]), "its second KSampler has another model"),
        (lora_in_one_text, "its second KSampler reads its words or tells its guidance otherwise"),
        (twice({"scale_by": 1.5}, sampler_name="dpm_fast"), "chooses its noise levels itself"),
        (twice({"scale_by": 1.5}, sampler_name="dpm_slow"), "the sampler 'dpm_slow' is not here"),
        (twice({"scale_by": 1.5, "upscale_method": "bislerp"}), "enlarged by bislerp: known are nearest-exact"),
        (twice({"width": 128, "height": 128}), "cuts or stretches"),
        (twice({"scale_by": 0.5}), "enlarged 0.5 times"),
        (twice({"scale_by": math.inf}), "enlarged inf times"),
        (twice({"scale_by": math.nan}), "enlarged nan times"),
        (twice({"scale_by": 2}, seed=None), "its seed is None"),
        (twice({"scale_by": 2}) | {"5": {"class_type": LATENT, "inputs": {"width": 0, "height": 64}}}, "is no size"),
        (graph() | {"11": graph()["3"]}, "2 KSamplers: those of one are replayed, or of two"),
    ):
        with pytest.raises(BadInput, match=why):
            recipe_of(read_comfyui(json.dumps(changed)), "mini")
    other = twice({"scale_by": 1.5}, sampler_name="dpm_2_ancestral", scheduler="karras")
    recipe, remarks = recipe_of(read_comfyui(json.dumps(other)), "mini")
    assert (recipe.sampler, recipe.times) == (DPM2(1.0), DiscardPenultimateGrid(KarrasGrid()))
    first = recipe.start.before(recipe)
    assert (first.sampler, first.times) == (Euler(), LinspaceGrid())
    assert remarks == ("ComfyUI draws the noise of DPM2 a's steps otherwise than here",)


def test_a_plain_graph_of_comfyui() -> None:
    said = read_comfyui(json.dumps(graph(sampler_name="dpmpp_2m", scheduler="karras")))
    recipe, remarks = recipe_of(said, "mini")
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.noise) == ("a boat", "grey", 7, TorchNoise())
    assert (recipe.sampler, recipe.times, said.model) == (DPMpp2M(), KarrasGrid(), "sd15.safetensors")
    assert not remarks
    other = recipe_of(read_comfyui(json.dumps(graph(sampler_name="euler_ancestral"))), "mini")
    assert other[1] == ("ComfyUI draws the noise of Euler a's steps otherwise than here",)
    for named, why in (
        ("deis", "another time"),
        ("ddpm", "draws the noise of DDPM"),
        ("lcm", "draws the noise of LCM"),
    ):
        assert any(
            why in remark for remark in recipe_of(read_comfyui(json.dumps(graph(sampler_name=named))), "mini")[1]
        )
    for named, scheduler, sampler, times in (
        ("uni_pc_bh2", "simple", UniPC(3), DiscardPenultimateGrid(TrailingGrid(up=True))),
        ("uni_pc", "karras", UniPC(3, "bh1"), DiscardPenultimateGrid(KarrasGrid())),
        ("dpmpp_sde_gpu", "beta", DPMppSDE(), BetaGrid(whole=True)),
        ("res_multistep", "simple", DPMpp2M(solver="heun"), TrailingGrid(up=True)),
        ("heun", "karras", Heun("kappa"), KarrasGrid()),
        ("euler", "linear_quadratic", Euler(), LinearQuadraticGrid(of="kappa")),
        ("dpmpp_2m_sde_heun", "karras", DPMpp2M(sde=True, solver="heun"), KarrasGrid()),
    ):
        recipe, _ = recipe_of(read_comfyui(json.dumps(graph(sampler_name=named, scheduler=scheduler))), "mini")
        assert (recipe.sampler, recipe.times) == (sampler, times)
    faced = graph() | {"11": {"class_type": "FaceDetailer", "inputs": {}}}
    with pytest.raises(BadInput, match="graph has FaceDetailer: plain"):
        read_comfyui(json.dumps(faced))
    with pytest.raises(BadInput, match="denoise below 1"):
        read_comfyui(json.dumps(graph(denoise=0.4)))
    with pytest.raises(BadInput, match="the scheduler 'bong_tangent' is not here"):
        read_comfyui(json.dumps(graph(scheduler="bong_tangent")))
    with pytest.raises(BadInput, match=r"graph has nothing where .*CLIPTextEncode.* is read"):
        read_comfyui(json.dumps(graph(positive=3)))
    for text in ("[]", "{", '{"1": 3}', '{"1": {"class_type": "KSampler", "inputs": [1]}}'):
        with pytest.raises(BadInput):
            read_comfyui(text)


ADVANCED = {"noise_seed": 9, "add_noise": "enable", "start_at_step": 0, "end_at_step": 10_000}


def relay(first: dict | None = None, last: dict | None = None, text: dict | None = None) -> dict:
    """ComfyUI's own graph of Stable Diffusion XL with its refiner, which goes on from step 15 of 20."""
    parts = graph()
    plain = {key: value for key, value in parts["3"]["inputs"].items() if key not in ("seed", "denoise")}
    base = {**plain, **ADVANCED, "end_at_step": 15, "return_with_leftover_noise": "enable"}
    ends = {
        **plain,
        **ADVANCED,
        "add_noise": "disable",
        "start_at_step": 15,
        "model": ["14", 0],
        "latent_image": ["3", 0],
        "positive": ["16", 0],
        "negative": ["17", 0],
    }
    score = {"ascore": 6.0, "width": 64, "height": 96, "clip": ["14", 1]}
    sizes = {"width": 64, "height": 96, "crop_w": 0, "crop_h": 0, "target_width": 64, "target_height": 96}
    encoded = {"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": "a boat", "text_l": "a boat", **sizes}}
    encoded["inputs"] |= {"clip": ["4", 1], **(text or {})}
    refining = "CLIPTextEncodeSDXLRefiner"
    return parts | {
        "3": {"class_type": "KSamplerAdvanced", "inputs": base | (first or {})},
        "6": encoded,
        "13": {"class_type": "KSamplerAdvanced", "inputs": ends | (last or {})},
        "14": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_refiner.safetensors"}},
        "16": {"class_type": refining, "inputs": {**score, "text": "a boat"}},
        "17": {"class_type": refining, "inputs": {**score, "ascore": 2.5, "text": "grey"}},
    }


def test_a_graph_of_comfyui_in_which_a_refiner_takes_over() -> None:
    said = read_comfyui(json.dumps(relay()))
    recipe, remarks = recipe_of(said, "xl", refiner="xl-refiner")
    assert (said.model, said.refiner, remarks) == ("sd15.safetensors", "sd_xl_refiner.safetensors", ())
    assert (recipe.prompt, recipe.negative, recipe.seed, recipe.steps) == ("a boat", "grey", 9, 20)
    knots = recipe.times(20, TABLE)[:-1]
    assert recipe.refiner is not None
    assert (recipe.refiner.model, int((knots > recipe.refiner.at).sum())) == ("xl-refiner", 15)
    with pytest.raises(BadInput, match=r"a second model, sd_xl_refiner\.safetensors, which took over: say where"):
        recipe_of(said, "xl")
    whole, _ = recipe_of(read_comfyui(json.dumps(relay({"end_at_step": 20}, {"start_at_step": 20}))), "xl", refiner="r")
    assert whole.refiner is None
    fast = {"sampler_name": "dpm_fast", "scheduler": "karras"}
    for changed, why in (
        (relay({"end_at_step": 14}), "don't go on one from the other"),
        (relay({"return_with_leftover_noise": "disable"}), "don't go on one from the other"),
        (relay({"cfg": 3.0}), "its second KSamplerAdvanced has another cfg"),
        (relay(last={"model": ["4", 0]}), "have one model"),
        (relay(last={"end_at_step": 18}), "was walked from step 0 to 18"),
        (relay(last={"positive": ["17", 0]}), "told other words than the model before it"),
        (relay(text={"text_l": "a ship"}), "tells its two text encoders different words"),
        (relay(fast, fast), "chooses its noise levels itself, which is not replayed in two parts"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=why):
            recipe_of(read_comfyui(json.dumps(changed)), "xl", refiner="r")
    _, (remark,) = recipe_of(read_comfyui(json.dumps(relay(*[{"sampler_name": "heun"}] * 2))), "xl", refiner="r")
    assert remark.startswith("ComfyUI asks the first model for the end of its last step")
    strange = relay(text={"width": 1024})
    strange["16"]["inputs"]["ascore"] = 9
    _, remarks = recipe_of(read_comfyui(json.dumps(strange)), "xl", refiner="r")
    assert [remark[:22] for remark in remarks] == ["ComfyUI told Stable Di", "ComfyUI told the refin"]
    with pytest.raises(BadInput, match="no refiner took over"):
        recipe_of(read_comfyui(json.dumps(graph())), "m", refiner="r")


def test_a_sampler_that_is_told_where_to_begin_and_end_is_one_of_the_whole_way_or_refused() -> None:
    plain = {key: value for key, value in graph()["3"]["inputs"].items() if key not in ("seed", "denoise")}
    for kind, changed, seed in (
        ("KSamplerAdvanced", {**plain, **ADVANCED}, 9),
        (
            "SamplerCustom",
            {"add_noise": True, "noise_seed": 4, "cfg": 8.0, "sampler": ["20", 0], "sigmas": ["21", 0]},
            4,
        ),
    ):
        links = {name: plain[name] for name in ("model", "positive", "negative", "latent_image")}
        parts = graph() | {
            "3": {"class_type": kind, "inputs": {**links, **changed}},
            "20": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
            "21": {
                "class_type": "BasicScheduler",
                "inputs": {"scheduler": "normal", "steps": 20, "denoise": 1.0, "model": ["4", 0]},
            },
        }
        recipe, remarks = recipe_of(read_comfyui(json.dumps(parts)), "m")
        plainly, _ = recipe_of(read_comfyui(json.dumps(graph(seed=seed))), "m")
        assert (recipe, remarks) == (plainly, ())
        parts["3"]["inputs"]["add_noise"] = "disable" if kind == "KSamplerAdvanced" else False
        with pytest.raises(BadInput, match="without new noise"):
            read_comfyui(json.dumps(parts))
    with pytest.raises(BadInput, match="was walked from step 3 to 10000"):
        read_comfyui(
            json.dumps(
                graph() | {"3": {"class_type": "KSamplerAdvanced", "inputs": {**plain, **ADVANCED, "start_at_step": 3}}}
            )
        )


@pytest.mark.parametrize(
    ("said", "at", "first"),
    [
        ("Refiner switch at: 0.8, Version: v1.10.1", 0.2, None),
        ("Refiner switch at: 0.8, Version: v1.7.0", None, 16),
        ("Refiner switch at: 0.81, Refiner switch by sampling steps: True, Version: v1.9.0", None, 17),
    ],
)
def test_a_refiner_of_a1111_s_page(said: str, at: float | None, first: int | None) -> None:
    walk = "Steps: 20, Sampler: Euler, Schedule type: Karras, Seed: 1, Size: 64x64"
    text = f"a boat\n{walk}, Refiner: sd_xl_refiner [7440], {said}"
    recipe, remarks = recipe_of(read_a1111(text), "xl", refiner="r")
    assert recipe.refiner is not None
    assert recipe.refiner.model == "r"
    assert [remark for remark in remarks if "half precision" not in remark] == []
    above = int((recipe.times(20, TABLE) > recipe.refiner.at).sum())
    assert recipe.refiner.at == pytest.approx(at) if at else above == first
    again, _ = recipe_of(read_a1111(parameters(recipe)), "xl", refiner="r")
    assert again.refiner is not None
    assert again.refiner.at == pytest.approx(recipe.refiner.at, abs=1e-6)
    _, (*_, remark) = recipe_of(read_a1111(text.replace("Euler", "DPM++ 2M")), "xl", refiner="r")
    assert remark == "A1111's DPM++ 2M remembers steps of the first model when the refiner takes over"
    with pytest.raises(BadInput, match=r"a second model, sd_xl_refiner \[7440\], which took over: say where that is"):
        recipe_of(read_a1111(text), "xl")
    for broken, why in (("0.8", "nan"), ("0.8", "-1"), ("0.8", "x")):
        with pytest.raises(BadInput, match="Refiner switch at is"):
            read_a1111(text.replace(broken, why).replace("0.81", why))


def test_flux_s_own_text_node() -> None:
    parts = flow_graph()
    told = {"clip_l": "a red hat", "t5xxl": "a red hat", "guidance": 4.0, "clip": ["2", 0]}
    parts["3"] = {"class_type": "CLIPTextEncodeFlux", "inputs": told}
    parts["6"]["inputs"]["conditioning"] = ["3", 0]
    said = read_comfyui(json.dumps(parts))
    assert (said.prompt, said.distilled) == ("a red hat", 4.0)
    told["clip_l"] = "a hat"
    with pytest.raises(BadInput, match="CLIPTextEncodeFlux tells its two text encoders different words"):
        read_comfyui(json.dumps(parts))


def flow_graph(scheduler: str = "simple", sampler: str = "euler") -> dict:
    """ComfyUI's own graph of FLUX.1 [dev]: a network, two text encoders, and a sampler in parts."""
    return {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}},
        "2": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "t5", "clip_name2": "clip_l", "type": "flux"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red hat", "clip": ["2", 0]}},
        "4": {"class_type": "FluxGuidance", "inputs": {"guidance": 2.5, "conditioning": ["3", 0]}},
        "5": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 48, "height": 64, "batch_size": 1}},
        "6": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["4", 0]}},
        "7": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
        "8": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": sampler}},
        "9": {
            "class_type": "BasicScheduler",
            "inputs": {"scheduler": scheduler, "steps": 6, "denoise": 1.0, "model": ["1", 0]},
        },
        "10": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["7", 0],
                "guider": ["6", 0],
                "sampler": ["8", 0],
                "sigmas": ["9", 0],
                "latent_image": ["5", 0],
            },
        },
    }


def comfyui_sigmas(scheduler: str, steps: int, shift: float, count: int) -> list[float]:
    """As comfy/samplers.py has them for model_sampling.ModelSamplingFlux and -DiscreteFlow."""

    def sigma(t: float) -> float:
        return shift * t / (1 + (shift - 1) * t)

    table = [sigma((i + 1) / count) for i in range(count)]
    if scheduler == "simple":
        return [*(table[-(1 + int(k * count / steps))] for k in range(steps)), 0.0]
    least, ramp = table[0], [k / (steps - 1) for k in range(steps)]
    if scheduler == "karras":
        roots = least ** (1 / 7)
        return [*((1 + part * (roots - 1)) ** 7 for part in ramp), 0.0]
    if scheduler == "exponential":
        return [*(math.exp(part * math.log(least)) for part in ramp), 0.0]
    if scheduler == "kl_optimal":
        return [*(math.tan(part * math.atan(least) + (1 - part) * math.atan(1)) for part in ramp), 0.0]
    if scheduler == "ddim_uniform":
        return [*table[1 :: max(count // steps, 1)][::-1], 0.0]
    if scheduler == "linear_quadratic":
        half = steps // 2
        lines = [0.025 * k / half for k in range(half)]
        rest, bend = steps - half, (half - 0.025 * steps) / (half * (steps - half) ** 2)
        slope = 0.025 / half - 2 * (half - 0.025 * steps) / rest**2
        lines += [bend * k**2 + slope * k + bend * half**2 for k in range(half, steps)]
        return [1 - level for level in (*lines, 1.0)]
    last = least  # taken for a time
    parts = steps if scheduler == "sgm_uniform" else steps - 1
    return [*(sigma(1 + (last - 1) * k / parts) for k in range(steps)), 0.0]


@pytest.mark.parametrize("scheduler", [scheduler for scheduler in SCHEDULERS if scheduler != "beta"])
@pytest.mark.parametrize(
    ("nodes", "shift", "count"),
    [
        ({}, math.exp(1.15), 10_000),
        (
            {"1": ("ModelSamplingFlux", {"max_shift": 1.15, "base_shift": 0.5, "width": 512, "height": 768})},
            1.88,
            10_000,
        ),
        ({"1": ("ModelSamplingSD3", {"shift": 5.0})}, 5.0, 1000),
        ({"2": ("CLIPLoader", {"type": "lumina2"})}, 3.0, 1000),
        ({"2": ("CLIPLoader", {"type": "qwen_image"})}, math.exp(1.15), 10_000),
        ({"2": ("TripleCLIPLoader", {})}, 3.0, 1000),
    ],
)
def test_the_noise_levels_of_a_flow_are_comfyui_s(scheduler, nodes, shift, count) -> None:
    if shift == 1.88:
        shift = math.exp(0.5 + (1.15 - 0.5) * (512 * 768 / 256 - 256) / (4096 - 256))
    graph = flow_graph(scheduler)
    for key, (kind, inputs) in nodes.items():
        if kind.startswith("ModelSampling"):
            graph["11"] = {"class_type": kind, "inputs": {**inputs, "model": ["1", 0]}}
            graph["9"]["inputs"]["model"] = ["11", 0]
        else:
            graph[key] = {"class_type": kind, "inputs": inputs}
    recipe, remarks = recipe_of(read_comfyui(json.dumps(graph)), "m")
    assert not remarks
    theirs = torch.tensor(comfyui_sigmas(scheduler, 6, shift, count)).double()
    assert (recipe.prompt, recipe.seed, recipe.sampler) == ("a red hat", 5, Euler())
    assert recipe.steps == len(theirs) - 1 == (7 if scheduler == "ddim_uniform" else 6)
    assert recipe.start.unit == (theirs[0] == 1)  # pyright: ignore[reportAttributeAccessIssue]
    for own in (Flow(1.0), Flow(2.7)):  # whatever shift the model has
        _, sigma = own(recipe.times(recipe.steps, own))
        torch.testing.assert_close(sigma, theirs, atol=3e-5, rtol=0)  # "normal" ends between two indices of a table


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("sampler", NAMES)
def test_every_sampler_and_scheduler_of_comfyui_that_is_named_is_here(sampler: str, scheduler: str) -> None:
    own = ("dpm_fast", "dpm_adaptive")
    if sampler in own and scheduler not in ("normal", "karras", "exponential", "kl_optimal"):
        with pytest.raises(BadInput, match=f"{sampler} with the scheduler {scheduler} is not replayed"):
            read_comfyui(json.dumps(graph(sampler_name=sampler, scheduler=scheduler)))
        return
    recipe, _ = recipe_of(read_comfyui(json.dumps(graph(sampler_name=sampler, scheduler=scheduler))), "mini")
    assert isinstance(recipe.times, DiscardPenultimateGrid) == (
        sampler in ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
    )


def test_a_scheduler_in_a_node_of_its_own_discards_no_level_and_has_a_model_of_its_own() -> None:
    parts = flow_graph(sampler="uni_pc")
    del parts["4"]
    parts["1"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}}
    parts["3"]["inputs"]["clip"], parts["6"]["inputs"]["conditioning"] = ["1", 1], ["3", 0]
    parts["5"]["class_type"] = "EmptyLatentImage"
    del parts["2"]
    recipe, _ = recipe_of(read_comfyui(json.dumps(parts)), "m")
    assert (recipe.times, recipe.guidance) == (TrailingGrid(up=True), (ClassifierFree(1.0),))
    shifted = flow_graph()
    shifted["11"] = {"class_type": "ModelSamplingSD3", "inputs": {"model": ["1", 0], "shift": 2.0}}
    shifted["9"]["inputs"]["model"] = ["11", 0]  # and the guider's is the plain one
    assert read_comfyui(json.dumps(shifted)).shift == 2.0


@pytest.mark.parametrize("shift", [0, -1, "nan", 1e9])
def test_shifts_that_no_flow_has_are_refused(shift) -> None:
    parts = flow_graph("normal")
    parts["11"] = {"class_type": "ModelSamplingSD3", "inputs": {"model": ["1", 0], "shift": shift}}
    parts["9"]["inputs"]["model"] = ["11", 0]
    with pytest.raises(BadInput, match="its shift is"):
        read_comfyui(json.dumps(parts))
    parts["11"] = {"class_type": "ModelSamplingFlux", "inputs": {"model": ["1", 0], "max_shift": 1e6}}
    with pytest.raises(BadInput, match="its shift is"):
        read_comfyui(json.dumps(parts))


@pytest.mark.parametrize(("asked", "taken"), [(20, 20), (30, 31), (28, 29), (7, 8), (1000, 999)])
def test_the_levels_of_ddim_s_stride_are_all_that_there_are(asked: int, taken: int) -> None:
    """Both tools take the stride of the steps that are asked for, and walk the table with it to its end."""
    table = range(1, 1000, max(1000 // asked, 1))
    theirs = torch.tensor([*((index + 1) / 1000 for index in reversed(table)), 0.0]).double()
    texts = [
        read_comfyui(json.dumps(graph(scheduler="ddim_uniform", steps=asked))),
        read_a1111(f"x\nSteps: {asked}, Sampler: Euler, Schedule type: DDIM, Seed: 1"),
        read_a1111(f"x\nSteps: {asked}, Sampler: DDIM, Schedule type: Karras, Seed: 1"),  # which it does not heed
    ]
    for said in texts:
        recipe, _ = recipe_of(said, "m")
        assert recipe.steps == taken
        torch.testing.assert_close(recipe.times(recipe.steps, TABLE), theirs)
        again, _ = recipe_of(read_a1111(parameters(recipe)), "m")
        assert (again.times, again.steps) == (recipe.times, recipe.steps)
    assert recipe_of(texts[0], "m")[0].start == Noise(unit=False)
    discarding = graph(scheduler="ddim_uniform", steps=asked, sampler_name="dpm_2")
    one_more = len(range(1, 1000, max(1000 // (asked + 1), 1)))
    assert recipe_of(read_comfyui(json.dumps(discarding)), "m")[0].steps == one_more - 1


@pytest.mark.parametrize(("asked", "taken"), [(20, 21), (30, 32), (28, 30)])
def test_a1111_s_unipc_steps_evenly_to_the_least_level(asked: int, taken: int) -> None:
    """In as many equal steps as DDIM's stride has indices; here one more goes to 0."""
    recipe, _ = recipe_of(read_a1111(f"x\nSteps: {asked}, Sampler: UniPC, Schedule type: Karras, Seed: 1"), "m")
    assert (recipe.sampler, recipe.steps) == (UniPC(3, "bh1", denoise_to_zero=False), taken)
    theirs = torch.linspace(1, 1e-3, taken, dtype=torch.float64)
    torch.testing.assert_close(recipe.times(taken, TABLE)[:-1], theirs)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a cat", "a cat"),
        ("[cat:dog:10]", "[cat:dog:11]"),
        ("[cat:dog:0.5] here", "[cat:dog:11] here"),
        ("[dog:0.25]", "[:dog:6]"),
        ("[cat::0]", "[cat::0]"),
        ("[cat:dog:20]", "[cat:dog:20]"),
        ("(a [cat|dog|hen]:1.2)", "(a [cat:[hen|cat|dog]:1]:1.2)"),
        ("[a [b|c]:d:4]", "[a [b:[c|b]:1]:d:5]"),
        (r"[word] and \\[x:3\\]", r"[word] and \\[x:3\\]"),
    ],
)
def test_changes_of_a_prompt_come_when_a1111_s_page_makes_them(said: str, meant: str) -> None:
    """Its steps are calls counted from 0, and the words of step n are said at call n too."""
    line = "Steps: 20, Sampler: Euler, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 64x64"
    recipe, remarks = recipe_of(read_a1111(f"{said}\n{line}"), "m")
    assert (recipe.prompt, remarks) == (meant, ())
    _, remarks = recipe_of(read_a1111(f"{said}\n{line}".replace("Euler", "Heun")), "m")
    counted = "A1111 counts the changes of a prompt in calls of the model, of which Heun makes several a step"
    assert (counted in remarks) == (said != meant or said in ("[cat::0]", "[cat:dog:20]"))


def a1111_at(before: str, after: str, count: int, call: int) -> str:
    """`reconstruct_cond_batch`: the first entry whose end the call has not passed."""
    return next(text for end, text in ((count, before), (99, after)) if call <= end)


def test_the_words_of_each_call_are_those_of_a1111_s_page() -> None:
    recipe, _ = recipe_of(read_a1111("[cat:dog:0.3], [a|b]\nSteps: 12, Sampler: Euler a, Seed: 1"), "m")
    said = dict(periods(recipe.prompt, 12))
    for call in range(12):
        words = said[max(step for step in said if step <= call)]
        turn = "ab"[max(call - 1, 0) % 2]  # the entry of step l says turn l - 1, and the first is said twice
        assert words == f"{a1111_at('cat', 'dog', 3, call)}, {turn}"


def test_what_a1111_s_page_does_by_its_version_and_its_card() -> None:
    line = "Steps: 20, Sampler: Euler, Schedule type: Karras, Seed: 1, Size: 1024x1024"
    _, (remark,) = recipe_of(read_a1111(f"x\n{line}"), "m")
    assert remark.startswith("which numbers a GPU draws for so large a picture depends on the card")
    recipe, remarks = recipe_of(read_a1111(f"x\n{line}, RNG: NV, Version: v1.8.0, SGM noise multiplier: True"), "m")
    assert (recipe.start, remarks) == (Noise(), ())
    _, (remark,) = recipe_of(read_a1111(f"x\n{line}, RNG: CPU, Civitai resources: []"), "m")
    assert remark.startswith("Civitai's own generator")
    few, remarks = recipe_of(read_a1111("x\nSteps: 15, Sampler: Restart, Seed: 1"), "m")
    assert (few.times, remarks) == (KarrasGrid(), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cat:dog:0.5], [a|b] and [hat]", "[cat:dog:0.5], [a|b] and [hat]"),
        ("a AND b BREAK c", "a AND b BREAK c"),
        (r"a \(small\) hat, C:\dir", r"a (small) hat, C:\dir"),
    ],
)
def test_what_means_nothing_to_comfyui_is_said_as_it_stands(text: str, words: str) -> None:
    parts = graph()
    parts["6"]["inputs"]["text"] = text
    recipe, remarks = recipe_of(read_comfyui(json.dumps(parts)), "m")
    assert not remarks
    plan = plan_of(recipe.prompt, 20)
    assert (plan.changing, len(plan.conjuncts), plan.caption) == (False, 1, words)
    assert len(parse(recipe.prompt)) == 1
    parts["6"]["inputs"]["text"] = "a ((red)) hat"
    recipe, remarks = recipe_of(read_comfyui(json.dumps(parts)), "m")
    assert (recipe.prompt, recipe.emphasis, remarks) == ("a ((red)) hat", FromEmpty(), ())
    parts["6"]["inputs"]["text"], parts["7"]["inputs"]["text"] = "a boat", ""
    assert recipe_of(read_comfyui(json.dumps(parts)), "m")[0].negative == " "


HUGE = "9" * 400


@pytest.mark.parametrize(
    "line",
    [
        "Steps: 0, Sampler: Euler, Schedule type: DDIM, Seed: 1",
        f"Steps: {HUGE}, Sampler: Euler, Seed: 1",
        f"Steps: 4, Sampler: Euler, Seed: 1, CFG scale: {HUGE}e400, Size: 64x64",
        "Steps: 4, Sampler: Euler, Seed: 1, Size: 64x64, Hires upscale: 2, Denoising strength: 5e-324",
        "Steps: 4, Sampler: Euler, Seed: 1, Size: 64x64, Hires upscale: 2, Denoising strength: 1e-9",
        f"Steps: 4, Sampler: Euler, Seed: 1, Size: 64x64, Hires upscale: 2, Hires steps: {HUGE}",
    ],
)
def test_numbers_that_no_walk_has_are_refused_of_a1111_s_page(line: str) -> None:
    with pytest.raises(BadInput):
        recipe_of(read_a1111(f"x\n{line}"), "m")


@pytest.mark.parametrize(
    ("node", "changed"),
    [
        ("3", {"steps": 0, "scheduler": "ddim_uniform"}),
        ("3", {"steps": int(HUGE)}),
        ("3", {"cfg": int(HUGE)}),
        ("3", {"denoise": int(HUGE)}),
        ("11", {"denoise": 1e-9}),
        ("11", {"steps": 0}),
        ("10", {"width": int(HUGE), "height": 64}),
        ("10", {"width": 1e308, "height": 1e308}),
        ("5", {"width": int(HUGE)}),
    ],
)
def test_numbers_that_no_walk_has_are_refused_of_comfyui(node: str, changed: dict) -> None:
    parts = graph() if node == "3" else twice({"width": 128, "height": 192} if node == "10" else {"scale_by": 2})
    parts[node]["inputs"] |= changed
    with pytest.raises(BadInput):
        sfumato.load("mini").run(recipe_of(read_comfyui(json.dumps(parts)), "mini")[0])


def test_numbers_that_no_flow_has_are_refused() -> None:
    for kind, changed in (
        ("ModelSamplingFlux", {"width": int(HUGE)}),
        ("ModelSamplingSD3", {"shift": 5e-324}),
        ("ModelSamplingSD3", {"shift": int(HUGE)}),
    ):
        parts = flow_graph("normal")
        parts["11"] = {"class_type": kind, "inputs": {"max_shift": 1.15, **changed, "model": ["1", 0]}}
        parts["9"]["inputs"]["model"] = ["11", 0]
        with pytest.raises(BadInput):
            read_comfyui(json.dumps(parts))
    for loras in (1, True, 1e308, {"a": 1}):
        with pytest.raises(BadInput, match="its loras can't be read"):
            read_invokeai(json.dumps({**INVOKED, "loras": loras}))


def test_the_new_noise_of_a1111_s_ddim() -> None:
    for said, eta in (("Eta DDIM: 0.4", 0.4), ("Eta: 0.4", 0.0)):
        recipe, remarks = recipe_of(read_a1111(f"x\nSteps: 20, Sampler: DDIM, Seed: 1, {said}"), "m")
        assert recipe.sampler == DDIM(eta)
        assert len(remarks) == 1  # where it ends
    _, remarks = recipe_of(read_a1111("x\nSteps: 27, Sampler: DDIM, Seed: 1"), "m")
    assert "A1111 begins these 27 steps with a short one from its table's end, which is left out" in remarks


def test_the_scale_that_is_told_is_that_of_flux_alone() -> None:
    """ComfyUI tells FLUX.1 [dev] 3.5 where nothing is said, and no other model what FluxGuidance says."""
    parts = flow_graph()
    parts["6"]["inputs"]["conditioning"] = ["3", 0]
    assert read_comfyui(json.dumps(parts)).distilled == 3.5
    for loader, kind in (("CLIPLoader", "qwen_image"), ("DualCLIPLoader", "sd3")):
        other = flow_graph()
        other["2"] = {"class_type": loader, "inputs": {"type": kind}}
        assert read_comfyui(json.dumps(other)).distilled is None


def test_a_graph_of_flux_and_what_is_otherwise_in_it() -> None:
    recipe, _ = recipe_of(read_comfyui(json.dumps(flow_graph())), "m")
    assert recipe.guidance == (ClassifierFree(1.0), Distilled(2.5))
    assert (recipe.width, recipe.height, recipe.noise) == (48, 64, TorchNoise())
    _, (remark,) = recipe_of(read_comfyui(json.dumps(flow_graph(sampler="dpm_2"))), "m")
    assert remark == "ComfyUI measures the steps of DPM2 in flow matching otherwise than here"
    for named, sampler in (
        ("heun", Heun("tau")),
        ("dpmpp_2m", DPMpp2M(form="tau")),
        ("res_multistep", DPMpp2M(solver="heun", form="tau")),
    ):
        recipe, remarks = recipe_of(read_comfyui(json.dumps(flow_graph(sampler=named))), "m")
        assert (recipe.sampler, remarks) == (sampler, ())
    schnell = flow_graph()
    schnell["1"]["inputs"]["unet_name"] = "FLUX1-schnell-fp8.safetensors"
    said = read_comfyui(json.dumps(schnell))
    assert (said.shift, said.distilled) == (1.0, None)
    plain = {
        **graph(scheduler="simple", cfg=1.0, positive=["10", 0], negative=["11", 0]),
        "10": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
        "11": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}},
    }
    said = read_comfyui(json.dumps(plain))
    assert (said.prompt, said.negative, said.distilled, said.shift) == ("a boat", "", 3.5, math.exp(1.15))
    plain["3"]["inputs"]["cfg"] = 4.0
    with pytest.raises(BadInput, match="ConditioningZeroOut where"):
        read_comfyui(json.dumps(plain))
    plain["3"]["inputs"] |= {"cfg": 1.0, "positive": ["11", 0]}
    with pytest.raises(BadInput, match="ConditioningZeroOut where"):
        read_comfyui(json.dumps(plain))
    guided = flow_graph()
    guided["6"] = {
        "class_type": "CFGGuider",
        "inputs": {"model": ["1", 0], "positive": ["4", 0], "negative": ["12", 0], "cfg": 3.0},
    }
    guided["12"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "grey", "clip": ["2", 0]}}
    said = read_comfyui(json.dumps(guided))
    assert (said.scale, said.negative, said.distilled) == (3.0, "grey", 2.5)
    looped = flow_graph()
    looped["4"]["inputs"]["conditioning"] = ["4", 0]
    with pytest.raises(BadInput, match="round in circles"):
        read_comfyui(json.dumps(looped))


def test_the_metadata_of_invokeai() -> None:
    values = {
        "generation_mode": "txt2img", "positive_prompt": "a boat", "negative_prompt": "grey", "width": 64, "height": 96,
        "seed": 7, "rand_device": "cpu", "cfg_scale": 6.0, "steps": 12, "scheduler": "dpmpp_2m_k", "clip_skip": 0,
        "model": {"name": "dreamshaper"}, "style_of_tomorrow": True,
    }  # fmt: skip
    said = read_invokeai(json.dumps(values))
    recipe, remarks = recipe_of(said, "mini")
    assert (recipe.sampler, recipe.times, recipe.steps, said.model) == (DPMpp2M(), KarrasGrid(), 12, "dreamshaper")
    assert recipe.noise == TorchNoise()
    assert remarks == ("style_of_tomorrow is not known here and left out",)
    assert recipe.start == Noise(unit=False)
    del values["style_of_tomorrow"]
    for changed, why in (
        ({"scheduler": "ddim"}, "InvokeAI ends DDIM at the least noise level"),
        ({"generation_mode": "sdxl_txt2img"}, "spaces the noise levels of Stable Diffusion XL"),
        ({"cfg_rescale_multiplier": 0.7}, "rescales guidance of what the network answers"),
        ({"positive_prompt": "a boat, " * 40}, "cuts long texts elsewhere"),
        ({"positive_prompt": "a (red) boat"}, "writes and applies weights"),
        ({"positive_prompt": 'a boat, ("a", "b").and()'}, "writes and applies weights"),
        ({"negative_prompt": "dog-"}, "writes and applies weights"),
        ({"positive_style_prompt": "oil"}, "words of its own for the second text encoder"),
    ):
        _, (remark,) = recipe_of(read_invokeai(json.dumps(values | changed)), "mini")
        assert why in remark
    same = {"positive_style_prompt": "a boat", "positive_prompt": "a boat"}
    assert recipe_of(read_invokeai(json.dumps(values | same)), "mini")[1] == ()
    plain, _ = recipe_of(read_invokeai(json.dumps(values | {"positive_prompt": "[x:y:0.5] AND z"})), "mini")
    plan = plan_of(plain.prompt, 12)
    assert (plan.changing, plan.caption) == (False, "[x:y:0.5] AND z")
    for changed, why in (
        ({"generation_mode": "flux_txt2img"}, "made by flux_txt2img"),
        ({"positive_prompt": "a <easynegative> boat"}, "says <easynegative>, a learned word"),
        ({"scheduler": "lcm"}, "the scheduler 'lcm' is not here"),
    ):
        with pytest.raises(BadInput, match=why):
            read_invokeai(json.dumps(values | changed))
    (even,) = {recipe_of(read_invokeai(json.dumps(values | {"scheduler": each})), "m")[0].times
               for each in ("dpmpp_2m", "dpmpp_2m_sde", "deis", "unipc")}  # fmt: skip
    stock = np.linspace(0, 999, 31).round()[::-1][:-1].copy()  # diffusers' multistep schedulers
    torch.testing.assert_close(even(30, TABLE)[:-1], torch.from_numpy((stock + 1) / 1000), atol=6e-4, rtol=0)
    assert recipe_of(read_invokeai(json.dumps(values | {"scheduler": "ddpm", "steps": 30})), "m")[0].steps == 30
    for named, sampler in (("unipc", UniPC()), ("heun", Heun("kappa"))):  # stock diffusers' own defaults
        assert recipe_of(read_invokeai(json.dumps(values | {"scheduler": named})), "mini")[0].sampler == sampler
    with pytest.raises(BadInput, match="made with controlnets"):
        read_invokeai(json.dumps(values | {"controlnets": [{}]}))
    with pytest.raises(BadInput, match="made with hrf_enabled"):  # a second walk at a larger size
        read_invokeai(json.dumps(values | {"hrf_enabled": True}))
    with pytest.raises(BadInput, match="made by img2img"):
        read_invokeai(json.dumps(values | {"generation_mode": "img2img"}))


def test_inspect_says_of_another_tool_s_picture_whether_it_can_be_made_again(tmp_path) -> None:
    path = tmp_path / "theirs.png"
    faced = graph() | {"11": {"class_type": "FaceDetailer", "inputs": {}}}
    for key, text, said in (
        (
            "prompt",
            json.dumps(graph()),
            "made by ComfyUI with the model sd15.safetensors: `sfumato redo --model MODEL`",
        ),
        ("parameters", OLD, "made by A1111 with the model v1-5-pruned-emaonly: `sfumato redo --model MODEL` makes it"),
        (
            "prompt",
            json.dumps(faced),
            "made by another tool, and not to be made again here: its ComfyUI graph has Face",
        ),
    ):
        info = PngInfo()
        info.add_text(key, text)
        Image.new("RGB", (8, 8)).save(path, pnginfo=info)
        assert inspect(path).text().splitlines()[1].startswith(said)
        assert json.loads(json.dumps(inspect(path).as_dict()))["replay"].startswith(said)
    Image.new("RGB", (8, 8)).save(path)
    assert inspect(path).text().splitlines()[1] == "no record of how it was made"


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


def lora_graph() -> dict:
    """A chain of two LoRAs, of which the texts see the first alone."""
    one = {"lora_name": "styles/ink.safetensors", "strength_model": 0.5, "strength_clip": 0.25}
    found = graph(model=["12", 0])
    found["6"]["inputs"]["clip"] = ["11", 1]
    return found | {
        "11": {"class_type": "LoraLoader", "inputs": one | {"model": ["4", 0], "clip": ["4", 1]}},
        "12": {
            "class_type": "LoraLoaderModelOnly",
            "inputs": {"lora_name": "me.safetensors", "strength_model": 1.5, "model": ["11", 0]},
        },
    }


INVOKED = {"positive_prompt": "a <lora:x:1> boat", "seed": 1, "steps": 4, "width": 64, "height": 64, "loras": [
    {"model": {"name": "ink"}, "weight": 0.5}, {"lora": {"model_name": "me"}, "weight": 1.5}]}  # fmt: skip
PAGE = "a boat{tags}\nSteps: 4, Sampler: Euler, Seed: 1, Size: 64x64, "


def test_the_loras_of_other_tools_are_found_by_name_in_the_folder_that_is_named(tmp_path) -> None:
    for name in ("ink", "me"):
        save_file({"a": torch.full((2,), float(len(name)))}, tmp_path / f"{name}.safetensors")
    written = (tmp_path / "ink.safetensors").read_bytes()
    tensors = hashlib.sha256(written[8 + int.from_bytes(written[:8], "little") :]).hexdigest()  # as A1111 hashes them
    page = PAGE.format(tags=" <lora:ink:0.5> <lora:me:1.5>") + "Lora hashes: "
    right, wrong = (read_a1111(f'{page}"ink: {each}, me: {"1" * 12}"') for each in (tensors[:12], "0" * 12))
    ink, me = (LoRA(tmp_path / f"{name}.safetensors") for name in ("ink", "me"))
    recipe, remarks = recipe_of(right, "mini", [tmp_path])
    assert (recipe.prompt, recipe.adapters) == ("a boat", (ink * 0.5, me * 1.5))
    assert [remark.split(" is another")[0] for remark in remarks] == ["me.safetensors"]
    assert len(recipe_of(wrong, "mini", [tmp_path])[1]) == 2
    invoked, _ = recipe_of(read_invokeai(json.dumps(INVOKED)), "mini", [tmp_path])
    assert (invoked.prompt, invoked.adapters) == (r"a <lora\:x:1> boat", (ink * 0.5, me * 1.5))
    comfy, _ = recipe_of(read_comfyui(json.dumps(lora_graph())), "mini", [tmp_path])
    shares = {each.file.stem: dict(each.blocks) for each in comfy.adapters}
    assert shares == {"ink": {"text": 0.25, "unet": 0.5}, "me": {"text": 0.0, "unet": 1.5}}
    (tmp_path / "ink.safetensors").rename(tmp_path / "inks.safetensors")
    for said in (right, read_invokeai(json.dumps(INVOKED)), read_comfyui(json.dumps(lora_graph()))):
        with pytest.raises(BadInput, match="no 'ink' among the loras"):
            recipe_of(said, "mini", [tmp_path])
    with pytest.raises(BadInput, match="no 'sad' among the embeddings"):
        recipe_of(read_a1111(PAGE.format(tags="") + 'TI hashes: "sad: 0123456789ab"'), "mini", [tmp_path])


def test_clip_skip_and_autoencoders_are_those_of_the_model(tmp_path, tiny_model) -> None:
    def replayed(model: str, key: str, text: str) -> tuple[Recipe, tuple[str, ...]]:
        info = PngInfo()
        info.add_text(key, text)
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
        return recipe_or_replay(tmp_path / "a.png", model)

    def page(model: str, said: str) -> tuple[Recipe, tuple[str, ...]]:
        return replayed(model, "parameters", PAGE.format(tags="") + said)

    def model(name: str, act: str, **parts: list[str]) -> str:
        (tmp_path / name / "text_encoder").mkdir(parents=True)
        (tmp_path / name / "text_encoder" / "config.json").write_text(json.dumps({"hidden_act": act}))
        index = {"text_encoder": ["transformers", "CLIPTextModel"], **parts}
        (tmp_path / name / "model_index.json").write_text(json.dumps(index))
        return str(tmp_path / name)

    one, two = model("one", "quick_gelu"), model("two", "gelu")
    xl = model("xl", "quick_gelu", text_encoder_2=["transformers", "CLIPTextModelWithProjection"])
    comfy = graph()
    comfy["6"]["inputs"]["clip"] = ["10", 0]
    comfy["10"] = {"class_type": "CLIPSetLastLayer", "inputs": {"clip": ["4", 1], "stop_at_clip_layer": -2}}
    for folder, skips in ((one, 2), (two, 1), (xl, 1)):
        recipe, remarks = page(folder, "Clip skip: 2")
        assert recipe.clip_skip == skips
        assert bool(remarks) == (skips == 1)
        assert replayed(folder, "prompt", json.dumps(comfy))[0].clip_skip == skips
    (remark,) = page(one, "VAE: mse.safetensors")[1]
    assert "the autoencoder mse.safetensors, which is not here" in remark
    assert not page(one, "VAE: Automatic")[1]
    file = convert(tiny_model, tmp_path / "m.safetensors")
    shutil.copy(file, tmp_path / "mse.safetensors")
    beside, remarks = page(str(file), "VAE: mse.safetensors, VAE hash: 0123456789")
    assert (beside.model, remarks) == (f"{file}?vae={tmp_path}/mse.safetensors", ())
