"""ComfyUI: the graph in `prompt`, where it is a plain one: a model, a text or two, empty latents, one sampler, or two
with the latents enlarged between them, or of which the second is a refiner.

Of a model of flow matching (Stable Diffusion 3, FLUX.1, Qwen-Image, Z-Image) the noise levels are shifted as ComfyUI
shifts them: by the graph's ModelSampling node, else by what it takes for the kind of model that the graph names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.emphasis import FromEmpty
from sfumato.noise import TorchNoise
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.emphasis import unjoined
from sfumato.recipe.prompt.foreign import escaped
from sfumato.recipe.replay.comfyui_graph import (
    CHECKPOINTS,
    ENCODERS,
    FLUX,
    LATENTS,
    LORAS,
    NETWORKS,
    SHIFTS,
    TEXTS,
    XL,
    XL_REFINER,
    Node,
    Nodes,
    nodes_of,
)
from sfumato.recipe.replay.comfyui_walks import BELOW, NAMES, enlarged, walk_of, walks_of
from sfumato.recipe.replay.said import IN_TAU, TREES, WIDEST, Said, number, steps_in, tag, whole

FLUX_TABLE, FLUX_MU, FLUX_GUIDANCE = 10_000, 1.15, 3.5
KINDS = {
    "flux": (math.exp(FLUX_MU), FLUX_TABLE),
    "qwen_image": (math.exp(FLUX_MU), FLUX_TABLE),
    "sd3": (3.0, 1000),
    "lumina2": (3.0, 1000),
    "schnell": (1.0, 1000),
}
"""The shift and the size of the table that ComfyUI takes for a kind of model, as a loader of text encoders calls it."""


def read_comfyui(text: str) -> Said:
    """What a plain graph says. Raises BadInput for any other, with the kind of node that makes it so."""
    graph = nodes_of(text)
    walks = walks_of(graph)
    first, last = walks.first, walks.last
    if number(first, "denoise", 1.0) != 1:
        raise BadInput("it was painted over another picture (denoise below 1), which is not replayed")
    begun, words = _words(graph, first), _words(graph, last)
    latent = graph.at(first.get("latent_image"), *LATENTS)
    size = whole(latent, "width"), whole(latent, "height")
    hires, ends = (None, size) if walks.upscale is None else enlarged(graph, walks, size)
    drawn = graph.chain(first.get("model"), "model", (*LORAS, *SHIFTS), NETWORKS)
    refiner = "" if walks.switch is None else _refiner(graph, last, drawn, begun, words)
    if not refiner and (words.distilled, words.clip) != (begun.distilled, begun.clip):
        raise BadInput("its second KSampler reads its words or tells its guidance otherwise than its first")
    read = graph.chain(begun.clip, "clip", ("LoraLoader", "CLIPSetLastLayer"), (*ENCODERS, *CHECKPOINTS))
    painted, heard = _loras(drawn, "strength_model"), _loras(read, "strength_clip")
    skip = next((-whole(inputs, "stop_at_clip_layer") for kind, inputs in read if kind == "CLIPSetLastLayer"), 1)
    tags = [
        tag(name, f"te={heard.get(name, 0.0):g}", f"unet={painted.get(name, 0.0):g}")
        for name in dict.fromkeys((*painted, *heard))
    ]
    kind = _kind(graph, drawn[-1][1], read[-1])
    stepped = first.get("stepped", first.get("model"))
    shift, table = _shift(kind, graph.chain(stepped, "model", (*LORAS, *SHIFTS), NETWORKS), size)
    both = ((first, begun), (last, words))
    begin, walk = (walk_of(inputs, shift, table) | said.told(tags, shift is not None) for inputs, said in both)
    remarks = [*_remarks(graph, (words, begun), latent, size, flows=bool(kind))]
    for named in dict.fromkeys((begin["sampler"], walk["sampler"])):
        if named == NAMES["deis"]:
            remarks.append("ComfyUI's deis fits its polynomials over another time than ours")
        if named == NAMES["lms"]:
            remarks.append("ComfyUI's lms takes the picture for its last step, where it goes on with four answers here")
        if shift is not None and named not in (*IN_TAU, *TREES):
            remarks.append(f"ComfyUI measures the steps of {named} in flow matching otherwise than here")
    network = drawn[-1][1]
    return Said(
        "ComfyUI",
        steps=steps_in(last, "steps"),
        **walk,
        first=begin if begin != walk else {},
        distilled=(FLUX_GUIDANCE if words.distilled is None else words.distilled) if kind == "flux" else None,
        shift=shift,
        seed=whole(first, "seed"),
        size=ends,
        clip_skip=max(skip, 1),
        emphasis=FromEmpty(),
        model=_named(network),
        vae=next((str(inputs.get("vae_name")) for _, inputs in graph.all("VAELoader")), ""),
        apart=read[-1][0] in ENCODERS,
        noise=TorchNoise(),
        later=False,  # on the device that it runs on
        unit=first.get("scheduler") != BELOW,  # sqrt(1 + sigma^2) z at the highest noise level
        hires=hires,
        refiner=refiner,
        switch=walks.switch,
        remarks=tuple(remarks),
    )


def _named(network: Node) -> str:
    return str(network.get("ckpt_name", network.get("unet_name", "")))


def plainly(text: str) -> str:
    """A text as a prompt here that says the same: brackets and weights in them mean what they mean there, and nothing
    else means anything."""
    text = re.sub(r"[\[\]]|\\(?![()])", r"\\\g<0>", text)
    return unjoined(escaped(text, embeddings=False))


@dataclass(frozen=True)
class SamplerTexts:
    """What a sampler is told: two texts, the link to what reads them, and the scales of both kinds of guidance; nodes:
    the kinds and inputs of the nodes that hold the texts."""

    prompt: str
    negative: str
    clip: Any
    scale: float
    distilled: float | None
    nodes: Sequence[tuple[str, Node]]

    def told(self, tags: Sequence[str], flows: bool) -> dict[str, Any]:
        """As `Said` has it. tags: LoRAs, as a prompt names them. flows: whether the model is one of flow matching."""
        prompt, negative = (plainly(text) for text in (self.prompt, self.negative))
        if self.scale != 1 and not flows:  # no words are read as a text, where other tools have zeros for XL
            negative = negative or " "
        return {"prompt": " ".join((prompt, *tags)), "negative": negative, "scale": self.scale}


def _words(graph: Nodes, sampler: Node) -> SamplerTexts:
    scale = number(sampler, "cfg", 1.0)
    positive, distilled = _text(graph, sampler.get("positive"))
    unsaid = ("ConditioningZeroOut",) if scale == 1 else ()
    negative, _ = (positive, None) if "negative" not in sampler else _text(graph, sampler["negative"], *unsaid)
    heard = _said(*negative) if scale != 1 else ""
    return SamplerTexts(_said(*positive), heard, positive[1].get("clip"), scale, distilled, (positive, negative))


def _text(graph: Nodes, link: Any, *zeros: str) -> tuple[tuple[str, Node], float | None]:
    """The text that a link leads to, and the scale that a network is told on the way. zeros: nodes that put zeros in
    the place of a text, where that changes nothing."""
    way = graph.chain(link, "conditioning", ("FluxGuidance", *zeros), TEXTS)
    told = next((number(inputs, "guidance", FLUX_GUIDANCE) for _, inputs in way if "guidance" in inputs), None)
    return way[-1], told


def _said(kind: str, inputs: Node) -> str:
    """The words of a text. Raises BadInput where each of two encoders is told others."""
    names = {XL: ("text_g", "text_l"), FLUX: ("t5xxl", "clip_l")}.get(kind, ("text",))
    said = [str(inputs.get(name, "")) for name in names]
    if len(set(said)) > 1:
        raise BadInput(f"its {kind} tells its two text encoders different words, which is not replayed")
    return said[0]


def _refiner(graph: Nodes, last: Node, drawn: list[tuple[str, Node]], begun: SamplerTexts, words: SamplerTexts) -> str:
    """The name of the model that goes on. Raises BadInput where it is the same, is changed, or is told other words."""
    way = graph.chain(last.get("model"), "model", (), NETWORKS)
    if (name := _named(way[-1][1])) == _named(drawn[-1][1]):
        raise BadInput("its two KSamplerAdvanced have one model, which is not replayed")
    graph.chain(words.clip, "clip", (), CHECKPOINTS)
    if (words.prompt, words.negative) != (begun.prompt, begun.negative):
        raise BadInput("its refiner is told other words than the model before it, which is not replayed")
    return name


def _loras(way: list[tuple[str, Node]], strength: str) -> dict[str, float]:
    """The LoRAs on a way by name, with their strengths."""
    found: dict[str, float] = {}
    for kind, inputs in way:
        if kind in LORAS:
            name = str(inputs.get("lora_name"))
            found[name] = found.get(name, 0.0) + number(inputs, strength, 1.0)
    return found


def _kind(graph: Nodes, network: Node, read: tuple[str, Node]) -> str:
    """The kind of model as `KINDS` calls it, "schnell" for FLUX.1 [schnell], "" for one that is no flow. read: what
    encodes the texts."""
    loader, inputs = read
    name = _named(network).lower()
    flows = bool(graph.all("EmptySD3LatentImage"))
    if loader in ENCODERS:
        kind = "sd3" if loader == "TripleCLIPLoader" else str(inputs.get("type", ""))
    elif graph.all("FluxGuidance", FLUX) or (flows and "flux" in name):
        kind = "flux"
    else:
        kind = "sd3" if flows else ""
    return "schnell" if kind == "flux" and "schnell" in name else kind


def _shift(kind: str, way: list[tuple[str, Node]], size: tuple[int, int]) -> tuple[float | None, int]:
    """The shift of flow matching, None of a model of another kind, and the size of its table. way: the nodes from what
    makes the noise levels to the network."""
    for node, inputs in way:
        if node == "ModelSamplingFlux":
            low, high = number(inputs, "base_shift", 0.5), number(inputs, "max_shift", 1.15)
            wide, tall = (whole(inputs, *each) for each in (("width", size[0]), ("height", size[1])))
            if not 0 < max(wide, tall) <= WIDEST:
                raise BadInput(
                    f"its ModelSamplingFlux is for {printable(wide, 20)}x{printable(tall, 20)}, which is no size"
                )
            mu = low + (high - low) * (wide * tall / 256 - 256) / (4096 - 256)
            return _shifted(math.exp(min(mu, 100.0))), FLUX_TABLE
        if node in SHIFTS:
            return _shifted(number(inputs, "shift", 3.0)), 1000
    return KINDS.get(kind, (None, 1000))


def _shifted(shift: float) -> float:
    """Raises BadInput for a shift that no flow has."""
    if not 1e-3 <= shift <= 1000:
        raise BadInput(f"its shift is {shift:g}: from 0.001 to 1000 are replayed")
    return shift


def _remarks(
    graph: Nodes, told: Sequence[SamplerTexts], latent: Node, size: tuple[int, int], flows: bool
) -> Iterator[str]:
    """What is done otherwise here. flows: whether the model is one of flow matching, which has a T5 or a chat model."""
    texts = [text for each in told for text in (each.prompt, each.negative)]
    if flows and any(re.search(r"(?<!\\)\(", text) for text in texts):
        yield "ComfyUI lets T5 read words in brackets apart from the others, and here it reads the text as a whole"
    if whole(latent, "batch_size", 1) > 1:
        yield "it is one of a batch, of which the first is painted"
    nodes = [(kind, inputs, bad) for each in told for (kind, inputs), bad in zip(each.nodes, (0, 1), strict=True)]
    sizes = ("width", "height", "crop_w", "crop_h", "target_width", "target_height")
    if any(kind == XL and [inputs.get(name) for name in sizes] != [*size, 0, 0, *size] for kind, inputs, _ in nodes):
        yield f"ComfyUI told Stable Diffusion XL sizes of its own, and here it is told {size[0]} x {size[1]}, uncropped"
    if any(kind == XL_REFINER and number(inputs, "ascore", 6.0) != (6.0, 2.5)[bad] for kind, inputs, bad in nodes):
        yield "ComfyUI told the refiner aesthetic scores of its own, and here they are 6 and 2.5 of what is unwanted"
