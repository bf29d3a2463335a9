"""Networks that turn a picture into a prompt, from their folders: IP-Adapters, and FLUX.1 Redux.

| painter | file | image_encoder/ |
|---|---|---|
| a U-Net | image_proj.*, ip_adapter.* (plain, Plus, Full) | a CLIP |
| a U-Net, FaceID | the same, and LoRA layers; of FaceID Plus | none; a CLIP |
| FLUX.1 | the same, or ip_adapter_proj_model.*, double_blocks.* (XLabs) | a CLIP |
| Stable Diffusion 3 | image_proj.*, ip_adapter.* (InstantX) | a SigLIP |
| FLUX.1, Redux | image_embedder/ | a SigLIP |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfumato.formats.image_encoder import image_encoder, siglip
from sfumato.formats.redux import Redux, read_redux
from sfumato.formats.tensor_file import PICKLES, tensors_of
from sfumato.network.reading import hushed, reason
from sfumato.network.spec import as_network
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo.find import pickles_allowed

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

PARTS = {
    "image_proj": "image_proj",
    "ip_adapter": "ip_adapter",
    "ip_adapter_proj_model": "image_proj",
    "double_blocks": "ip_adapter",
}
"""What the first word of a key says, in diffusers' files and in XLabs'."""
XLABS = {"processor.ip_adapter_double_stream_k_proj": "to_k_ip", "processor.ip_adapter_double_stream_v_proj": "to_v_ip"}


class IPAdapterWeights:
    """An IP-Adapter as it lies in its folder: what projects a picture's embedding, and keys and values by number."""

    def __init__(self, folder: Path, projection: dict[str, Tensor], layers: dict[str, Tensor]) -> None:
        self.folder, self.projection, self.layers = folder, projection, layers

    def to(self, device: Any) -> IPAdapterWeights:
        """Itself: `of` puts what it makes where the network is."""
        return self

    def of(self, picture: Image.Image | Face, network: Any, blocks: tuple[str, ...], mask: Tensor | None) -> Any:
        """What the picture is to the network that paints. Raises BadInput where the adapter was made for another."""
        kind = type(network).__name__
        if kind not in PROMPTS or (isinstance(picture, Face) and kind != "UNet2DConditionModel"):
            raise BadInput(f"No IP-Adapter is known for a {kind}: leave it out.")
        try:
            with hushed(), torch.no_grad():
                return PROMPTS[kind](self, picture, network, blocks, mask)
        except BadInput:
            raise
        except (KeyError, RuntimeError, ValueError) as error:
            raise BadInput(
                f"The IP-Adapter in {name_of(self.folder)} was made for another network: {reason(error)}"
            ) from error

    def face(self, embedding: Sequence[float], picture: Image.Image | None, shortcut: bool, adapted: bool) -> Face:
        """What it is told of a face. adapted: whether the run has a LoRA. Raises BadInput for what is no FaceID, and
        where what it needs besides is not given, or what it doesn't is."""
        name, plus = name_of(self.folder), "perceiver_resampler.proj_in.weight" in self.projection
        if not self.of_faces:
            raise BadInput(f"{name} is no IP-Adapter FaceID, but one of pictures: give it as IPAdapter(picture, net).")
        if plus != (picture is not None) or (shortcut and not plus):
            wants = "also sees the face: give picture" if plus else "sees no picture: leave picture and shortcut out"
            raise BadInput(f"{name} is an IP-Adapter FaceID{' Plus' if plus else ''}, which {wants}.")
        if (width := self.projection["proj.0.weight"].shape[1]) != len(embedding):
            raise BadInput(f"{name} takes embeddings of {width} numbers, and is given {len(embedding)}.")
        if not adapted and any("_lora." in key for key in self.layers):
            raise BadInput(
                f"{name} was trained with a LoRA, which its file holds: give it as an adapter too, LoRA(file), or "
                "LoRA(file) * 0 to do without."
            )
        return Face(torch.tensor([list(embedding)]), picture, shortcut)

    @property
    def of_faces(self) -> bool:
        """Whether it is a FaceID, by the names in its projection."""
        names = self.projection.keys()
        plain = "norm.weight" in names and not names & {"proj.weight", "proj.3.weight"}
        return plain or "perceiver_resampler.proj_in.weight" in names

    def clip(self, picture: Image.Image, pooled: bool) -> tuple[Tensor, Tensor]:
        """A CLIP's embeddings of the picture and of black, or its states before the last layer, of zeros for black."""
        encoder, process = image_encoder(self.folder / "image_encoder", "CLIPVisionModelWithProjection")
        pixels = process(picture.convert("RGB"), return_tensors="pt").pixel_values
        if pooled:
            black = process(picture.convert("RGB").point(lambda _: 0), return_tensors="pt").pixel_values
            return encoder(pixels).image_embeds, encoder(black).image_embeds
        states = [
            encoder(each, output_hidden_states=True).hidden_states[-2] for each in (pixels, torch.zeros_like(pixels))
        ]
        return states[0], states[1]


@dataclass(frozen=True, eq=False)
class Face:
    """What a FaceID is told: embedding (1, D); of FaceID Plus the picture too, and whether its own tokens are added."""

    embedding: Tensor
    picture: Image.Image | None = None
    shortcut: bool = False

    def tokens(self, weights: IPAdapterWeights, project: Any) -> tuple[Tensor, Tensor]:
        """The face's, and those of an embedding of zeros, as the projection makes them."""
        zeros, states = torch.zeros_like(self.embedding), (None, None)
        if self.picture is not None:
            states, project.shortcut = weights.clip(self.picture, False), self.shortcut
        found = []
        for embedding, seen in zip((self.embedding, zeros), states, strict=True):
            project.clip_embeds = None if seen is None else seen[None]
            found.append(project(embedding))
        return found[0], found[1]


def _unet_prompt(
    weights: IPAdapterWeights, picture: Image.Image | Face, unet: Any, blocks: tuple[str, ...], mask: Tensor | None
) -> Any:
    from sfumato.network.attention_directives import cross_attention
    from sfumato.network.image_prompts import ImagePrompt

    if weights.of_faces and not isinstance(picture, Face):
        raise BadInput(
            f"{name_of(weights.folder)} is an IP-Adapter FaceID, which is told a face's embedding and not a picture: "
            "give it as FaceID(embedding, net), with the numbers that a face recogniser made of the picture."
        )
    order = {name.removesuffix(".processor"): index for index, name in enumerate(unet.attn_processors)}
    modules: dict[str, Any] = dict(cross_attention(unet))
    layers, share_of = {}, _shares(blocks)
    for name, module in modules.items():
        if not (share := share_of(name)):
            continue
        pair = [weights.layers.get(f"{order[name]}.to_{which}_ip.weight") for which in "kv"]
        fits = (module.to_k.weight.shape[0], unet.config["cross_attention_dim"])
        if any(weight is None or tuple(weight.shape) != fits for weight in pair):
            raise BadInput(f"The IP-Adapter in {name_of(weights.folder)} was made for another network: {name} differs.")
        keys, values = (as_network(weight, unet) for weight in pair if weight is not None)
        layers[name] = keys, share * values
    _check_blocks(blocks, layers, "no cross-attention", "down.1, mid, up.1")
    project = unet._convert_ip_adapter_image_proj_to_diffusers(weights.projection, low_cpu_mem_usage=False)
    if isinstance(picture, Face):
        tokens, empty = (as_network(each, unet) for each in picture.tokens(weights, project))
    else:
        pooled = "proj.weight" in weights.projection
        embeds, none = weights.clip(picture, pooled)
        none = torch.zeros_like(embeds) if pooled else none
        tokens, empty = (as_network(project(each), unet) for each in (embeds, none))
    return ImagePrompt(tokens.reshape(1, -1, tokens.shape[-1]), empty.reshape(1, -1, empty.shape[-1]), layers, mask)


def _flux_prompt(
    weights: IPAdapterWeights, picture: Image.Image, network: Any, blocks: tuple[str, ...], mask: Tensor | None
) -> Any:
    """Unconditional rows look at the embedding of black, as in the stock pipeline."""
    from torch.nn.functional import layer_norm, linear

    from sfumato.network.flux_image_prompts import FluxImagePrompt

    def project(embeds: Tensor) -> Tensor:
        names = ("proj.weight", "proj.bias", "norm.weight", "norm.bias")
        weight, bias, gain, offset = (weights.projection[name] for name in names)
        tokens = linear(embeds, weight, bias).unflatten(-1, (-1, len(gain)))
        return as_network(layer_norm(tokens, gain.shape, gain, offset), network)

    shape = (network.inner_dim, network.config["joint_attention_dim"])
    layers, share_of = {}, _shares(blocks)
    for i in range(len(network.transformer_blocks)):
        pairs = [tuple(weights.layers[f"{i}.to_{which}_ip.{name}"] for name in ("weight", "bias")) for which in "kv"]
        if any(tuple(weight.shape) != shape for weight, _ in pairs):
            raise ValueError(f"keys and values of its block {i} are not {shape[0]} x {shape[1]}.")
        if share := share_of(f"transformer_blocks.{i}"):
            keys, values = (tuple(as_network(a, network) for a in pair) for pair in pairs)
            layers[i] = keys, tuple(share * a for a in values)
    _check_blocks(blocks, layers, "no double blocks", "transformer.0, transformer.1")
    tokens, empty = (project(each) for each in weights.clip(picture, True))
    return FluxImagePrompt(tokens, empty, layers, mask)


def _sd3_prompt(
    weights: IPAdapterWeights, picture: Image.Image, network: Any, blocks: tuple[str, ...], mask: Tensor | None
) -> Any:
    from sfumato.network.sd3_image_prompts import SD3ImagePrompt

    made = network._convert_ip_adapter_attn_to_diffusers(weights.layers, low_cpu_mem_usage=False)
    layers, share_of = {}, _shares(blocks)
    for name, layer in made.items():
        if share := share_of(name):
            layers[name.removesuffix(".processor")] = as_network(layer.eval().requires_grad_(False), network)
            layer.scale = share
    _check_blocks(blocks, layers, "no attention", "transformer.0, transformer.1")
    project = network._convert_ip_adapter_image_proj_to_diffusers(weights.projection, low_cpu_mem_usage=False)
    embeds = as_network(siglip(weights.folder, picture, lambda seen: seen.hidden_states[-2]), network)
    own = as_network(project.eval().requires_grad_(False), network)
    return SD3ImagePrompt(embeds, torch.zeros_like(embeds), own, layers, mask)


PROMPTS: Mapping[str, Callable[..., Any]] = {
    "UNet2DConditionModel": _unet_prompt,
    "FluxTransformer2DModel": _flux_prompt,
    "SD3Transformer2DModel": _sd3_prompt,
}
"""What makes a prompt of a picture, by the class of the network that paints."""


def read_ip_adapter(folder: Path) -> IPAdapterWeights | Redux:
    """The IP-Adapter in a folder: one file, .safetensors or, where pickles are allowed, .bin, and image_encoder/; or
    FLUX.1 Redux, with image_embedder/. A file may be named itself, where several lie beside one image_encoder/."""
    if folder.is_file():
        return _ip_adapter(folder.parent, folder, folder.stat().st_mtime_ns)
    if (redux := read_redux(folder)) is not None:
        return redux
    files = _files(folder, ".safetensors") or [each for ending in PICKLES for each in _files(folder, ending)]
    if len(files) != 1:
        raise BadInput(
            f"The folder {name_of(folder)} holds {len(files)} files of weights: an IP-Adapter is one (.safetensors), "
            "and image_encoder/ beside it; of several name the one."
        )
    return _ip_adapter(folder, files[0], files[0].stat().st_mtime_ns)


def _files(folder: Path, ending: str) -> list[Path]:
    found = (path for path in sorted(folder.glob(f"*{ending}")) if path.is_file())
    return [path for path in found if not path.stem.endswith("_lora")]  # as FaceID's makers have it beside


@lru_cache(maxsize=4)
def _ip_adapter(folder: Path, file: Path, stamp: int) -> IPAdapterWeights:
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in tensors_of(file, "IP-Adapter", pickles_allowed()).items():
        part, _, name = key.partition(".")
        if part not in PARTS:
            raise BadInput(f"{name_of(file)} has {printable(key, 80)}, which no IP-Adapter has.")
        for theirs, ours in XLABS.items():
            name = name.replace(theirs, ours)
        parts[PARTS[part]][name] = value.float()
    if not all(parts.values()):
        raise BadInput(f"{name_of(file)} is no IP-Adapter: it needs image_proj.* and ip_adapter.*.")
    return IPAdapterWeights(folder, parts["image_proj"], parts["ip_adapter"])


def _check_blocks(blocks: tuple[str, ...], found: Mapping[Any, Any], lacks: str, names: str) -> None:
    if blocks and not found:
        raise BadInput(f"The network has {lacks} in {', '.join(blocks)}: name blocks as {names}.")


def _shares(blocks: tuple[str, ...]) -> Callable[[str], float]:
    """How much a module takes part, by its name: 0 outside the blocks, which are said as down.1, mid, up.1, or
    transformer.0, with a weight as up.1=0.5; of several that it lies in the longest name counts. 1 where no blocks are
    said."""
    shares: dict[str, float] = {}
    for block in blocks:
        said, equals, weight = block.partition("=")
        try:
            shares[said.strip()] = float(weight) if equals else 1.0
        except ValueError:
            sentence = f"{printable(repr(block), 60)} is no block: give its name, or NAME=WEIGHT, as up.1=0.5."
            raise BadInput(sentence) from None

    def share(name: str) -> float:
        short = name.replace("_blocks", "").replace("_block", "")
        within = [said for said in shares if short == said or short.startswith(f"{said}.")]
        return shares[max(within, key=len)] if within else float(not blocks)

    return share
