"""Names of the U-Net and the autoencoder in CompVis' and Stability's files (Rombach et al. 2022: latent-diffusion)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from sfumato.formats.key_names import NamedPiece, Naming

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "class_embedding": "label_emb",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)")


def unet_names(layers: int, attends: Collection[int]) -> Naming:
    """The naming of a U-Net of `layers` residual blocks a level on its way down (one more on its way up), whose up
    blocks of the numbers `attends` have attention."""

    def name(ours: str) -> NamedPiece:
        if match := _BLOCK.fullmatch(ours):
            way, block, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
            if kind == "downsamplers":
                return NamedPiece(f"input_blocks.{(block + 1) * (layers + 1)}.0.{rest.replace('conv', 'op')}")
            if kind == "upsamplers":
                last = block * (layers + 1) + layers
                return NamedPiece(f"output_blocks.{last}.{2 if block in attends else 1}.{rest}")
            place = block * (layers + 1) + index
            side = f"input_blocks.{place + 1}" if way == "down" else f"output_blocks.{place}"
            return NamedPiece(f"{side}.0.{_resnet(rest)}" if kind == "resnets" else f"{side}.1.{rest}")
        if match := _MIDDLE.fullmatch(ours):
            index = int(match[2])
            if match[1] == "resnets":
                return NamedPiece(f"middle_block.{2 * index}.{_resnet(match[3])}")
            return NamedPiece(f"middle_block.{2 * index + 1}.{match[3]}")
        part, _, number = ours.rpartition(".")
        return NamedPiece(f"{_OUTER.get(part, part)}.{number}")

    return name


def _resnet(rest: str) -> str:
    part, _, number = rest.rpartition(".")
    return f"{_RESNET.get(part, part)}.{number}"


_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
}  # the last four in folders of the first diffusers
_HALF = r"(encoder|decoder)\."
_SUBSTITUTES: tuple[tuple[str, Callable[[re.Match, int], str]], ...] = (
    (_HALF + r"down_blocks\.(\d+)\.resnets\.(\d+)\.(.*)", lambda m, n: f"{m[1]}.down.{m[2]}.block.{m[3]}.{m[4]}"),
    (_HALF + r"down_blocks\.(\d+)\.downsamplers\.0\.(.*)", lambda m, n: f"{m[1]}.down.{m[2]}.downsample.{m[3]}"),
    (
        _HALF + r"up_blocks\.(\d+)\.resnets\.(\d+)\.(.*)",
        lambda m, n: f"{m[1]}.up.{n - 1 - int(m[2])}.block.{m[3]}.{m[4]}",
    ),
    (_HALF + r"up_blocks\.(\d+)\.upsamplers\.0\.(.*)", lambda m, n: f"{m[1]}.up.{n - 1 - int(m[2])}.upsample.{m[3]}"),
    (_HALF + r"mid_block\.resnets\.(\d+)\.(.*)", lambda m, n: f"{m[1]}.mid.block_{int(m[2]) + 1}.{m[3]}"),
    (_HALF + r"conv_norm_out\.(.*)", lambda m, n: f"{m[1]}.norm_out.{m[2]}"),
)
_ATTENDS = re.compile(_HALF + r"mid_block\.attentions\.0\.(.*)\.(weight|bias)")


def autoencoder_names(levels: int) -> Naming:
    """The naming of an AutoencoderKL of so many levels; the decoder's are counted from the other end there."""

    def name(ours: str) -> NamedPiece:
        if match := _ATTENDS.fullmatch(ours):
            theirs = _ATTENTION.get(match[2], match[2])
            convolution = theirs != "norm" and match[3] == "weight"
            return NamedPiece(f"{match[1]}.mid.attn_1.{theirs}.{match[3]}", "convolution" if convolution else "")
        for pattern, theirs in _SUBSTITUTES:
            if match := re.fullmatch(pattern, ours):
                return NamedPiece(theirs(match, levels).replace("conv_shortcut", "nin_shortcut"))
        return NamedPiece(ours)

    return name
