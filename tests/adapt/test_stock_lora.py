"""Files as other tools write them, through stock diffusers (which needs peft) and through ours: one answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_files import ATTENTION, RANK, make_encoder, make_unet, tensors, written

from sfumato.adapt import LoRA
from sfumato.adapt.adaptation import Adaptation
from sfumato.adapt.names import names_of
from sfumato.adapt.origin import of_file

pytest.importorskip("peft")

FAR = 1e-2  # what an adapter must at least do, so that a file that both leave out is no parity
XL = {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 80,
    "use_linear_projection": True, "transformer_layers_per_block": (1, 2), "layers_per_block": 2,
}  # fmt: skip
Q, OUT, K = f"{ATTENTION}.attn1.to_q", f"{ATTENTION}.attn1.to_out.0", f"{ATTENTION}.attn2.to_k"
CONVS = ("down_blocks.0.resnets.0.conv1", "up_blocks.1.resnets.1.conv2", "down_blocks.0.downsamplers.0.conv")


def xl_unet() -> Any:
    return make_unet(24, **XL)


def flux() -> Any:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    return FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=24, pooled_projection_dim=24, axes_dims_rope=(4, 4, 8),
    ).eval().requires_grad_(False)  # fmt: skip


def pair(network: Any, layer: str, i: int, names: tuple[str, str], stem: str) -> dict[str, torch.Tensor]:
    down, up = tensors(network.get_submodule(layer).weight.shape, seed=i)
    return {f"{stem}.{names[0]}": down, f"{stem}.{names[1]}": up}


KOHYA, PEFT, OLD = (
    ("lora_down.weight", "lora_up.weight"),
    ("lora_A.weight", "lora_B.weight"),
    ("lora.down.weight", "lora.up.weight"),
)


def diffusers_attention(network: Any) -> tuple[dict, dict]:
    found = {}
    for i, layer in enumerate((Q, OUT, K)):
        found |= pair(network, layer, i, PEFT, f"unet.{layer}")
    config = {"r": RANK, "lora_alpha": 7, "target_modules": ["to_q", "to_out.0", "to_k"], "peft_type": "LORA"}
    return found, {"lora_adapter_metadata": json.dumps({f"unet.{key}": value for key, value in config.items()})}


def old_diffusers(network: Any) -> tuple[dict, None]:
    return pair(network, Q, 0, OLD, f"unet.{Q}") | pair(network, K, 1, OLD, f"unet.{K}"), None


def processors(network: Any) -> tuple[dict, None]:
    stem = f"{ATTENTION}.attn1.processor"
    return pair(network, Q, 0, ("down.weight", "up.weight"), f"unet.{stem}.to_q_lora") | pair(
        network, OUT, 1, ("down.weight", "up.weight"), f"unet.{stem}.to_out_lora"
    ), None


def kohya(*layers: str, alpha: float = 1.5, magnitude: bool = False, named: Callable[[str], str] = str) -> Any:
    def make(network: Any) -> tuple[dict, None]:
        found = {}
        for i, layer in enumerate(layers):
            stem = f"lora_unet_{named(layer).replace('.', '_')}"
            found |= pair(network, layer, i, KOHYA, stem)
            found[f"{stem}.alpha"] = torch.tensor(alpha)
            if magnitude:
                weight = network.get_submodule(layer).weight
                found[f"{stem}.dora_scale"] = weight.flatten(1).norm(dim=1)[:, None] * 1.3
        return found, None

    return make


def peft_dora(network: Any) -> tuple[dict, None]:
    found = {}
    for i, layer in enumerate((Q, K)):
        found |= pair(network, layer, i, PEFT, f"unet.{layer}")
        found[f"unet.{layer}.lora_magnitude_vector"] = network.get_submodule(layer).weight.norm(dim=1) * 0.7
    return found, None


def ldm(layer: str) -> str:
    from sfumato.adapt.names import compvis_unet as naming

    unet = xl_unet()
    names = [name for name, each in unet.named_modules() if getattr(each, "weight", None) is not None]
    return next(theirs for theirs, of in naming.names(unet, set(names)) if of[0].layer == layer)


def flux_diffusers(network: Any) -> tuple[dict, None]:
    found = {}
    layers = (
        "transformer_blocks.0.attn.to_k",
        "transformer_blocks.0.attn.add_q_proj",
        "single_transformer_blocks.0.proj_mlp",
    )
    for i, layer in enumerate(layers):
        found |= pair(network, layer, i, PEFT, f"transformer.{layer}")
    return found, None


def flux_xlabs(network: Any) -> tuple[dict, None]:
    """The picture's stream and the words' of a double block, and a single block: three layers' queries, keys and values
    are one."""
    inner = network.inner_dim
    shapes = {
        "double_blocks.0.processor.qkv_lora1": (3 * inner, inner),
        "double_blocks.0.processor.qkv_lora2": (3 * inner, inner),
        "double_blocks.0.processor.proj_lora1": (inner, inner),
        "double_blocks.0.processor.proj_lora2": (inner, inner),
        "single_blocks.0.processor.qkv_lora": (3 * inner, inner),
        "single_blocks.0.processor.proj_lora": tuple(network.single_transformer_blocks[0].proj_out.weight.shape),
    }
    found = {}
    for i, (stem, shape) in enumerate(shapes.items()):
        found[f"{stem}.down.weight"], found[f"{stem}.up.weight"] = tensors(shape, seed=i)
    return found, None


CASES = {
    "diffusers, alpha in the header": ("sd", make_unet, diffusers_attention),
    "older diffusers": ("sd", make_unet, old_diffusers),
    "attention processors": ("sd", make_unet, processors),
    "kohya, alpha is not the rank": ("sd", make_unet, kohya(Q, OUT, K)),
    "kohya, convolutions": ("sd", make_unet, kohya(*CONVS)),
    "peft, DoRA": ("sd", make_unet, peft_dora),
    "kohya, SDXL by CompVis' names": ("xl", xl_unet, kohya(Q, OUT, K, named=ldm)),
    "kohya, SDXL convolutions": ("xl", xl_unet, kohya("down_blocks.0.resnets.0.conv1", named=ldm)),
    "FLUX, diffusers": ("flux", flux, flux_diffusers),
    "FLUX, XLabs": ("flux", flux, flux_xlabs),
}


def answer(family: str, network: Any) -> torch.Tensor:
    random = torch.Generator().manual_seed(5)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    with torch.no_grad():
        if family == "flux":
            ids = torch.zeros(4, 3), torch.zeros(5, 3)
            return network(
                drawn(1, 4, 4), drawn(1, 5, 24), drawn(1, 24), torch.tensor([0.5]), img_ids=ids[0], txt_ids=ids[1],
            ).sample  # fmt: skip
        added = {"text_embeds": drawn(1, 32), "time_ids": torch.ones(1, 6)} if family == "xl" else None
        return network(drawn(1, 4, 8, 8), 500, drawn(1, 5, 24), added_cond_kwargs=added).sample


def stock(family: str, network: Any, path: Path) -> torch.Tensor:
    from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

    options: dict[str, Any] = {"return_lora_metadata": True}
    if family == "flux":
        state, alphas, said = FluxPipeline.lora_state_dict(path, return_alphas=True, **options)
        FluxPipeline.load_lora_into_transformer(state, alphas, network, metadata=said)
    else:
        made = StableDiffusionPipeline if family == "sd" else StableDiffusionXLPipeline
        state, alphas, said = made.lora_state_dict(path, unet_config=network.config, **options)
        made.load_lora_into_unet(state, alphas, network, metadata=said)
    return answer(family, network)


@pytest.mark.parametrize("case", CASES)
def test_a_made_file_gives_stock_diffusers_answer(tmp_path, case):
    family, make, content = CASES[case]
    network = make()
    part = "transformer" if family == "flux" else "unet"
    path = written(tmp_path / "a.safetensors", *content(network))
    base = answer(family, network)
    with Adaptation({part: network}, [LoRA(path)]).painting(0.5):
        ours = answer(family, network)
    assert torch.equal(answer(family, network), base)
    theirs = stock(family, make(), path)
    assert (theirs - base).abs().max() > FAR
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_dora_of_kohyas_is_that_of_peft(tmp_path):
    """Stock diffusers leaves the magnitudes out of the first and reads the second."""
    network = make_unet()
    found, _ = peft_dora(network)
    ends = {
        "lora_A.weight": "lora_down.weight",
        "lora_B.weight": "lora_up.weight",
        "lora_magnitude_vector": "dora_scale",
    }
    other = {}
    for key, value in found.items():
        ending = next(end for end in ends if key.endswith(end))
        stem = key.removeprefix("unet.").removesuffix(f".{ending}").replace(".", "_")
        other[f"lora_unet_{stem}.{ends[ending]}"] = value[:, None] if value.ndim == 1 else value
    one, two = (
        Adaptation({"unet": network}, [LoRA(written(tmp_path / name, each))]).painting(0.5).places
        for name, each in (("a.safetensors", found), ("b.safetensors", other))
    )
    assert len(one) == len(two) == 2
    assert all(torch.equal(a[2], b[2]) for a, b in zip(one, two, strict=True))


def test_what_is_one_layer_in_flux_files_is_split_as_stock_diffusers_does():
    """At FLUX.1's own widths, which its converter takes for granted: both products on the same vector."""
    from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers

    from sfumato.adapt.names import names_of

    width, found = 3072, {}
    shapes = {
        "double_blocks_0_img_attn_qkv": (3 * width, width), "double_blocks_0_txt_attn_qkv": (3 * width, width),
        "double_blocks_0_img_attn_proj": (width, width), "double_blocks_0_txt_attn_proj": (width, width),
        "double_blocks_0_img_mlp_0": (4 * width, width), "double_blocks_0_txt_mlp_2": (width, 4 * width),
        "double_blocks_0_img_mod_lin": (6 * width, width), "double_blocks_0_txt_mod_lin": (6 * width, width),
        "single_blocks_0_linear1": (7 * width, width), "single_blocks_0_linear2": (width, 5 * width),
        "single_blocks_0_modulation_lin": (3 * width, width),
    }  # fmt: skip
    names, ours = names_of(flux()), {}
    for i, (name, shape) in enumerate(shapes.items()):
        down, up = tensors(torch.Size(shape), seed=i)
        stem = f"lora_unet_{name}"
        found |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(2.0)}
        answer = up @ down.sum(1) * (2.0 / RANK)
        sizes = (
            [width] * 3 + [4 * width] if name.endswith("linear1") else [shape[0] // len(names[name])] * len(names[name])
        )
        ours |= {piece.layer: part for piece, part in zip(names[name], answer.split(sizes), strict=True)}
    converted = _convert_kohya_flux_lora_to_diffusers(found)
    theirs = {key.removesuffix(".lora_A.weight") for key in converted if key.endswith(".lora_A.weight")}
    assert {f"transformer.{layer}" for layer in ours} == theirs
    for layer, answer in ours.items():
        down, up = (converted[f"transformer.{layer}.lora_{end}.weight"] for end in "AB")
        torch.testing.assert_close(up @ down.sum(1), answer, rtol=1e-4, atol=1e-2)


def test_flux_2_layers_are_those_of_stock_diffusers():
    from diffusers import Flux2Transformer2DModel
    from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux2_lora_to_diffusers

    with torch.device("meta"):
        network = Flux2Transformer2DModel(
            in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=16, axes_dims_rope=(2, 2, 2, 2),
        )  # fmt: skip
    names, found = names_of(network), {}
    ours = set()
    for name in (
        "double_blocks_0_img_attn_qkv", "double_blocks_0_txt_attn_qkv", "double_blocks_0_img_attn_proj",
        "double_blocks_0_txt_attn_proj", "double_blocks_0_img_mlp_0", "double_blocks_0_txt_mlp_2",
        "single_blocks_0_linear1", "single_blocks_0_linear2", "img_in", "txt_in", "time_in_in_layer",
        "final_layer_linear",
    ):  # fmt: skip
        stem = f"lora_unet_{name}"
        found |= {f"{stem}.lora_down.weight": torch.ones(2, 3), f"{stem}.lora_up.weight": torch.ones(6, 2)}
        found[f"{stem}.alpha"] = torch.tensor(2.0)
        ours |= {f"transformer.{piece.layer}" for piece in names[name]}
    for name in ("double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation"):
        assert [piece.layer for piece in names[f"{name}_lin"]] == [f"{name}.linear"]
        assert of_file({f"diffusion_model.{name}.lin.lora_A.weight": torch.ones(2, 3)}) == "FLUX.2"
    converted = _convert_kohya_flux2_lora_to_diffusers(found)
    assert ours == {key.removesuffix(".lora_A.weight") for key in converted if key.endswith("lora_A.weight")}


def test_z_images_makers_names():
    from diffusers import ZImageTransformer2DModel

    with torch.device("meta"):
        network = ZImageTransformer2DModel(
            dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, axes_dims=[8, 4, 4]
        )
    names = names_of(network)
    layers = {name: [piece.layer for piece in names[name]] for name in (
        "layers_0_attention_qkv", "noise_refiner_0_attention_out", "x_embedder", "final_layer_linear",
    )}  # fmt: skip
    assert layers == {
        "layers_0_attention_qkv": [f"layers.0.attention.to_{each}" for each in "qkv"],
        "noise_refiner_0_attention_out": ["noise_refiner.0.attention.to_out.0"],
        "x_embedder": ["all_x_embedder.2-1"],
        "final_layer_linear": ["all_final_layer.2-1.linear"],
    }


def test_text_encoders(tmp_path):
    """Of linear layers outside attention: stock diffusers leaves out kohya's of attention with transformers 5."""
    from diffusers import StableDiffusionPipeline

    encoder, found = make_encoder(), {}
    for i, layer in enumerate(("encoder.layers.0.mlp.fc1", "encoder.layers.1.mlp.fc2")):
        found |= pair(encoder, layer, i, KOHYA, f"lora_te_text_model_{layer.replace('.', '_')}")
        found[f"lora_te_text_model_{layer.replace('.', '_')}.alpha"] = torch.tensor(1.0)
    path = written(tmp_path / "a.safetensors", found)
    ids = torch.tensor([[198, 5, 6, 7, 199]])
    base = encoder(ids).last_hidden_state
    with Adaptation({"text_encoder": encoder}, [LoRA(path)]).reading:
        ours = encoder(ids).last_hidden_state
    other = make_encoder()
    state, alphas = StableDiffusionPipeline.lora_state_dict(path)
    StableDiffusionPipeline.load_lora_into_text_encoder(state, alphas, other, prefix="text_encoder")
    theirs = other(ids).last_hidden_state
    assert (ours - base).abs().max() > FAR
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
