"""Controls of Stable Diffusion XL, whose networks are told sizes too: the latents of stock pipelines."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from stock import image_prompts, seeded, stirred
from stock import stable_diffusion_xl as xl
from stock.compare import Both, error
from stock.edits import photo
from stock.unets import unet

import sfumato
from sfumato.control import ControlNet, IPAdapter, T2IAdapter
from sfumato.guide import ClassifierFree

PROMPT = "a red hat"
KEPT = (
    *("cross_attention_dim", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim"),
    "projection_class_embeddings_input_dim",
)
SHARED = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "scheduler")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both.of(xl.build(), tmp_path_factory.mktemp("xl-controls"))


@pytest.fixture(scope="module")
def shown() -> Image.Image:
    return photo(xl.SIZE)


def apart(both: Both, made: type, added: dict[str, Any], controls: list[Any], **asked: Any) -> tuple[float, float]:
    """How far our latents are from those of the stock pipeline with the same controls, and from ours without any."""
    side = {"width": xl.SIDE, "height": xl.SIDE}
    start, end = both.ran(PROMPT, guidance=[ClassifierFree(5.0)], controls=controls, **side)
    pipeline = made(**{name: getattr(both.stock, name) for name in SHARED}, **added)
    pipeline.set_progress_bar_config(disable=True)
    said = {"guidance_scale": 5.0, "num_inference_steps": 4, "output_type": "latent", **side}
    theirs = pipeline(PROMPT, latents=start, **said, **asked).images
    return error(end, theirs), error(end, both.ran(PROMPT, guidance=[ClassifierFree(5.0)], **side)[1])


def test_a_controlnet_is_told_sizes_too(both: Both, shown: Image.Image, tmp_path: Path):
    from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline

    seeded(3)
    network = ControlNetModel.from_unet(
        both.stock.unet, conditioning_embedding_out_channels=(8, 16), load_weights_from_unet=False
    )
    stirred(network, 3).save_pretrained(tmp_path)
    asked = {"image": shown, "controlnet_conditioning_scale": 0.7}
    close, far = apart(
        both, StableDiffusionXLControlNetPipeline, {"controlnet": network}, [ControlNet(shown, tmp_path, 0.7)], **asked
    )
    assert close < 1e-4
    assert far > 1e-2


def test_a_union_is_told_its_mode(both: Both, shown: Image.Image, tmp_path: Path):
    from diffusers import ControlNetUnionModel, StableDiffusionXLControlNetUnionPipeline

    seeded(4)
    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    shape = {name: value for name, value in both.stock.unet.config.items() if name in known and name[0] != "_"}
    more = {"num_trans_channel": 16, "num_proj_channel": 16, "num_trans_head": 4}
    network = ControlNetUnionModel(**shape | more, conditioning_embedding_out_channels=(8, 16))
    stirred(network, 4).save_pretrained(tmp_path)
    asked = {"control_image": [shown], "control_mode": [2], "controlnet_conditioning_scale": 0.7}
    controls = [ControlNet(shown, tmp_path, 0.7, mode=2)]
    close, far = apart(both, StableDiffusionXLControlNetUnionPipeline, {"controlnet": network}, controls, **asked)
    assert close < 1e-4
    assert far > 1e-2


@pytest.mark.parametrize("engine", ["eager", "openvino"])
def test_a_t2i_adapter_acts_on_the_middle_too(shown: Image.Image, tmp_path: Path, engine: str):
    """Three levels, as Stable Diffusion XL has, and the adapter's four features: the last goes to the middle block."""
    from diffusers import StableDiffusionXLAdapterPipeline
    from diffusers import T2IAdapter as Network

    if engine == "openvino":
        pytest.importorskip("openvino")
    stock = xl.build()
    stock.unet = unet(
        4,
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        **{name: value for name, value in stock.unet.config.items() if name in KEPT},
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=2,
    )
    both = Both.of(stock, tmp_path / "model")
    both.pipe = sfumato.load(both.folder, engine=engine)
    torch.manual_seed(5)
    network = Network(3, (16, 32, 32, 32), 1, 4, "full_adapter_xl")
    network.save_pretrained(tmp_path / "net")
    asked = {"image": shown, "adapter_conditioning_scale": 0.7}
    controls = [T2IAdapter(shown, tmp_path / "net", 0.7)]
    close, far = apart(both, StableDiffusionXLAdapterPipeline, {"adapter": network}, controls, **asked)
    assert close < 1e-4
    assert far > 1e-3
    torch.nn.init.zeros_(network.adapter.body[3].resnets[0].block2.weight)
    network.save_pretrained(tmp_path / "other")
    assert apart(both, StableDiffusionXLAdapterPipeline, {"adapter": network}, controls, **asked)[0] > 1e-3


def test_an_image_prompt(both: Both, shown: Image.Image, tmp_path: Path):
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    image_prompts.unet(both.stock.unet, tmp_path)
    side = {"width": xl.SIDE, "height": xl.SIDE}
    options = {"guidance": [ClassifierFree(5.0)], **side}
    start, end = both.ran(PROMPT, controls=[IPAdapter(shown, tmp_path, 0.6)], **options)
    plain = both.ran(PROMPT, **options)[1]
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        both.folder,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(tmp_path / "image_encoder"),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_ip_adapter(tmp_path, subfolder="", weight_name=image_prompts.FILE, image_encoder_folder=None)
    pipeline.set_ip_adapter_scale(0.6)
    said = {"guidance_scale": 5.0, "num_inference_steps": 4, "output_type": "latent", **side}
    theirs = pipeline(PROMPT, latents=start, ip_adapter_image=shown, **said).images
    assert error(end, theirs) < 1e-4
    assert error(end, plain) > 1e-2
