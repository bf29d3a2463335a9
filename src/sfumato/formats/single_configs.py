"""Configs of the networks in a single file, from the shapes of its tensors and what is known of its family.

A file of tensors says how wide and deep its networks are, and not how many heads they have, how latents are scaled or
what the network predicts: these are facts of the families, as their papers and makers state them.
"""

from __future__ import annotations

import re
from math import isqrt
from typing import Any

from sfumato.formats.tensor_file import TensorFile

Config = dict[str, Any]
HEAD = 64  # channels of a head, in all but Stable Diffusion 1
HEADS = 8  # of Stable Diffusion 1


def counted(file: TensorFile, before: str) -> int:
    """How many n there are in names that begin with `before` and n."""
    found = {name[len(before) :].partition(".")[0] for name in file.shapes if name.startswith(before)}
    return max((int(number) + 1 for number in found if number.isdecimal()), default=0)


def unet_config(file: TensorFile, prefix: str, sample: int, sizes: bool) -> Config:
    """UNet2DConditionModel. sample: cells along a side. sizes: whether it is told sizes, as Stable Diffusion XL is."""
    shapes = {name[len(prefix) :]: shape for name, shape in file.shapes.items() if name.startswith(prefix)}
    downs = sorted(int(m[1]) for name in shapes if (m := re.fullmatch(r"input_blocks\.(\d+)\.0\.op\.weight", name)))
    blocks = counted(file, f"{prefix}input_blocks.")
    layers = downs[0] - 1 if downs else blocks - 1
    levels = len(downs) + 1
    firsts = [1 + level * (layers + 1) for level in range(levels)]
    widths = [shapes.get(f"input_blocks.{first}.0.in_layers.2.weight", (32,))[0] for first in firsts]
    inner = [f"input_blocks.{first}.1." for first in firsts]
    attends = [f"{each}proj_in.weight" in shapes for each in inner]
    depths = [counted(file, f"{prefix}{each}transformer_blocks.") or 1 for each in inner]
    if not attends[-1]:
        depths[-1] = counted(file, f"{prefix}middle_block.1.transformer_blocks.") or 1
    linear = len(shapes.get("middle_block.1.proj_in.weight", (0,) * 4)) == 2
    found: Config = {
        "_class_name": "UNet2DConditionModel",
        "sample_size": sample,
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes.get("out.2.weight", (4,))[0],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attends)],
        "cross_attention_dim": shapes.get("middle_block.1.transformer_blocks.0.attn2.to_k.weight", (0, 768))[1],
        "attention_head_dim": [max(1, width // HEAD) for width in widths] if linear else HEADS,
        "use_linear_projection": linear,
    }
    if set(depths) != {1}:
        found["transformer_layers_per_block"] = depths
    if sizes:
        told = shapes.get("label_emb.0.0.weight", (0, 2816))[1]
        found |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
        found["projection_class_embeddings_input_dim"] = told
    return found


def autoencoder_config(file: TensorFile, prefix: str, scaling: float, shift: float | None, sample: int) -> Config:
    """AutoencoderKL."""
    levels = counted(file, f"{prefix}encoder.down.")
    widths = [
        file.shapes.get(f"{prefix}encoder.down.{level}.block.0.conv1.weight", (32,))[0] for level in range(levels)
    ]
    found: Config = {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": widths,
        "layers_per_block": counted(file, f"{prefix}encoder.down.0.block."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "latent_channels": file.shapes[f"{prefix}decoder.conv_in.weight"][1],
        "sample_size": sample,
        "scaling_factor": scaling,
    }
    if shift is not None:
        found["shift_factor"] = shift
    if f"{prefix}quant_conv.weight" not in file.shapes:
        found |= {"use_quant_conv": False, "use_post_quant_conv": False}
    return found


def codebook_config(file: TensorFile, prefix: str) -> Config:
    """VQModel of CompVis' latent diffusion (VQ-f4: Rombach et al. 2022, appendix D)."""
    found = autoencoder_config(file, prefix, 1.0, None, 256)
    codes, width = file.shapes[f"{prefix}quantize.embedding.weight"]
    kept = ("in_channels", "out_channels", "block_out_channels", "layers_per_block", "down_block_types")
    return {
        "_class_name": "VQModel",
        **{name: found[name] for name in (*kept, "up_block_types", "latent_channels", "sample_size", "scaling_factor")},
        "num_vq_embeddings": codes,
        "vq_embed_dim": width,
    }


def clip_config(file: TensorFile, prefix: str, bare: bool = False) -> Config:
    """CLIPTextModel, with OpenAI's weights, as transformers writes it."""
    inner = prefix if bare else f"{prefix}text_model."
    width = file.shapes[f"{inner}embeddings.token_embedding.weight"][1]
    return _text(
        file.shapes[f"{inner}embeddings.token_embedding.weight"],
        file.shapes.get(f"{inner}embeddings.position_embedding.weight", (77,))[0],
        counted(file, f"{inner}encoder.layers."),
        file.shapes.get(f"{inner}encoder.layers.0.mlp.fc1.weight", (4 * width,))[0],
        "quick_gelu",
        file.shapes.get(f"{prefix}text_projection.weight", (width,))[0],
    )


def open_clip_config(file: TensorFile, prefix: str, unread: int) -> Config:
    """CLIPTextModel of OpenCLIP's weights. unread: how many of the last layers are not run."""
    words = file.shapes[f"{prefix}token_embedding.weight"]
    return _text(
        words,
        file.shapes.get(f"{prefix}positional_embedding", (77,))[0],
        counted(file, f"{prefix}transformer.resblocks.") - unread,
        file.shapes.get(f"{prefix}transformer.resblocks.0.mlp.c_fc.weight", (4 * words[1],))[0],
        "gelu",
        file.shapes.get(f"{prefix}text_projection", words)[1],
    )


def _text(words: tuple[int, ...], window: int, layers: int, inner: int, act: str, out: int) -> Config:
    return {
        "model_type": "clip_text_model",
        "vocab_size": words[0],
        "hidden_size": words[1],
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, words[1] // HEAD),
        "max_position_embeddings": window,
        "hidden_act": act,
        "layer_norm_eps": 1e-5,
        "projection_dim": out,
        "bos_token_id": words[0] - 2,
        "eos_token_id": words[0] - 1,
        "pad_token_id": words[0] - 1,
    }


def t5_config(file: TensorFile, prefix: str) -> Config:
    """T5EncoderModel, version 1.1."""
    words = file.shapes[f"{prefix}shared.weight"]
    first = f"{prefix}encoder.block.0.layer"
    buckets, heads = file.shapes.get(f"{first}.0.SelfAttention.relative_attention_bias.weight", (32, 64))
    return {
        "model_type": "t5",
        "vocab_size": words[0],
        "d_model": words[1],
        "d_kv": file.shapes.get(f"{first}.0.SelfAttention.q.weight", (heads * HEAD,))[0] // heads,
        "d_ff": file.shapes.get(f"{first}.1.DenseReluDense.wi_0.weight", (10240,))[0],
        "num_layers": counted(file, f"{prefix}encoder.block."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }


def sd3_config(file: TensorFile, prefix: str) -> Config:
    """SD3Transformer2DModel."""
    shapes, blocks = file.shapes, counted(file, f"{prefix}joint_blocks.")
    width, channels, patch, _ = shapes[f"{prefix}x_embedder.proj.weight"]
    text = shapes.get(f"{prefix}context_embedder.weight", (width, 4096))
    normed = shapes.get(f"{prefix}joint_blocks.0.x_block.attn.ln_q.weight")
    head = normed[0] if normed else HEAD
    dual = [n for n in range(blocks) if f"{prefix}joint_blocks.{n}.x_block.attn2.qkv.weight" in shapes]
    return {
        "_class_name": "SD3Transformer2DModel",
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shapes.get(f"{prefix}final_layer.linear.weight", (channels * patch**2,))[0] // patch**2,
        "num_layers": blocks,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": text[1],
        "caption_projection_dim": text[0],
        "pooled_projection_dim": shapes.get(f"{prefix}y_embedder.mlp.0.weight", (width, 2048))[1],
        "pos_embed_max_size": isqrt(shapes.get(f"{prefix}pos_embed", (1, 192**2))[1]),
        "dual_attention_layers": dual,
        "qk_norm": "rms_norm" if normed else None,
    }


def flux_config(file: TensorFile, prefix: str) -> Config:
    """FluxTransformer2DModel."""
    shapes, blocks = file.shapes, f"{prefix}double_blocks."
    config = _joint(file, prefix, blocks, f"{blocks}0.img_attn.norm.query_norm.scale", words=4096)
    return {
        **config,
        "_class_name": "FluxTransformer2DModel",
        "patch_size": 1,
        "out_channels": shapes.get(f"{prefix}final_layer.linear.weight", (config["in_channels"],))[0],
        "num_single_layers": counted(file, f"{prefix}single_blocks."),
        "pooled_projection_dim": shapes.get(f"{prefix}vector_in.in_layer.weight", (0, 768))[1],
        "guidance_embeds": f"{prefix}guidance_in.in_layer.weight" in shapes,
    }


def qwen_image_config(file: TensorFile, prefix: str) -> Config:
    """QwenImageTransformer2DModel."""
    blocks = f"{prefix}transformer_blocks."
    config = _joint(file, prefix, blocks, f"{blocks}0.attn.norm_q.weight", words=3584)
    gives = file.shapes.get(f"{prefix}proj_out.weight", (config["in_channels"],))[0] // 4
    return {**config, "_class_name": "QwenImageTransformer2DModel", "out_channels": gives}


def _joint(file: TensorFile, prefix: str, blocks: str, norm: str, words: int) -> Config:
    """What FLUX.1 and Qwen-Image have in common. norm: the weights of a head's norm; words: the width of a text where
    the file doesn't say it."""
    width, channels = file.shapes[f"{prefix}img_in.weight"]
    head = file.shapes.get(norm, (128,))[0]
    return {
        "in_channels": channels,
        "num_layers": counted(file, blocks),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": file.shapes.get(f"{prefix}txt_in.weight", (width, words))[1],
        "axes_dims_rope": [head // 8, head * 7 // 16, head * 7 // 16],
    }


def z_image_config(file: TensorFile, prefix: str) -> Config:
    """ZImageTransformer2DModel."""
    shapes = file.shapes
    width, cells = shapes[f"{prefix}x_embedder.weight"]
    head = shapes.get(f"{prefix}layers.0.attention.q_norm.weight", (128,))[0]
    return {
        "_class_name": "ZImageTransformer2DModel",
        "in_channels": cells // 4,
        "dim": width,
        "n_layers": counted(file, f"{prefix}layers."),
        "n_refiner_layers": counted(file, f"{prefix}noise_refiner."),
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "cap_feat_dim": shapes.get(f"{prefix}cap_embedder.1.weight", (width, 2560))[1],
        "axes_dims": [head // 4, head * 3 // 8, head * 3 // 8],
    }


def table_scheduler(prediction: str | None, zero_terminal: bool) -> Config:
    """The table of betas of Stable Diffusion 1, 2 and XL. Without a `prediction` the config says none."""
    found: Config = {
        "_class_name": "DDIMScheduler",
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "num_train_timesteps": 1000,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    }
    if zero_terminal:
        found["rescale_betas_zero_snr"] = True
    return found | ({} if prediction is None else {"prediction_type": prediction})


def latent_scheduler() -> Config:
    """The table of betas of CompVis' latent diffusion on VQ-f4."""
    return {**table_scheduler("epsilon", zero_terminal=False), "beta_start": 0.0015, "beta_end": 0.0195}


def flow_scheduler(shift: float, dynamic: bool) -> Config:
    """Flow matching: Stable Diffusion 3 with a fixed shift, FLUX.1 dev with one by the size."""
    found: Config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": shift}
    if dynamic:
        found |= {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
        found |= {"base_image_seq_len": 256, "max_image_seq_len": 4096}
    return found
