"""Tiny networks that obey controls, random but for none of their zeros, for the networks of the stock pipelines."""

from __future__ import annotations

from inspect import signature
from typing import Any

from stock import seeded, stirred


def controlnet(network: Any, channels: int, seed: int = 1, layers: int = 1, factor: int = 2) -> Any:
    """A ControlNet for a network that paints latents of so many channels, `factor` pixels along a side of a cell; None
    where there is no class of one."""
    import diffusers

    seeded(seed)
    config, kind = dict(network.config), type(network).__name__

    def like(made: Any, **changes: Any) -> Any:
        taken = signature(made.__init__).parameters
        return made(**{name: value for name, value in {**config, **changes}.items() if name in taken})

    if kind == "UNet2DConditionModel" and not others(network):  # Stable unCLIP's is that of Stable Diffusion 2
        smaller = (*(8,) * (factor.bit_length() - 1), 16)
        embedding = {
            "conditioning_embedding_out_channels": smaller,
            **dict.fromkeys(("num_class_embeds", "class_embed_type")),
        }
        net = like(diffusers.ControlNetModel, in_channels=channels, **embedding)
    elif config.get("addition_embed_type") == "image":
        net = like(diffusers.UNet2DConditionModel, in_channels=2 * channels, addition_embed_type="image_hint")
    elif kind == "FluxTransformer2DModel":
        net = like(diffusers.FluxControlNetModel, in_channels=4 * channels, num_layers=layers, num_single_layers=1)
    elif kind == "SD3Transformer2DModel":
        net = diffusers.SD3ControlNetModel.from_transformer(
            network, num_layers=layers, num_extra_conditioning_channels=0, load_weights_from_transformer=False
        )
    elif kind == "QwenImageTransformer2DModel":
        net = like(diffusers.QwenImageControlNetModel, num_layers=layers)
    elif kind == "SanaTransformer2DModel":
        net = like(diffusers.SanaControlNetModel, num_layers=layers)
    elif kind == "ZImageTransformer2DModel":
        net = z_image(network)
    elif kind == "PixArtTransformer2DModel":
        from sfumato.network.pixart_controlnet import PixArtControlNetAdapterModel

        net = like(PixArtControlNetAdapterModel, num_layers=layers)
    else:
        return None
    return stirred(net, seed)


def others(network: Any) -> bool:
    """Whether a network is of blocks (unCLIP's, k-diffusion's) to which nobody made anything to be added."""
    return any("Simple" in each or each.startswith("K") for each in network.config.get("down_block_types", ()))


def z_image(network: Any, refines: str | None = None, more: int = 0) -> Any:
    """Z-Image's ControlNet beside its first block. refines: what acts before words come in; more: further channels."""
    from diffusers import ZImageControlNetModel

    config = network.config
    return ZImageControlNetModel(
        control_layers_places=[0],
        control_refiner_layers_places=[0],
        control_in_dim=config["in_channels"] + more,
        add_control_noise_refiner=refines,
        dim=config["dim"],
        n_refiner_layers=config["n_refiner_layers"],
        n_heads=config["n_heads"],
        n_kv_heads=config["n_kv_heads"],
    )
