"""Tiny networks that turn pictures into prompts, in the files of their makers, for the networks of stock pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stock import seeded
from stock.controls import others

SEEN = 24  # the width of what an image encoder answers


def save(network: Any, folder: Path) -> bool:
    """An IP-Adapter for that network; False where none was ever made for its kind."""
    kinds = {"UNet2DConditionModel": unet, "FluxTransformer2DModel": flux, "SD3Transformer2DModel": sd3}
    made = None if others(network) else kinds.get(type(network).__name__)
    if made is not None:
        made(network, folder)
    return made is not None


def clip(folder: Path) -> Any:
    """A CLIP of pictures, saved as image_encoder/."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**_small(), projection_dim=SEEN)).eval()
    encoder.save_pretrained(folder / "image_encoder")
    return encoder


def siglip(folder: Path) -> Any:
    """A SigLIP of pictures, saved as image_encoder/."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    encoder = SiglipVisionModel(SiglipVisionConfig(**_small())).eval()
    encoder.save_pretrained(folder / "image_encoder")
    return encoder


def _small() -> dict[str, int]:
    size = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 4}
    return {**size, "image_size": 30, "patch_size": 10}


def unet(network: Any, folder: Path) -> None:
    seeded(9)
    clip(folder)
    weights = _projection(network.config.cross_attention_dim)
    modules = dict(network.named_modules())
    for index, name in enumerate(network.attn_processors):
        if name.endswith("attn2.processor"):
            shape = modules[name.removesuffix(".processor")].to_k.weight.shape
            for which in "kv":
                weights[f"ip_adapter.{index}.to_{which}_ip.weight"] = torch.randn(shape) * 0.2
    _write(weights, folder)


def unet_plus(network: Any, folder: Path) -> None:
    """IP-Adapter Plus: a resampler in the place of the projection."""
    unet(network, folder)
    from diffusers.models.embeddings import IPAdapterPlusImageProjection
    from safetensors.torch import load_file

    made = IPAdapterPlusImageProjection(
        embed_dims=32, output_dims=network.config.cross_attention_dim, hidden_dims=64, depth=4, heads=1, num_queries=4
    )
    weights = {key: a for key, a in load_file(folder / FILE).items() if key.startswith("ip_adapter")}
    for key, value in made.state_dict().items():
        for theirs, ours in (("ln0", "0.norm1"), ("ln1", "0.norm2"), ("attn.to_out.0", "0.to_out")):
            key = key.replace(theirs, ours)
        for theirs, ours in (("ff.0.", "1.0."), ("ff.1.net.0.proj", "1.1"), ("ff.1.net.2", "1.3")):
            key = key.replace(theirs, ours)
        weights[f"image_proj.{key.replace('attn.', '0.')}"] = value
    for key in [key for key in weights if key.endswith("to_k.weight") and key.startswith("image_proj")]:
        both = [weights.pop(key), weights.pop(key.replace("to_k", "to_v"))]
        weights[key.replace("to_k", "to_kv")] = torch.cat(both)
    _write(weights, folder)


FACE = 20  # the width of a face's embedding


def unet_face(network: Any, folder: Path, plus: bool = False) -> None:
    """IP-Adapter FaceID with its LoRA; plus: FaceID Plus, whose resampler sees a CLIP's states too."""
    unet(network, folder)
    from safetensors.torch import load_file

    width, modules = network.config.cross_attention_dim, dict(network.named_modules())
    weights = {key: a for key, a in load_file(folder / FILE).items() if key.startswith("ip_adapter")}
    for index, name in enumerate(network.attn_processors):
        module = modules[name.removesuffix(".processor")]
        layers = {"q": module.to_q, "k": module.to_k, "v": module.to_v, "out": module.to_out[0]}
        for which, layer in layers.items():
            down, up = torch.randn(2, layer.in_features), torch.randn(layer.out_features, 2)
            weights[f"ip_adapter.{index}.to_{which}_lora.down.weight"] = down * 0.2
            weights[f"ip_adapter.{index}.to_{which}_lora.up.weight"] = up * 0.2
    made = _face_plus(width) if plus else _face(width)
    _write({**weights, **{f"image_proj.{key}": value for key, value in made.items()}}, folder)


def _face(width: int) -> dict[str, Tensor]:
    return {
        "proj.0.weight": torch.randn(2 * FACE, FACE) * 0.2,
        "proj.0.bias": torch.randn(2 * FACE) * 0.2,
        "proj.2.weight": torch.randn(4 * width, 2 * FACE) * 0.2,
        "proj.2.bias": torch.randn(4 * width) * 0.2,
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }


def _face_plus(width: int) -> dict[str, Tensor]:
    """By its makers' names, which the stock loader turns round."""
    from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection

    made = IPAdapterFaceIDPlusImageProjection(
        embed_dims=width, output_dims=width, hidden_dims=32, id_embeddings_dim=FACE, depth=4, heads=1
    )
    found: dict[str, Tensor] = {}
    for key, value in made.state_dict().items():
        if key.startswith("proj.net"):
            found[key.replace("net.0.proj", "0").replace("net.2", "2")] = value
        elif key.startswith("norm."):
            found[key] = value
        else:
            for theirs, ours in (("ln0", "0.norm1"), ("ln1", "0.norm2"), ("attn.to_out.0", "0.to_out")):
                key = key.replace(theirs, ours)
            for theirs, ours in (("ff.0.", "1.0."), ("ff.1.net.0.proj", "1.1"), ("ff.1.net.2", "1.3")):
                key = key.replace(theirs, ours)
            found[f"perceiver_resampler.{key.replace('attn.', '0.')}"] = value
    for key in [key for key in found if key.endswith("to_k.weight")]:
        both = [found.pop(key), found.pop(key.replace("to_k", "to_v"))]
        found[key.replace("to_k", "to_kv")] = torch.cat(both)
    return found


def flux(network: Any, folder: Path, xlabs: bool = False) -> dict[str, Tensor]:
    """By diffusers' names, which are returned; saved by XLabs' where they are asked for."""
    seeded(9)
    clip(folder)
    width, inner = network.config.joint_attention_dim, network.inner_dim
    weights = _projection(width)
    for i in range(network.config.num_layers):
        for which in "kv":
            weights[f"ip_adapter.{i}.to_{which}_ip.weight"] = torch.randn(inner, width) * 0.2
            weights[f"ip_adapter.{i}.to_{which}_ip.bias"] = torch.randn(inner) * 0.2
    named = dict(weights)
    if xlabs:
        for which in "kv":
            theirs = f"processor.ip_adapter_double_stream_{which}_proj"
            named = {key.replace(f"to_{which}_ip", theirs): value for key, value in named.items()}
        words = {"image_proj.": "ip_adapter_proj_model.", "ip_adapter.": "double_blocks."}
        named = {words[key[: key.index(".") + 1]] + key[key.index(".") + 1 :]: value for key, value in named.items()}
    _write(named, folder)
    return weights


def sd3(network: Any, folder: Path) -> dict[str, Tensor]:
    from diffusers.models.attention_processor import SD3IPAdapterJointAttnProcessor2_0
    from diffusers.models.embeddings import IPAdapterTimeImageProjection

    seeded(9)
    siglip(folder)
    side, heads = network.config.attention_head_dim, network.config.num_attention_heads
    project = IPAdapterTimeImageProjection(
        embed_dim=32, output_dim=side * heads, hidden_dim=64, heads=1, num_queries=4, timestep_in_dim=16
    )
    weights = {f"image_proj.{key}": value for key, value in project.state_dict().items()}
    for i in range(len(network.attn_processors)):
        layer = SD3IPAdapterJointAttnProcessor2_0(side * heads, side * heads, side, timesteps_emb_dim=64)
        weights |= {f"ip_adapter.{i}.{key}": value for key, value in layer.state_dict().items()}
    _write({key: value.contiguous() for key, value in weights.items()}, folder)
    return weights


def redux(network: Any, folder: Path) -> Any:
    """FLUX.1 Redux's folder; the stock pipeline of it."""
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from diffusers.pipelines.flux.pipeline_flux_prior_redux import FluxPriorReduxPipeline
    from transformers import SiglipImageProcessorPil

    seeded(9)
    encoder = siglip(folder)
    embedder = ReduxImageEncoder(redux_dim=32, txt_in_features=network.config.joint_attention_dim)
    embedder.save_pretrained(folder / "image_embedder")
    index = {"_class_name": "FluxPriorReduxPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    process: Any = SiglipImageProcessorPil(size={"height": 30, "width": 30})
    return FluxPriorReduxPipeline(encoder, process, embedder.eval())


def split(weights: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The file as stock pipelines take it in memory."""
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in weights.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    return parts


def taught(pipeline: Any, folder: Path, weights: dict[str, Tensor] | None = None, scale: float = 1.0) -> None:
    """The pipeline with the IP-Adapter that is saved in a folder. weights: by diffusers' names, where the file has
    others."""
    import transformers
    from safetensors.torch import load_file

    encoder = json.loads((folder / "image_encoder" / "config.json").read_text())["architectures"][0]
    if encoder.startswith("Siglip"):
        sees: Any = transformers.SiglipImageProcessorPil(size={"height": 30, "width": 30})
    else:
        crop = {"height": 30, "width": 30}
        sees = transformers.CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size=crop)
    network = getattr(transformers, encoder).from_pretrained(folder / "image_encoder")
    pipeline.register_modules(image_encoder=network, feature_extractor=sees)
    weights = weights or load_file(folder / FILE)
    where = {"subfolder": "", "weight_name": ""} if hasattr(pipeline, "unet") else {"weight_name": ""}
    pipeline.load_ip_adapter(split(weights), **where)
    pipeline.set_ip_adapter_scale(scale)


FILE = "ip-adapter_tiny.safetensors"


def _projection(width: int) -> dict[str, Tensor]:
    return {
        "image_proj.proj.weight": torch.randn(4 * width, SEEN) * 0.2,
        "image_proj.proj.bias": torch.randn(4 * width) * 0.2,
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }


def _write(weights: dict[str, Tensor], folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights, folder / FILE)
