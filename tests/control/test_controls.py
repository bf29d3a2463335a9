"""Controls: the pictures of stock diffusers, nothing changed where nothing is asked, refusals by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from second_device import networks_there, second_device
from stock import image_prompts

import sfumato
from sfumato.adapt import LoRA
from sfumato.control import ControlNet, FaceID, IPAdapter, T2IAdapter
from sfumato.edit import Outside, PromptToPrompt, SDEdit
from sfumato.guide import ClassifierFree, PerturbedAttention
from sfumato.picture import BadInput
from sfumato.recipe import Recipe

PROMPT, STEPS = "a red boat on the sea", 4
STOCK = {"guidance": [ClassifierFree(4.0)], "sampler": "ddim", "times": "trailing", "steps": STEPS, "seed": 3}


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> sfumato.Pipe:
    return sfumato.load(tiny_model)


def painted(pipe: sfumato.Pipe, *controls: Any, **options: Any) -> tuple[Image.Image, torch.Tensor]:
    """The picture, and the latents that it began from."""
    calls: list[torch.Tensor] = []
    network = pipe.stage.denoiser.backbone.network  # pyright: ignore[reportAttributeAccessIssue]
    hook = network.register_forward_pre_hook(lambda _, args: calls.append(args[0].clone()))
    image = pipe(PROMPT, controls=controls, **{**STOCK, **options}).image
    hook.remove()
    return image, calls[0][:1]


def far(a: Image.Image, b: Image.Image) -> int:
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


def theirs(pipeline: Any, latents: torch.Tensor, **options: Any) -> Image.Image:
    from diffusers import DDIMScheduler

    assert isinstance(pipeline.scheduler, DDIMScheduler)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        PROMPT, negative_prompt="", num_inference_steps=STEPS, guidance_scale=4.0, latents=latents, width=32, height=32,
        **options,
    )  # fmt: skip
    return made.images[0]


@pytest.mark.parametrize("guess", [False, True])
def test_two_controlnets_paint_the_picture_of_stock_diffusers(pipe, tiny_model, nets, maps, guess):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    late = (0.6, 1.0)  # the first two of the steps at 1, 0.75, 0.5, 0.25
    controls = (
        ControlNet(maps[0], nets["plain"], 0.8, guess=guess),
        ControlNet(maps[1], nets["other"], interval=late, guess=guess),
    )
    ours, latents = painted(pipe, *controls)
    both = [ControlNetModel.from_pretrained(nets[name]) for name in ("plain", "other")]
    stock = StableDiffusionControlNetPipeline.from_pretrained(tiny_model, controlnet=both, safety_checker=None)
    options = {"controlnet_conditioning_scale": [0.8, 1.0], "control_guidance_end": [1.0, 0.5], "guess_mode": guess}
    assert far(ours, theirs(stock, latents, image=maps, **options)) <= 1
    assert far(ours, painted(pipe)[0]) > 20


def test_a_union_of_controlnets_paints_the_picture_of_stock_diffusers(pipe, nets, maps):
    """There is no stock pipeline of one for Stable Diffusion 1: one call is compared, of the network itself."""
    from diffusers import ControlNetUnionModel

    batch = _batch(pipe, ControlNet(maps[0], nets["union"], mode=2))
    added = batch.condition().get(sfumato.condition.Controls).things[0]
    torch.manual_seed(0)
    x, t = torch.randn(1, 4, 16, 16), torch.tensor([500.0])
    text = batch.condition().get(sfumato.condition.Text).embeds
    network = ControlNetUnionModel.from_pretrained(nets["union"])
    kinds = torch.zeros(1, network.config.num_control_type)
    kinds[:, 2] = 1
    hint = torch.from_numpy(np.array(maps[0])).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        skips, middle = network(x, t, text, [hint], kinds, [2], return_dict=False)
        found = added(x, t, {"text": text})
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found.skips, skips, strict=True))
    assert torch.allclose(found.middle, middle, atol=1e-5)
    with pytest.raises(BadInput, match="needs a mode, 0 to 5"):
        _batch(pipe, ControlNet(maps[0], nets["union"])).condition()
    with pytest.raises(
        BadInput, match="no map called 'tile': it has openpose, depth, softedge, canny, lineart, normal"
    ):
        _batch(pipe, ControlNet(maps[0], nets["union"], mode="tile")).condition()


def test_a_union_is_told_the_name_of_its_map(pipe, nets, maps, tmp_path):
    """As the public unions number them, or as maps.json says; or it is said by the map that is made."""
    options = {"steps": 2}
    numbers = [painted(pipe, ControlNet(maps[0], nets["union"], mode=mode), **options)[0] for mode in (2, 3)]
    assert far(*numbers) > 0
    assert far(painted(pipe, ControlNet(maps[0], nets["union"], mode="softedge"), **options)[0], numbers[0]) == 0
    made = ControlNet(maps[0], nets["union"], map="softedge-classical")
    assert far(painted(pipe, made, **options)[0], painted(pipe, replace(made, mode=2), **options)[0]) == 0
    folder = shutil.copytree(nets["union"], tmp_path / "union")
    (folder / "maps.json").write_text(json.dumps({"3": "softedge"}))
    assert far(painted(pipe, ControlNet(maps[0], folder, mode="softedge"), **options)[0], numbers[1]) == 0
    again = Recipe.from_json(Recipe(prompt="x", controls=(ControlNet(maps[0], "F", mode="softedge"),)).to_json())
    assert again.controls[0].mode == "softedge"
    one = ControlNet(maps[0], nets["plain"], mode="softedge")  # a network of one kind is told nothing
    assert far(painted(pipe, one, **options)[0], painted(pipe, replace(one, mode=None), **options)[0]) == 0


def test_a_union_says_how_strong_a_map_is_best_put_in(pipe, nets, maps, tmp_path):
    """Its weight multiplies the control's, of that map alone: 2 of it is a control of weight 1."""
    folder = shutil.copytree(nets["union"], tmp_path / "union")
    (folder / "maps.json").write_text(json.dumps({"2": "softedge", "3": "canny"}))
    (folder / "sfumato.json").write_text(json.dumps({"weights": {"softedge": 2.0}}))
    options = {"steps": 2}
    for mode, factor in (("softedge", 2.0), (2, 2.0), ("canny", 1.0)):
        number = {"softedge": 2, "canny": 3}.get(mode, mode)
        plain = ControlNet(maps[0], nets["union"], 0.4, mode=number)
        stronger = painted(pipe, plain * factor, **options)[0]
        assert far(painted(pipe, ControlNet(maps[0], folder, 0.4, mode=mode), **options)[0], stronger) == 0
        assert (far(stronger, painted(pipe, plain, **options)[0]) > 0) == (factor != 1)
    for said in ({"weights": {"pose": 2}}, {"weights": {"canny": "much"}}, {"weights": {"canny": 0}}, {"steps": 3}):
        (folder / "sfumato.json").write_text(json.dumps(said))
        with pytest.raises(BadInput, match=r"sfumato\.json"):
            painted(pipe, ControlNet(maps[0], folder, mode="canny"), **options)


def test_a_t2i_adapter_paints_the_picture_of_stock_diffusers(attentive, nets, maps):
    from diffusers import MultiAdapter, StableDiffusionAdapterPipeline
    from diffusers import T2IAdapter as Network

    pipe = sfumato.load(attentive)
    ours, latents = painted(pipe, T2IAdapter(maps[0], nets["t2i"], 0.7))
    adapter = Network.from_pretrained(nets["t2i"])
    stock = StableDiffusionAdapterPipeline.from_pretrained(attentive, adapter=adapter, safety_checker=None)
    assert far(ours, theirs(stock, latents, image=maps[0], adapter_conditioning_scale=0.7)) <= 1
    assert far(ours, painted(pipe)[0]) > 5
    both, latents = painted(pipe, T2IAdapter(maps[0], nets["t2i"], 0.7), T2IAdapter(maps[1], nets["t2i"], 0.4))
    stock = StableDiffusionAdapterPipeline.from_pretrained(
        attentive, adapter=MultiAdapter([adapter, Network.from_pretrained(nets["t2i"])]), safety_checker=None
    )
    assert far(both, theirs(stock, latents, image=maps, adapter_conditioning_scale=[0.7, 0.4])) <= 1
    assert far(both, ours) > 5


def test_a_folder_may_have_a_network_for_each_kind_of_map(attentive, nets, maps, tmp_path):
    pipe, family = sfumato.load(attentive), tmp_path / "family"
    shutil.copytree(nets["t2i"], family / "softedge")
    made = T2IAdapter(maps[0], nets["t2i"], map="softedge-classical")
    assert far(painted(pipe, replace(made, net=str(family)))[0], painted(pipe, made)[0]) == 0
    for unknown in (T2IAdapter(maps[0], family, map="canny"), T2IAdapter(maps[0], family)):
        with pytest.raises(BadInput, match="no t2i_adapter called"):
            painted(pipe, unknown)
    shutil.copytree(nets["crossed"], tmp_path / "nets" / "canny")
    one = ControlNet(maps[0], nets["crossed"], map="canny")
    assert far(painted(pipe, replace(one, net=str(tmp_path / "nets")))[0], painted(pipe, one)[0]) == 0


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_an_image_prompt_paints_the_picture_of_stock_diffusers(pipe, tiny_model, nets, maps, unet, tmp_path, kind):
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    folder = nets["ip"]
    if kind == "plus":
        folder = tmp_path
        image_prompts.unet_plus(unet, folder)
    ours, latents = painted(pipe, IPAdapter(maps[0], folder, 0.6))
    stock = StableDiffusionPipeline.from_pretrained(
        tiny_model,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder"),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
    )
    stock.load_ip_adapter(folder, subfolder="", weight_name="ip-adapter_tiny.safetensors", image_encoder_folder=None)
    stock.set_ip_adapter_scale(0.6)
    assert far(ours, theirs(stock, latents, ip_adapter_image=maps[0])) <= 1
    assert far(ours, painted(pipe)[0]) > 20
    stock.set_ip_adapter_scale({"down": 0.3, "up": 1.2})
    ours, latents = painted(pipe, IPAdapter(maps[0], folder, blocks=("down=0.3", "up=1.2")))
    assert far(ours, theirs(stock, latents, ip_adapter_image=maps[0])) <= 1
    special = painted(pipe, IPAdapter(maps[0], folder, blocks=("down=0.3", "up", "up=1.2", "up.0.attentions=1.2")))[0]
    assert far(ours, special) == 0


@pytest.mark.parametrize("plus", [False, True])
def test_a_face_paints_the_picture_of_stock_diffusers(pipe, unet, tiny_model, maps, tmp_path, plus):
    """FaceID, whose LoRA is an adapter, and FaceID Plus of version 2, which sees the face too."""
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    image_prompts.unet_face(unet, tmp_path, plus)
    embedding = torch.randn(1, 1, image_prompts.FACE, generator=torch.Generator().manual_seed(2))
    control = FaceID(embedding, tmp_path, 0.6, picture=maps[0] if plus else None, shortcut=plus)
    tuned = {"adapters": [sfumato.LoRA(tmp_path / image_prompts.FILE)]}
    ours, latents = painted(pipe, control, **tuned)
    stock = StableDiffusionPipeline.from_pretrained(
        tiny_model,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(tmp_path / "image_encoder"),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
    )
    stock.load_ip_adapter(tmp_path, subfolder="", weight_name=image_prompts.FILE, image_encoder_folder=None)
    stock.set_ip_adapter_scale(0.6)
    if plus:
        project = stock.unet.encoder_hid_proj.image_projection_layers[0]
        seen = stock.prepare_ip_adapter_image_embeds([maps[0]], None, "cpu", 1, True)[0]
        project.clip_embeds, project.shortcut = seen, True
    told = torch.cat([torch.zeros_like(embedding), embedding])
    assert far(ours, theirs(stock, latents, ip_adapter_image_embeds=[told])) <= 1
    assert far(ours, painted(pipe, **tuned)[0]) > 10
    np.save(tmp_path / "face.npy", embedding.numpy())
    again = FaceID(tmp_path / "face.npy", tmp_path, 0.6, picture=control.picture, shortcut=plus)
    assert again == control
    [recipe] = pipe.recipes(PROMPT, controls=[control])
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_weights_in_a_pickle_are_those_of_the_file(pipe, unet, tmp_path, monkeypatch):
    """As FaceID's makers have them: two dicts in one .bin."""
    from safetensors.torch import load_file

    from sfumato.zoo import find

    image_prompts.unet_face(unet, tmp_path)
    nested: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in load_file(tmp_path / image_prompts.FILE).items():
        part, _, name = key.partition(".")
        nested.setdefault(part, {})[name] = value
    tuned = {"adapters": [sfumato.LoRA(tmp_path / image_prompts.FILE)]}
    control = FaceID([0.5] * image_prompts.FACE, tmp_path)
    before = painted(pipe, control, **tuned)[0]
    torch.save(nested, tmp_path / "ip-adapter-faceid.bin")
    (tmp_path / image_prompts.FILE).rename(tmp_path / "face_lora.safetensors")
    with pytest.raises(BadInput, match="is a pickle"):
        painted(pipe, control, **tuned)
    monkeypatch.setattr(find, "_allowed", [True])
    assert far(before, painted(pipe, control, **tuned)[0]) == 0


def test_a_face_is_an_embedding_and_no_picture(pipe, unet, maps, nets, tmp_path):
    image_prompts.unet_face(unet, tmp_path)
    numbers = [0.5] * image_prompts.FACE
    for given in (maps[0], "face.png", b"face"):
        with pytest.raises(BadInput, match="there is no recogniser here"):
            FaceID(given, tmp_path)
    for control, words in (
        (IPAdapter(maps[0], tmp_path), r"FaceID\(embedding, net\)"),
        (FaceID(numbers, tmp_path), r"LoRA\(file\)"),
        (FaceID(numbers[1:], tmp_path), "takes embeddings of 20 numbers, and is given 19"),
        (FaceID(numbers, tmp_path, picture=maps[0]), "sees no picture"),
        (FaceID(numbers, nets["ip"]), r"IPAdapter\(picture, net\)"),
    ):
        with pytest.raises(BadInput, match=words):
            pipe(PROMPT, controls=[control], steps=1)


def _batch(pipe: sfumato.Pipe, *controls: Any, **options: Any):
    from sfumato.model.batch import Batch

    [recipe] = pipe.recipes(PROMPT, controls=controls, **options)
    return Batch(pipe.stage, [pipe.resolve(recipe)], pipe.size)


@pytest.mark.parametrize("steps", [3])
def test_what_has_no_say_changes_nothing_to_the_bit(pipe, nets, maps, steps):
    plain = painted(pipe, steps=steps)[0]
    black = Image.new("L", (32, 32), 0)
    for control in (
        ControlNet(maps[0], nets["fresh"]),  # zero convolutions
        ControlNet(maps[0], nets["plain"], 0.0),
        ControlNet(maps[0], nets["plain"], mask=black),
        ControlNet(maps[0], nets["plain"], interval=(0.0, 0.1)),
        T2IAdapter(maps[0], nets["t2i"]) * 0,
        IPAdapter(maps[0], nets["ip"], mask=black),
    ):
        assert far(painted(pipe, control, steps=steps)[0], plain) == 0, control


def test_a_mask_keeps_a_control_to_its_place(pipe, nets, maps):
    """The features outside the mask are those without the control."""
    half = Image.new("L", (32, 32), 0)
    half.paste(255, (0, 0, 16, 32))
    whole, masked = (
        _batch(pipe, ControlNet(maps[0], nets["plain"], mask=mask))
        .condition()
        .get(sfumato.condition.Controls)
        .things[0]
        for mask in (None, half)
    )
    x, t = torch.ones(1, 4, 16, 16), torch.tensor([300.0])
    text = {"text": torch.ones(1, 8, pipe.stage.denoiser.backbone.network.config.cross_attention_dim)}  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        all_of_it, part = whole(x, t, text), masked(x, t, text)
    for a, b in zip(all_of_it.skips, part.skips, strict=True):
        middle = a.shape[-1] // 2
        assert torch.equal(b[..., :middle], a[..., :middle])
        assert not b[..., middle:].any()


def test_controls_go_with_everything_else_and_a_batch_is_its_pictures_alone(attentive, nets, maps, tmp_path):
    """In one call: a ControlNet, a T2I-Adapter, an image prompt, an inpainting hold, Prompt-to-Prompt, a LoRA and two
    guidances. Outside the mask the picture keeps its bytes, and each of them has its say."""
    pipe = sfumato.load(attentive, engine="exact")
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (8, 8, 24, 24))
    controls = (
        ControlNet(maps[0], nets["crossed"], guess=True),
        T2IAdapter(maps[1], nets["t2i"], interval=(0.3, 1.0)),
        IPAdapter(maps[1], nets["ip"], 0.5, blocks=("mid",)),
    )
    options = {
        "controls": controls,
        "start": SDEdit(maps[1], 0.8),
        "hold": Outside(mask),
        "attention": PromptToPrompt("a green boat on the sea", self_maps=0.2),
        "adapters": [LoRA(lora(pipe, tmp_path / "lora.safetensors"))],
        "guidance": [ClassifierFree(3.0), PerturbedAttention(1.0)],
        "steps": 4,
        "seed": 5,
    }
    both = pipe(PROMPT, count=2, **options).images
    options["seed"] = 6
    alone = pipe(PROMPT, **options).image
    assert far(both[1], alone) == 0
    outside = np.asarray(mask) == 0
    assert (np.asarray(alone)[outside] == np.asarray(maps[1])[outside]).all()
    for less in (
        *({"controls": [each for each in controls if each is not control]} for control in controls),
        {"attention": None},
        {"adapters": []},
        {"guidance": [ClassifierFree(3.0)]},
        {"guidance": [PerturbedAttention(1.0)]},
        {"hold": None},
    ):
        assert far(alone, pipe(PROMPT, **{**options, **less}).image) > 0, less


def lora(pipe: sfumato.Pipe, path: Path) -> Path:
    """A LoRA of rank 2 of one of the U-Net's projections."""
    name, module = next(
        (name, module)
        for name, module in pipe.stage.denoiser.backbone.network.named_modules()  # pyright: ignore[reportAttributeAccessIssue]
        if name.endswith("attn2.to_v")
    )
    generator = torch.Generator().manual_seed(0)
    down, up = (
        torch.randn(shape, generator=generator) for shape in ((2, module.in_features), (module.out_features, 2))
    )
    save_file({f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}, path)
    return path


def test_controls_go_where_the_pipe_is_and_come_back(attentive, nets, maps, monkeypatch):
    """Their networks are kept for all pipes, on whatever device each of them is."""
    networks_there(monkeypatch)
    controls = (
        ControlNet(maps[0], nets["crossed"], mask=Image.new("L", (32, 32), 128)),
        T2IAdapter(maps[1], nets["t2i"]),
        IPAdapter(maps[1], nets["ip"], 0.5, blocks=("mid",)),
    )
    here, there = sfumato.load(attentive), sfumato.load(attentive, device="meta")
    wanted = here(PROMPT, controls=controls, steps=2).image
    with second_device():
        assert far(there(PROMPT, controls=controls, steps=2).image, wanted) <= 1
        assert far(here(PROMPT, controls=controls, steps=2).image, wanted) == 0


def test_a_recipe_keeps_its_controls(nets, maps):
    recipe = Recipe(prompt="a hat", controls=(ControlNet(maps[0], str(nets["plain"])) * 0.5,))
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.controls[0].weight == 0.5
    assert replace(recipe, controls=()) != recipe


def test_what_can_t_be_obeyed_is_refused_by_name(pipe, nets, maps, tmp_path, pixel_model, tiny_model):
    from diffusers import ControlNetModel, UNet2DConditionModel

    config = json.loads((nets["plain"] / "config.json").read_text())
    wide = tmp_path / "wide"
    shutil.copytree(nets["plain"], wide)
    (wide / "config.json").write_text(json.dumps({**config, "strange_field": 1}))
    with pytest.raises(BadInput, match="strange_field"):
        pipe("a", controls=[ControlNet(maps[0], wide)])
    with pytest.raises(BadInput, match="holds a T2IAdapter; accepted here is ControlNetModel"):
        pipe("a", controls=[ControlNet(maps[0], nets["t2i"])])
    with pytest.raises(BadInput, match=r"its features are 32 x 16 x 16, .* hand on 32 x 8 x 8, 64 x 8 x 8"):
        pipe("a", controls=[T2IAdapter(maps[0], nets["t2i"])])
    with pytest.raises(BadInput, match="made for another network: its"):
        pipe("a", controls=[ControlNet(maps[0], nets["crossed"])])
    with pytest.raises(BadInput, match="There is no controlnet called"):
        pipe("a", controls=[ControlNet(maps[0], tmp_path / "none")])
    with pytest.raises(BadInput, match=r"no cross-attention in up\.9"):
        pipe("a", controls=[IPAdapter(maps[0], nets["ip"], blocks=("up.9",))])
    with pytest.raises(BadInput, match=r"'up=much' is no block: give its name, or NAME=WEIGHT, as up\.1=0\.5"):
        pipe("a", controls=[IPAdapter(maps[0], nets["ip"], blocks=("up=much",))])
    from safetensors.torch import save_file

    shutil.copytree(nets["ip"] / "image_encoder", tmp_path / "face" / "image_encoder")
    layers = {"image_proj.proj.0.weight": torch.ones(2, 2), "image_proj.norm.weight": torch.ones(2)}
    save_file({**layers, "ip_adapter.1.to_k_ip.weight": torch.ones(2, 2)}, tmp_path / "face" / "ip.safetensors")
    with pytest.raises(BadInput, match="IP-Adapter FaceID"):
        pipe("a", controls=[IPAdapter(maps[0], tmp_path / "face")])
    with pytest.raises(BadInput, match="obeys no controlnet"):
        sfumato.load(pixel_model())(controls=[ControlNet(maps[0], nets["plain"])])
    small = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(tiny_model / "unet"))
    ControlNetModel.from_unet(small, conditioning_embedding_out_channels=(8, 16, 16)).save_pretrained(tmp_path / "four")
    with pytest.raises(BadInput, match="makes its map 4 times smaller, and x is 2 times"):
        pipe("a", controls=[ControlNet(maps[0], tmp_path / "four")])
    (tmp_path / "cut").mkdir()
    shutil.copytree(nets["plain"], tmp_path / "cut", dirs_exist_ok=True)
    weights = tmp_path / "cut" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BadInput, match="damaged or incomplete"):
        pipe("a", controls=[ControlNet(maps[0], tmp_path / "cut")])


def test_the_command_line_takes_controls_and_redo_gives_the_same_pixels(tiny_model, nets, maps, tmp_path, monkeypatch):
    from sfumato.cli import main

    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    maps[0].save("map.png")
    control = f"controlnet:picture=map.png,net={nets['plain']},weight=0.8,interval=0.2-1"
    asked = ["generate", "a boat", "--model", str(tiny_model), "--steps", "3", "--seed", "1"]

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        return int(left.value.code or 0)

    assert run(*asked, "-o", "plain.png") == 0
    assert run(*asked, "--control", control, "-o", "steered.png") == 0
    assert run("redo", "steered.png", "-o", "again.png") == 0
    plain, steered, again = (Image.open(f"{name}.png") for name in ("plain", "steered", "again"))
    assert far(plain, steered) > 20
    assert far(steered, again) == 0
    assert run(*asked, "--control", "controlnot:picture=map.png") == 2
    assert run(*asked, "--control", "controlnet:picture=map.png") == 2
    assert run(*asked, "--control", f"controlnet:picture=none.png,net={nets['plain']}") == 2
