"""Networks that obey controls, from their folders: ControlNets, T2I-Adapters, IP-Adapters."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.config import check_fields, check_sizes
from sfumato.formats.folder import read_json
from sfumato.network.control_networks import KINDS
from sfumato.network.reading import check_weights, hushed, reason, variant_of
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from sfumato.network.image_prompts import ImagePrompt

STEM = "diffusion_pytorch_model"


def read_controlnet(folder: Path) -> nn.Module:
    """The ControlNet in a folder of diffusers' format; BadInput for any other network."""
    return _read(folder, tuple(KINDS), (folder / "config.json").stat().st_mtime_ns)


def read_t2i_adapter(folder: Path) -> nn.Module:
    """The T2I-Adapter in a folder of diffusers' format; BadInput for any other network."""
    return _read(folder, ("T2IAdapter",), (folder / "config.json").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read(folder: Path, kinds: tuple[str, ...], stamp: int) -> nn.Module:
    what = f"{kinds[0]} in {name_of(folder)}"
    config = read_json(folder / "config.json")
    kind = printable(config.get("_class_name"), 60)
    if kind not in kinds:
        raise BadInput(f"{name_of(folder)} holds a {kind}; accepted here is {' or '.join(kinds)}.")
    check_sizes(config, what)
    made = _class_of(kind)
    check_fields(made, config, what, {})
    variant = variant_of(folder, STEM, what)
    try:
        with hushed():
            network, info = made.from_pretrained(
                folder,
                local_files_only=True,
                variant=variant,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                torch_dtype=torch.float32,
            )
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
    check_weights(info, what)
    return network.eval().requires_grad_(False)


def _class_of(kind: str) -> Any:
    """A class of diffusers', or one of ours where it has none."""
    import diffusers

    if hasattr(diffusers, kind):
        return getattr(diffusers, kind)
    return getattr(import_module(f"sfumato.network.{KINDS[kind]}"), kind)


class IPAdapterWeights:
    """An IP-Adapter as it lies in its folder: what projects a picture's embedding, and keys and values by number."""

    def __init__(self, folder: Path, projection: dict[str, Tensor], layers: dict[str, Tensor]) -> None:
        self.folder, self.projection, self.layers = folder, projection, layers

    def of(self, picture: Image.Image, unet: Any, blocks: tuple[str, ...], mask: Tensor | None) -> ImagePrompt:
        """What the picture is to a U-Net. Raises BadInput where the adapter was made for another one."""
        from sfumato.network.attention_directives import cross_attention
        from sfumato.network.image_prompts import ImagePrompt

        own = next(unet.parameters())
        order = {name.removesuffix(".processor"): index for index, name in enumerate(unet.attn_processors)}
        modules: dict[str, Any] = {name: m for name, m in cross_attention(unet).items() if _within(name, blocks)}
        layers = {}
        for name, module in modules.items():
            pair = [self.layers.get(f"{order[name]}.to_{which}_ip.weight") for which in "kv"]
            fits = (module.to_k.weight.shape[0], unet.config["cross_attention_dim"])
            if any(weight is None or tuple(weight.shape) != fits for weight in pair):
                raise BadInput(
                    f"The IP-Adapter in {name_of(self.folder)} was made for another network: {name} differs."
                )
            layers[name] = tuple(weight.to(own) for weight in pair if weight is not None)
        if blocks and not layers:
            raise BadInput(
                f"The network has no cross-attention in {', '.join(blocks)}: name blocks as down.1, mid, up.1."
            )
        with hushed(), torch.no_grad():
            project = unet._convert_ip_adapter_image_proj_to_diffusers(self.projection, low_cpu_mem_usage=False)
            tokens, empty = (project(each).to(own) for each in self._seen(picture))
        return ImagePrompt(tokens.reshape(1, -1, tokens.shape[-1]), empty.reshape(1, -1, empty.shape[-1]), layers, mask)

    @torch.no_grad()
    def _seen(self, picture: Image.Image) -> tuple[Tensor, Tensor]:
        """The picture's embedding and that of no picture, as the projection takes them."""
        encoder, process = _image_encoder(self.folder / "image_encoder")
        pixels = process(picture.convert("RGB"), return_tensors="pt").pixel_values
        if "proj.weight" in self.projection:
            embeds = encoder(pixels).image_embeds
            return embeds, torch.zeros_like(embeds)
        states = (
            encoder(each, output_hidden_states=True).hidden_states[-2] for each in (pixels, torch.zeros_like(pixels))
        )
        return next(states), next(states)


def read_ip_adapter(folder: Path) -> IPAdapterWeights:
    """The IP-Adapter in a folder: one .safetensors file and image_encoder/."""
    files = [path for path in sorted(folder.glob("*.safetensors")) if path.is_file()]
    if len(files) != 1:
        raise BadInput(
            f"The folder {name_of(folder)} holds {len(files)} .safetensors files: an IP-Adapter is one, and "
            "image_encoder/ beside it."
        )
    return _ip_adapter(folder, files[0], files[0].stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _ip_adapter(folder: Path, file: Path, stamp: int) -> IPAdapterWeights:
    from safetensors.torch import load_file

    try:
        found = load_file(file)
    except Exception as error:
        raise BadInput(f"The IP-Adapter {name_of(file)} can't be read: {reason(error)}") from error
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in found.items():
        part, _, name = key.partition(".")
        if part not in parts:
            raise BadInput(f"{name_of(file)} has {printable(key, 80)}, which no IP-Adapter has.")
        parts[part][name] = value.float()
    if not all(parts.values()):
        raise BadInput(f"{name_of(file)} is no IP-Adapter: it needs image_proj.* and ip_adapter.*.")
    return IPAdapterWeights(folder, parts["image_proj"], parts["ip_adapter"])


@lru_cache(maxsize=2)
def _image_encoder(folder: Path) -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    what = f"image encoder in {name_of(folder)}"
    if not (folder / "config.json").is_file():
        raise BadInput(f"There is no image encoder in {name_of(folder)}: put the adapter's image_encoder/ there.")
    try:
        with hushed():
            read: Any = CLIPVisionModelWithProjection.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
            encoder, info = read
            side = encoder.config.image_size
            process = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
    check_weights(info, what)
    return encoder.eval().requires_grad_(False), process


def _within(name: str, blocks: tuple[str, ...]) -> bool:
    """Whether a module lies in one of the blocks, said as down.1, mid, up.1."""
    short = name.replace("_blocks", "").replace("_block", "")
    return not blocks or any(short == block or short.startswith(f"{block}.") for block in blocks)
