"""Which family a single file is of, and where in it the parts of its model stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sfumato.adapt import LoRA
from sfumato.formats import single_configs as configs
from sfumato.formats.key_names import Naming
from sfumato.formats.ldm_names import autoencoder_names, unet_names
from sfumato.formats.single_configs import Config
from sfumato.formats.single_control import holds_control
from sfumato.formats.single_placed import Placed, SingleFamily
from sfumato.formats.single_texts import with_texts
from sfumato.formats.tensor_file import TensorFile
from sfumato.formats.text_names import clip_names, t5_names
from sfumato.formats.transformer_names import flux_names, qwen_image_names, sd3_names, z_image_names
from sfumato.picture.errors import BadInput, name_of, printable

PREDICTIONS = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon", "eps": "epsilon"}

U_NET = "model.diffusion_model."
CLASSES = "cond_stage_model.embedding.weight"
VAES = ("first_stage_model.", "vae.", "")
"""The last in a file of an autoencoder alone."""
LATENTS = {
    "StableDiffusionX": (0.13025, None),
    "StableDiffusion3": (1.5305, 0.0609),
    "FluxPipeline": (0.3611, 0.1159),
    "FluxFillPipeline": (0.3611, 0.1159),
}
"""How latents are scaled and shifted, by how the pipelines' names begin; 0.18215 in all others."""


_OTHERS: Mapping[str, Naming] = {
    "QwenImageTransformer2DModel": qwen_image_names,
    "ZImageTransformer2DModel": z_image_names,
}


def naming_of(kind: str, config: Mapping[str, Any], texts: Naming = clip_names) -> Naming | None:
    """What the tensors of a network are called in a single file; None for one that no single file holds."""
    if kind == "UNet2DConditionModel":
        ups = [str(each) for each in config.get("up_block_types", ())]
        attends = {number for number, each in enumerate(ups) if "CrossAttn" in each}
        layers = config.get("layers_per_block", 2)
        return unet_names(layers, attends) if isinstance(layers, int) else None
    if kind in ("AutoencoderKL", "VQModel"):
        return autoencoder_names(len(config.get("block_out_channels", ())))
    if kind == "SD3Transformer2DModel":
        return sd3_names(int(config.get("num_layers", 0)))
    if kind == "FluxTransformer2DModel":
        return flux_names
    if kind in _OTHERS:
        return _OTHERS[kind]
    if kind.startswith("CLIPTextModel"):
        return texts
    return t5_names if kind == "T5EncoderModel" else None


def family_of(file: TensorFile, prediction: str | None = None) -> SingleFamily:
    """The family of a file, by the names and shapes of its tensors. Raises BadInput for one that is not known."""
    for prefix in (U_NET, ""):
        if f"{prefix}joint_blocks.0.x_block.attn.qkv.weight" in file.shapes:
            return _sd3(file, prefix)
        if f"{prefix}double_blocks.0.img_attn.qkv.weight" in file.shapes:
            return _flux(file, prefix)
        if f"{prefix}transformer_blocks.0.img_mod.1.weight" in file.shapes:
            return _alone("Qwen-Image", "QwenImage", file, prefix, configs.qwen_image_config(file, prefix))
        if f"{prefix}noise_refiner.0.attention.qkv.weight" in file.shapes and f"{prefix}x_pad_token" in file.shapes:
            return _alone("Z-Image", "ZImage", file, prefix, configs.z_image_config(file, prefix))
    if f"{U_NET}input_blocks.0.0.weight" in file.shapes:
        return _class_latents(file) if CLASSES in file.shapes else _stable_diffusion(file, prediction)
    if LoRA.holds(file.shapes):
        raise BadInput(
            f"{name_of(file.path)} is an adapter and no model: add it to one with --lora, or write it in another "
            "format with `sfumato convert --to`."
        )
    if holds_control(file.shapes):
        raise BadInput(
            f"{name_of(file.path)} is a network that obeys a control and no model: show it a picture with --control, "
            "as controlnet:picture=map.png,net=FILE."
        )
    some = ", ".join(list(file.shapes)[:3])
    raise BadInput(
        f"{name_of(file.path)} holds no model that is known by its names (it has {printable(some, 200) or 'none'}, "
        "...); accepted are files of Stable Diffusion 1, 2, XL and 3, of FLUX.1, Qwen-Image and Z-Image, and of latent "
        "diffusion told a class, in their makers' names."
    )


def _stable_diffusion(file: TensorFile, prediction: str | None) -> SingleFamily:
    from_two = "cond_stage_model.model.token_embedding.weight" in file.shapes
    sizes = any(name.startswith("conditioner.embedders.") for name in file.shapes)
    refiner = sizes and "conditioner.embedders.0.model.token_embedding.weight" in file.shapes
    if f"{U_NET}label_emb.weight" in file.shapes or (f"{U_NET}label_emb.0.0.weight" in file.shapes and not sizes):
        raise BadInput(
            f"{name_of(file.path)} is told more than words (it has label_emb), as an upscaler or stable unCLIP is: as "
            "a single file it is not read, as a folder in diffusers' format it may be."
        )
    channels = file.shapes[f"{U_NET}input_blocks.0.0.weight"][1:2] or (4,)
    prediction = prediction or _prediction(file, asks=from_two and channels[0] == 4)
    sample = 128 if sizes else 96 if from_two and prediction == "v_prediction" else 64
    unet = configs.unet_config(file, U_NET, sample, sizes)
    version = "XL" if sizes else "2" if from_two else "1"
    pipeline, what = {
        4: ("Pipeline", ""),
        9: ("InpaintPipeline", " inpainting"),
        8: ("InstructPix2PixPipeline", " (InstructPix2Pix)"),
        5: ("Depth2ImgPipeline", " with depth"),
    }.get(unet["in_channels"], ("Pipeline", ""))
    if refiner:
        pipeline, what = "XLImg2ImgPipeline", " refiner"
    elif sizes:
        pipeline = f"XL{pipeline}"
    found = SingleFamily(
        f"Stable Diffusion {version}{what}",
        f"StableDiffusion{pipeline}",
        {"unet": Placed("UNet2DConditionModel", file, U_NET, naming_of("UNet2DConditionModel", unet) or clip_names)},
        {"unet": unet},
        configs.table_scheduler(prediction, "ztsnr" in file.shapes),
        {},
    )
    if refiner:
        found.index.update({"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False})
    elif sizes:
        found.index["force_zeros_for_empty_prompt"] = True
    found = with_autoencoder(with_texts(found, file, unread=1 if from_two else 0), file, sizes=sizes)
    if not from_two:
        return found
    last = configs.counted(file, "cond_stage_model.model.transformer.resblocks.") - 1
    return replace(found, unread=(f"cond_stage_model.model.transformer.resblocks.{last}.",))


def _class_latents(file: TensorFile) -> SingleFamily:
    """CompVis' latent diffusion told a class: its U-Net has one head, whatever its width."""
    codes = f"{VAES[0]}quantize.embedding.weight"
    if codes not in file.shapes:
        raise BadInput(f"{name_of(file.path)} is told a class and has no {codes}: its autoencoder is no VQModel.")
    unet = {**configs.unet_config(file, U_NET, 64, sizes=False), "attention_head_dim": 1}
    vqvae = configs.codebook_config(file, VAES[0])
    placed = {
        "unet": Placed("UNet2DConditionModel", file, U_NET, naming_of("UNet2DConditionModel", unet) or clip_names),
        "vqvae": Placed("VQModel", file, VAES[0], autoencoder_names(len(vqvae["block_out_channels"]))),
    }
    return SingleFamily(
        "latent diffusion of classes",
        "LDMClassToImagePipeline",
        placed,
        {"unet": unet, "vqvae": vqvae},
        configs.latent_scheduler(),
        {},
        ("cond_stage_model.",),
        CLASSES,
    )


def _prediction(file: TensorFile, asks: bool) -> str | None:
    """What the network predicts, where the file says it: None where it doesn't and may be either."""
    said = {key.lower(): value.lower() for key, value in file.metadata.items()}
    kind = said.get("modelspec.prediction_type", "")
    if kind in PREDICTIONS:
        return PREDICTIONS[kind]
    named = "768-v" in said.get("modelspec.architecture", "") or said.get("ss_v_parameterization") == "true"
    if named or "v_pred" in file.shapes:
        return "v_prediction"
    return None if asks else "epsilon"


def with_autoencoder(family: SingleFamily, file: TensorFile, sizes: bool = False) -> SingleFamily:
    """The family with the autoencoder that stands in a file, its own or one beside it; as it is where there is none."""
    prefix = next((prefix for prefix in VAES if f"{prefix}decoder.conv_in.weight" in file.shapes), None)
    if prefix is None:
        return family
    scaling, shift = LATENTS.get(family.pipeline[:16], (0.18215, None))
    config = configs.autoencoder_config(file, prefix, scaling, shift, 1024 if sizes or shift else 512)
    placed = Placed("AutoencoderKL", file, prefix, autoencoder_names(len(config["block_out_channels"])))
    return replace(family, placed={**family.placed, "vae": placed}, configs={**family.configs, "vae": config})


def _sd3(file: TensorFile, prefix: str) -> SingleFamily:
    config = configs.sd3_config(file, prefix)
    placed = Placed("SD3Transformer2DModel", file, prefix, sd3_names(config["num_layers"]))
    family = SingleFamily(
        "Stable Diffusion 3",
        "StableDiffusion3Pipeline",
        {"transformer": placed},
        {"transformer": config},
        configs.flow_scheduler(3.0, dynamic=False),
        {},
    )
    return with_autoencoder(with_texts(family, file), file)


def _flux(file: TensorFile, prefix: str) -> SingleFamily:
    config = configs.flux_config(file, prefix)
    placed = Placed("FluxTransformer2DModel", file, prefix, flux_names)
    dev = config["guidance_embeds"]
    fills = config["in_channels"] > 128  # x, masked picture and mask, in patches
    family = SingleFamily(
        f"FLUX.1 {'Fill' if fills else 'dev' if dev else 'schnell'}",
        "FluxFillPipeline" if fills else "FluxPipeline",
        {"transformer": placed},
        {"transformer": config},
        configs.flow_scheduler(3.0 if dev else 1.0, dev),
        {},
    )
    return with_autoencoder(with_texts(family, file), file)


def _alone(title: str, name: str, file: TensorFile, prefix: str, config: Config) -> SingleFamily:
    """A family whose files hold the transformer alone; the rest, the scheduler too, is that of a base."""
    kind = f"{name}Transformer2DModel"
    return SingleFamily(
        title,
        f"{name}Pipeline",
        {"transformer": Placed(kind, file, prefix, _OTHERS[kind])},
        {"transformer": config},
        configs.flow_scheduler(3.0, dynamic=False),
        {},
        (f"{prefix}norm_final.",),
    )
