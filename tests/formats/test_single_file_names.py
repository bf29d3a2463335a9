"""Every tensor of the published architectures has a name in a single file, and one back; families are found by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sfumato.formats.key_names import laid_out, read_tensors, shape_there, write_tensors
from sfumato.formats.single_family import family_of, naming_of
from sfumato.formats.tensor_file import TensorFile
from sfumato.formats.text_names import clip_names, open_clip_names
from sfumato.formats.transformer_names import flux_names

CONFIGS = Path(__file__).parents[3] / "shared" / "data" / "configs"
HEAD = "model.diffusion_model."
SD1 = {"unet": HEAD, "vae": "first_stage_model.", "text_encoder": "cond_stage_model.transformer."}
SD2 = {**SD1, "text_encoder": "cond_stage_model.model."}
XL = {**SD1, "text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."}
REFINER = {"unet": HEAD, "vae": "first_stage_model.", "text_encoder_2": "conditioner.embedders.0.model."}
CLIPS = {"text_encoder": "text_encoders.clip_l.transformer.", "text_encoder_2": "text_encoders.clip_g.transformer."}
SD3 = {"transformer": HEAD, "vae": "first_stage_model.", **CLIPS, "text_encoder_3": "text_encoders.t5xxl.transformer."}
MODELS = {
    "runwayml/stable-diffusion-v1-5": (SD1, "StableDiffusionPipeline"),
    "stabilityai/stable-diffusion-2-1": (SD2, "StableDiffusionPipeline"),
    "stabilityai/stable-diffusion-xl-base-1.0": (XL, "StableDiffusionXLPipeline"),
    "stabilityai/stable-diffusion-xl-refiner-1.0": (REFINER, "StableDiffusionXLImg2ImgPipeline"),
    "stabilityai/stable-diffusion-3-medium-diffusers": (SD3, "StableDiffusion3Pipeline"),
}


def shapes_of(kind: str, config: dict) -> dict[str, tuple[int, ...]]:
    """Of the network's tensors, without any numbers."""
    import diffusers
    import transformers

    made = getattr(diffusers, kind, None) or getattr(transformers, kind)
    with torch.device("meta"):
        known = {key: value for key, value in config.items() if not key.startswith("_")}
        network = made(made.config_class(**known)) if hasattr(made, "config_class") else made.from_config(known)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def config_at(folder: Path) -> tuple[str, dict]:
    config = json.loads((folder / "config.json").read_text())
    return config.get("_class_name") or config["architectures"][0], config


@pytest.mark.skipif(not CONFIGS.is_dir(), reason="the published configs are not here")
@pytest.mark.parametrize("model", MODELS)
def test_a_published_architecture_is_found_by_its_names_and_shapes(model: str) -> None:
    prefixes, pipeline = MODELS[model]
    there: dict[str, tuple[int, ...]] = {}
    wanted = {}
    for part, prefix in prefixes.items():
        place = CONFIGS / model / part
        if part == "text_encoder_2" and not place.is_dir():
            place = CONFIGS / model / "text_encoder"  # the refiner's only one
        kind, config = config_at(place)
        shapes = wanted[part] = shapes_of(kind, config)
        naming = naming_of(kind, config, open_clip_names if prefix.endswith("model.") else clip_names)
        assert naming is not None
        pieces = laid_out(shapes, naming)
        assert sum(map(len, pieces.values())) == len(shapes)  # none falls together with another
        there |= {prefix + key: shape_there(shapes, each) for key, each in pieces.items()}
    if prefixes is SD2:  # its files hold one layer more, which is not run
        last = "cond_stage_model.model.transformer.resblocks."
        again = {
            name.replace(f"{last}22.", f"{last}23."): s for name, s in there.items() if name.startswith(f"{last}22.")
        }
        there |= again
    family = family_of(TensorFile(Path("model.safetensors"), there, dict.fromkeys(there, "F16")))
    assert family.pipeline == pipeline
    first = f"{HEAD}input_blocks.0.0.weight"
    if first in there and "Img2Img" not in pipeline:  # nine channels inpaint
        wide = {**there, first: (there[first][0], 9, *there[first][2:])}
        inpaints = family_of(TensorFile(Path("model.safetensors"), wide, dict.fromkeys(wide, "F16")))
        assert inpaints.pipeline == pipeline.replace("Pipeline", "InpaintPipeline")
        assert {**inpaints.configs["unet"], "in_channels": 4} == family.configs["unet"]
    assert set(family.placed) == set(prefixes)
    for part, shapes in wanted.items():
        placed, config = family.placed[part], family.configs[part]
        assert placed.prefix == prefixes[part]
        ours = shapes_of(placed.kind, config)
        assert ours == shapes
        assert {placed.prefix + key for key in laid_out(ours, placed.naming)} <= set(there)
        kind, theirs = config_at(CONFIGS / model / part) if (CONFIGS / model / part).is_dir() else (placed.kind, config)
        assert placed.kind == kind
        for field in ("hidden_act", "num_attention_heads", "scaling_factor", "shift_factor", "attention_head_dim"):
            if field in theirs and theirs[field] is not None:
                assert config.get(field) == theirs[field], (part, field)


def small_unet(**changes) -> dict:
    config = json.loads((CONFIGS / "stabilityai/stable-diffusion-xl-base-1.0/unet/config.json").read_text())
    widths = {"block_out_channels": [32, 64, 64], "cross_attention_dim": 16, "attention_head_dim": [1, 1, 1]}
    return {**config, **widths, "transformer_layers_per_block": [1, 2, 1], **changes}


def theirs(kind: str, config: dict, file: dict) -> dict:
    from diffusers.loaders import single_file_utils as library

    if kind == "UNet2DConditionModel":
        return library.convert_ldm_unet_checkpoint(file, config)
    if kind == "AutoencoderKL":
        return library.convert_ldm_vae_checkpoint(file, config)
    if kind == "SD3Transformer2DModel":
        return library.convert_sd3_transformer_checkpoint_to_diffusers(file)
    return library.convert_flux_transformer_checkpoint_to_diffusers(file)


VAE = {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "latent_channels": 4,
}
TINY_SD3 = {
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "joint_attention_dim": 12,
    "qk_norm": "rms_norm",
    "caption_projection_dim": 16,
    "pooled_projection_dim": 10,
    "pos_embed_max_size": 4,
    "dual_attention_layers": [0],
}


@pytest.mark.skipif(not CONFIGS.is_dir(), reason="the published configs are not here")
@pytest.mark.parametrize(
    ("kind", "config", "prefix"),
    [
        ("UNet2DConditionModel", lambda: small_unet(), HEAD),
        ("AutoencoderKL", lambda: VAE, "first_stage_model."),
        ("SD3Transformer2DModel", lambda: TINY_SD3, HEAD),
    ],
)
def test_tensors_are_read_as_diffusers_reads_them_and_written_back_to_the_bit(kind, config, prefix) -> None:
    import diffusers

    config = config()
    torch.manual_seed(0)
    network = getattr(diffusers, kind).from_config(config)
    with torch.no_grad():
        for value in network.parameters():
            value.normal_()
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    naming = naming_of(kind, network.config)
    assert naming is not None
    written = write_tensors(state, prefix, naming)
    read = theirs(kind, network.config, {key: tensor.clone() for key, tensor in written.items()})
    assert set(read) == set(state)
    assert all(torch.equal(read[name], state[name]) for name in state)
    file = TensorFile(Path("x"), {k: tuple(v.shape) for k, v in written.items()}, {}, {}, written)
    ours = read_tensors(file, prefix, shapes, naming)
    assert set(ours) == set(state)
    assert all(torch.equal(ours[name], state[name]) for name in state)


def test_flux_is_read_as_diffusers_reads_it_row_by_row() -> None:
    """At its true width, which diffusers takes for granted; of each matrix the first column alone."""
    config = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 24, "attention_head_dim": 128}
    whole = shapes_of("FluxTransformer2DModel", {**config, "guidance_embeds": True})
    state = {name: torch.randn(shape[0], *([1] * (len(shape) - 1))) for name, shape in whole.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    written = write_tensors(state, HEAD, flux_names)
    read = theirs("FluxTransformer2DModel", {}, dict(written))
    assert set(read) == set(state)
    assert all(torch.equal(read[name], state[name]) for name in state)
    file = TensorFile(Path("x"), {key: tuple(value.shape) for key, value in written.items()}, {}, {}, written)
    ours = read_tensors(file, HEAD, shapes, flux_names)
    assert all(torch.equal(ours[name], state[name]) for name in state)
    full = {HEAD + key: shape_there(whole, each) for key, each in laid_out(whole, flux_names).items()}
    family = family_of(TensorFile(Path("flux.safetensors"), full, {}))
    assert (family.title, family.pipeline) == ("FLUX.1 dev", "FluxPipeline")
    assert shapes_of("FluxTransformer2DModel", family.configs["transformer"]) == whole
