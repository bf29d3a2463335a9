"""ControlNets and T2I-Adapters in single files, in the names of Zhang et al. 2023 and Mou et al. 2023 or diffusers'.

A file doesn't say what its network was trained with, so its config is that of the family: see `single_configs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sfumato.formats.key_names import NamedPiece, Naming, left_over, listed, read_tensors
from sfumato.formats.ldm_names import unet_names
from sfumato.formats.single_configs import Config, counted, unet_config
from sfumato.formats.tensor_file import TensorFile
from sfumato.picture.errors import BadInput, name_of, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

CONTROL = "control_model."
"""How the tensors of a ControlNet begin in its makers' files."""
TOLD = (
    *("in_channels", "block_out_channels", "layers_per_block", "down_block_types", "cross_attention_dim"),
    *("attention_head_dim", "use_linear_projection", "transformer_layers_per_block", "addition_embed_type"),
    *("addition_time_embed_dim", "projection_class_embeddings_input_dim"),
)
"""What a ControlNet's config has of the U-Net's."""
BEGINNINGS = (CONTROL, "input_hint_block.", "controlnet_cond_embedding.", "body.0.")
UNITED = ("task_embedding", "control_add_embedding.linear_1.weight")
_HINTS = re.compile(r"controlnet_cond_embedding\.blocks\.(\d+)\.(weight|bias)")
_ZERO = re.compile(r"controlnet_down_blocks\.(\d+)\.(weight|bias)")
_RESNET = re.compile(r"adapter\.body\.(\d+)\.(in_conv|resnets\.(\d+)\.(block[12]))\.(weight|bias)")
RESNETS = {"full_adapter": 2, "light_adapter": 4}
"""Residual blocks of a T2I-Adapter's level."""


def holds_control(names: Iterable[str]) -> bool:
    """Whether a file of these names holds a network that obeys controls."""
    return any(name.startswith(BEGINNINGS) for name in names)


@dataclass(frozen=True)
class SingleControl:
    """A network in a file: its class, config, the beginning of its tensors' names and what they are called there."""

    file: TensorFile
    config: Config
    prefix: str
    naming: Naming

    def empty(self) -> nn.Module:
        """The network without numbers."""
        from sfumato.formats.read_network import class_of, without_weights

        return without_weights(class_of(self.kind)[1], self.config)

    @property
    def kind(self) -> str:
        return str(self.config["_class_name"])

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors, as the network names them. Raises BadInput for those that are missing or strange."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.empty().state_dict().items()}
        if strange := left_over(self.file, self.prefix, shapes, self.naming):
            names = listed([name.removeprefix(self.prefix) for name in strange])
            raise BadInput(f"{name_of(self.file.path)} holds {names}, which no {self.kind} has.")
        return read_tensors(self.file, self.prefix, shapes, self.naming)

    def network(self) -> nn.Module:
        """The network in float32, in evaluation mode."""
        network = self.empty()
        network.load_state_dict({name: tensor.float() for name, tensor in self.tensors().items()}, assign=True)
        return network.requires_grad_(False).eval()


def control_of(file: TensorFile) -> SingleControl:
    """The ControlNet or T2I-Adapter of a file. Raises BadInput for any other, and for unions and differences."""
    try:
        return _control_of(file)
    except (KeyError, IndexError) as error:
        raise BadInput(f"{name_of(file.path)} lacks {printable(error, 120)}, which its family has.") from None


def _control_of(file: TensorFile) -> SingleControl:
    name, shapes = name_of(file.path), file.shapes
    if any(united in shapes for united in UNITED):
        raise BadInput(f"{name} is a union of ControlNets: give it as a folder in diffusers' format.")
    if "difference" in shapes or "lora_controlnet" in shapes:
        raise BadInput(f"{name} holds the difference to a base model, and no whole ControlNet: take the whole one.")
    for prefix in (CONTROL, ""):
        if f"{prefix}input_hint_block.0.weight" in shapes:
            config = controlnet_config(file, prefix)
            return SingleControl(file, config, prefix, controlnet_names(config["layers_per_block"], _hints(config)))
    if "controlnet_cond_embedding.conv_in.weight" in shapes:
        hints = counted(file, "controlnet_cond_embedding.blocks.") // 2 + 1
        naming = controlnet_names(counted(file, "down_blocks.0.resnets."), hints)
        there = replace(file, shapes={naming(each).key: shape for each, shape in shapes.items()})
        return SingleControl(file, controlnet_config(there, ""), "", NamedPiece)
    if "body.0.block1.weight" in shapes or "body.0.body.0.block1.weight" in shapes:
        config = t2i_adapter_config(file)
        return SingleControl(file, config, "", t2i_adapter_names(config["adapter_type"]))
    some = printable(", ".join(list(shapes)[:3]), 200) or "none"
    raise BadInput(f"{name} holds no ControlNet and no T2I-Adapter that is known by its names (it has {some}, ...).")


def controlnet_names(layers: int, hints: int) -> Naming:
    """The naming of a ControlNet of `layers` residual blocks a level: the U-Net's downward half, zero_convs, and the
    encoder of its map, of `hints` widths."""
    unet = unet_names(layers, ())

    def name(ours: str) -> NamedPiece:
        if match := _HINTS.fullmatch(ours):
            return NamedPiece(f"input_hint_block.{2 * int(match[1]) + 2}.{match[2]}")
        if match := _ZERO.fullmatch(ours):
            return NamedPiece(f"zero_convs.{match[1]}.0.{match[2]}")
        part, _, number = ours.rpartition(".")
        if part == "controlnet_mid_block":
            return NamedPiece(f"middle_block_out.0.{number}")
        if part == "controlnet_cond_embedding.conv_in":
            return NamedPiece(f"input_hint_block.0.{number}")
        if part == "controlnet_cond_embedding.conv_out":
            return NamedPiece(f"input_hint_block.{4 * hints - 2}.{number}")
        return unet(ours)

    return name


def _hints(config: Mapping[str, Any]) -> int:
    return len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256))


def controlnet_config(file: TensorFile, prefix: str) -> Config:
    """ControlNetModel. One that shuffles pictures, by its file's name, averages what it adds over the picture."""
    whole = unet_config(file, prefix, 64, sizes=f"{prefix}label_emb.0.0.weight" in file.shapes)
    places = range(0, counted(file, f"{prefix}input_hint_block.") - 1, 4)
    hints = [file.shapes[f"{prefix}input_hint_block.{place}.weight"] for place in places]
    return {
        "_class_name": "ControlNetModel",
        **{name: whole[name] for name in TOLD if name in whole},
        "conditioning_channels": hints[0][1],
        "conditioning_embedding_out_channels": [shape[0] for shape in hints],
        "global_pool_conditions": "shuffle" in file.path.stem.lower(),
    }


def t2i_adapter_names(kind: str) -> Naming:
    """The naming of a T2I-Adapter, whose blocks of all levels are counted on in a full one."""

    def name(ours: str) -> NamedPiece:
        if match := _RESNET.fullmatch(ours):
            level, block, number = int(match[1]), match[4] or "in_conv", match[5]
            if kind == "full_adapter":
                return NamedPiece(f"body.{RESNETS[kind] * level + int(match[3] or 0)}.{block}.{number}")
            if match[4]:
                return NamedPiece(f"body.{level}.body.{match[3]}.{block}.{number}")
        return NamedPiece(ours.removeprefix("adapter."))

    return name


def t2i_adapter_config(file: TensorFile) -> Config:
    """T2IAdapter of Stable Diffusion 1: full, or light."""
    blocks, full = counted(file, "body."), "conv_in.weight" in file.shapes
    kind = "full_adapter" if full else "light_adapter"
    if full:
        widths = [file.shapes[f"body.{place}.block1.weight"][0] for place in range(0, blocks, RESNETS[kind])]
    else:
        widths = [file.shapes[f"body.{level}.out_conv.weight"][0] for level in range(blocks - 1)]
    seen = file.shapes["conv_in.weight" if full else "body.0.in_conv.weight"][1]
    shape = {"channels": widths, "num_res_blocks": RESNETS[kind], "downscale_factor": DOWN, "adapter_type": kind}
    return {"_class_name": "T2IAdapter", "in_channels": seen // DOWN**2, **shape}


DOWN = 8  # pixels along a side of a cell of what a T2I-Adapter begins with


def naming_of_control(config: Mapping[str, Any]) -> tuple[str, Naming] | None:
    """How the tensors of a ControlNet or T2I-Adapter begin in its makers' files, and their naming; None for those that
    no such file holds."""
    kind, layers = config.get("_class_name"), config.get("layers_per_block", 2)
    if kind == "ControlNetModel" and isinstance(layers, int):
        return CONTROL, controlnet_names(layers, _hints(config))
    adapter = config.get("adapter_type", "full_adapter")
    if kind == "T2IAdapter" and adapter in RESNETS and config.get("num_res_blocks", 2) == RESNETS[adapter]:
        return ("", t2i_adapter_names(adapter)) if config.get("downscale_factor", 8) == DOWN else None
    return None
