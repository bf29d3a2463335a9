"""ComfyUI: the graph in `prompt`, where it is a plain one: a model, a text or two, empty latents, one sampler, or two
with the latents enlarged between them.

Of a model of flow matching (Stable Diffusion 3, FLUX.1, Qwen-Image, Z-Image) the noise levels are shifted as ComfyUI
shifts them: by the graph's ModelSampling node, else by what it takes for the kind of model that the graph names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.edit import HiresFix
from sfumato.noise import TorchNoise
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.foreign import escaped
from sfumato.recipe.replay.said import IN_TAU, TREES, Said, number, sampler_of, tag, whole

SAMPLERS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "lms": "LMS",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_gpu": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_gpu": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_2m_sde_heun_gpu": "DPM++ 2M SDE Heun",
    "res_multistep": "Res Multistep",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_3m_sde_gpu": "DPM++ 3M SDE",
    "ddim": "Euler",  # as ComfyUI runs it
    "uni_pc": "UniPC",
    "uni_pc_bh2": "unipc-bh2",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "lcm": "LCM",
}
DISCARDING = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
"""Samplers for which a KSampler takes a schedule of a step more without its last level but one."""
SCHEDULERS = {
    "normal": "linspace",
    "karras": "karras",
    "exponential": "log-snr",
    "sgm_uniform": "sgm-uniform",
    "simple": "simple",
    "ddim_uniform": "leading",
    "beta": "beta",
    "kl_optimal": "kl-optimal",
    "linear_quadratic": "linear-quadratic-kappa",
}
WHOLE = ("normal", "karras", "exponential", "kl_optimal")
"""Schedules from the model's highest noise level to its lowest."""
BELOW = "ddim_uniform"
"""The schedule that begins below the model's highest noise level, with sigma z."""
CHECKPOINTS = ("CheckpointLoaderSimple", "CheckpointLoader")
NETWORKS = (*CHECKPOINTS, "UNETLoader", "UnetLoaderGGUF")
ENCODERS = ("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "CLIPLoaderGGUF", "DualCLIPLoaderGGUF")
LORAS = ("LoraLoader", "LoraLoaderModelOnly")
SHIFTS = ("ModelSamplingSD3", "ModelSamplingAuraFlow", "ModelSamplingFlux")
LATENTS = ("EmptyLatentImage", "EmptySD3LatentImage")
ENLARGED = {"nearest-exact": "latent-nearest-exact", "bilinear": "latent", "bicubic": "latent-bicubic"}
"""Ways to enlarge latents, as an upscaling node calls them."""
UPSCALES = ("LatentUpscale", "LatentUpscaleBy")
CELL = 8
APART = ("SamplerCustomAdvanced", "RandomNoise", "KSamplerSelect", "BasicScheduler", "BasicGuider", "CFGGuider")
SHOWN = ("VAEDecode", "SaveImage", "PreviewImage", "VAELoader", "Note", "MarkdownNote")
PLAIN = (
    *("KSampler", "CLIPTextEncode", "CLIPSetLastLayer", "FluxGuidance", "ConditioningZeroOut"),
    *(*NETWORKS, *ENCODERS, *LORAS, *SHIFTS, *LATENTS, *UPSCALES, *APART, *SHOWN),
)
FLUX_TABLE, FLUX_MU, FLUX_GUIDANCE = 10_000, 1.15, 3.5
KINDS = {
    "flux": (math.exp(FLUX_MU), FLUX_TABLE),
    "qwen_image": (math.exp(FLUX_MU), FLUX_TABLE),
    "sd3": (3.0, 1000),
    "lumina2": (3.0, 1000),
    "schnell": (1.0, 1000),
}
"""The shift and the size of the table that ComfyUI takes for a kind of model, as a loader of text encoders calls it."""
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes by their names: the kind of each, and its inputs."""

    by_name: Mapping[str, tuple[str, Node]]

    def kind(self, link: Any) -> str:
        """The kind of the node that a link leads to, or "nothing"."""
        return self.by_name.get(str(link[0]) if isinstance(link, list) and link else "", ("nothing", {}))[0]

    def at(self, link: Any, *kinds: str) -> Node:
        """The inputs of the node that a link leads to. Raises BadInput where it is none of those kinds."""
        if (kind := self.kind(link)) not in kinds:
            raise BadInput(f"its ComfyUI graph has {printable(kind, 60)} where {' or '.join(kinds)} is read")
        return self.by_name[str(link[0])][1]

    def all(self, *kinds: str) -> list[Node]:
        """The inputs of all nodes of those kinds."""
        return [inputs for kind, inputs in self.by_name.values() if kind in kinds]

    def chain(self, link: Any, along: str, passed: tuple[str, ...], ends: tuple[str, ...]) -> list[tuple[str, Node]]:
        """The nodes on the way from a link, against the inputs called `along`, to one of `ends`, with that one."""
        found = []
        for _ in range(len(self.by_name)):
            inputs = self.at(link, *passed, *ends)
            found.append((self.kind(link), inputs))
            if self.kind(link) in ends:
                return found
            link = inputs.get(along)
        raise BadInput("its ComfyUI graph goes round in circles")


def read_comfyui(text: str) -> Said:
    """What a plain graph says. Raises BadInput for any other, with the kind of node that makes it so."""
    graph = _nodes(text)
    sampler, upscale, first = _sampler(graph)
    if number(first, "denoise", 1.0) != 1:
        raise BadInput("it was painted over another picture (denoise below 1), which is not replayed")
    words, begun = _words(graph, sampler), _words(graph, first)
    if (words.distilled, words.clip) != (begun.distilled, begun.clip):
        raise BadInput("its second KSampler reads its words or tells its guidance otherwise than its first")
    latent = graph.at(first.get("latent_image"), *LATENTS)
    size = whole(latent, "width"), whole(latent, "height")
    hires, ends = (None, size) if upscale is None else _hires(graph, upscale, sampler, first, size)
    drawn = graph.chain(sampler.get("model"), "model", (*LORAS, *SHIFTS), NETWORKS)
    read = graph.chain(words.clip, "clip", ("LoraLoader", "CLIPSetLastLayer"), (*ENCODERS, *CHECKPOINTS))
    painted, heard = _loras(drawn, "strength_model"), _loras(read, "strength_clip")
    skip = next((-whole(inputs, "stop_at_clip_layer") for kind, inputs in read if kind == "CLIPSetLastLayer"), 1)
    tags = [
        tag(name, f"te={heard.get(name, 0.0):g}", f"unet={painted.get(name, 0.0):g}")
        for name in dict.fromkeys((*painted, *heard))
    ]
    kind = _kind(graph, drawn[-1][1], read[-1])
    stepped = sampler.get("stepped", sampler.get("model"))
    shift, table = _shift(kind, graph.chain(stepped, "model", (*LORAS, *SHIFTS), NETWORKS), size)
    walk, begin = (_walk(inputs, shift, table) | said.told(tags) for inputs, said in ((sampler, words), (first, begun)))
    remarks = _remarks(graph, (words.prompt, words.negative, begun.prompt, begun.negative), latent)
    for named in dict.fromkeys((begin["sampler"], walk["sampler"])):
        if named == SAMPLERS["deis"]:
            remarks.append("ComfyUI's deis fits its polynomials over another time than ours")
        if shift is not None and named not in (*IN_TAU, *TREES):
            remarks.append(f"ComfyUI measures the steps of {named} in flow matching otherwise than here")
    network = drawn[-1][1]
    return Said(
        "ComfyUI",
        steps=whole(sampler, "steps"),
        **walk,
        first=begin if begin != walk else {},
        distilled=(FLUX_GUIDANCE if words.distilled is None else words.distilled) if kind == "flux" else None,
        shift=shift,
        seed=whole(first, "seed"),
        size=ends,
        clip_skip=max(skip, 1),
        model=str(network.get("ckpt_name", network.get("unet_name", ""))),
        vae=next((str(inputs.get("vae_name")) for inputs in graph.all("VAELoader")), ""),
        apart=read[-1][0] in ENCODERS,
        noise=TorchNoise(),
        later=False,  # on the device that it runs on
        unit=first.get("scheduler") != BELOW,  # sqrt(1 + sigma^2) z at the highest noise level
        hires=hires,
        remarks=tuple(remarks),
    )


def _walk(inputs: Node, shift: float | None, table: int) -> dict[str, Any]:
    """What a sampler's inputs say of its walk, as `Said` has it. Raises BadInput for one that is not replayed."""
    named, scheduler = str(inputs.get("sampler_name")), str(inputs.get("scheduler"))
    if named not in SAMPLERS or scheduler not in SCHEDULERS:
        what, known = ("sampler", SAMPLERS) if named not in SAMPLERS else ("scheduler", SCHEDULERS)
        shown = named if what == "sampler" else scheduler
        raise BadInput(f"the {what} {printable(shown, 60)!r} is not here: known are {', '.join(known)}")
    if sampler_of(SAMPLERS[named]).own_schedule is not None and scheduler not in WHOLE:
        raise BadInput(f"{named} with the scheduler {scheduler} is not replayed: known with it are {', '.join(WHOLE)}")
    if shift is not None and scheduler in ("normal", "sgm_uniform"):  # from 1 to the least sigma, as if it were a time
        table = round((table + shift - 1) / shift)
    discards = named in DISCARDING and "stepped" not in inputs
    return {"sampler": SAMPLERS[named], "schedule": SCHEDULERS[scheduler], "discards": discards, "table": table}


def _nodes(text: str) -> Nodes:
    """Raises BadInput for a text that holds no graph, and for one with nodes that are not read."""
    try:
        said: dict[str, Any] = json.loads(text)
        nodes = {str(key): (str(node["class_type"]), dict(node["inputs"])) for key, node in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput("its ComfyUI graph can't be read") from None
    if strange := sorted({kind for kind, _ in nodes.values() if kind not in PLAIN}):
        raise BadInput(f"its ComfyUI graph has {printable(', '.join(strange), 200)}: plain graphs alone are replayed")
    return Nodes(nodes)


def _sampler(graph: Nodes) -> tuple[Node, Any, Node]:
    """The inputs of the one sampler, those of a SamplerCustomAdvanced's parts by the names that a KSampler has; and of
    two KSamplers the last, the link to what enlarges the latents between them, and the first. Of one it is both."""
    samplers = graph.all("KSampler", "SamplerCustomAdvanced")
    if len(samplers) == 2 and (last := next((each for each in samplers if _enlarges(graph, each)), None)) is not None:
        link = last["latent_image"]
        return last, link, graph.at(graph.at(link, *UPSCALES).get("samples"), "KSampler")
    if len(samplers) != 1:
        raise BadInput(
            f"its ComfyUI graph has {len(samplers)} KSamplers: those of one are replayed, or of two with "
            f"{' or '.join(UPSCALES)} between them"
        )
    (sampler,) = samplers
    if "sampler" not in sampler:
        return sampler, None, sampler
    guider = graph.at(sampler.get("guider"), "BasicGuider", "CFGGuider")
    found = {
        **(levels := graph.at(sampler.get("sigmas"), "BasicScheduler")),
        "stepped": levels.get("model"),  # whose noise levels they are
        **({"positive": guider.get("conditioning")} if "conditioning" in guider else {"cfg": 1.0}),
        **guider,
        **graph.at(sampler.get("sampler"), "KSamplerSelect"),
        "seed": graph.at(sampler.get("noise"), "RandomNoise").get("noise_seed"),
        "latent_image": sampler.get("latent_image"),
    }
    return found, None, found


def _enlarges(graph: Nodes, sampler: Node) -> bool:
    return graph.kind(sampler.get("latent_image")) in UPSCALES


def _hires(
    graph: Nodes, upscale: Any, last: Node, first: Node, size: tuple[int, int]
) -> tuple[HiresFix, tuple[int, int]]:
    """The first walk of two, and the size that the second ends at. Raises BadInput where they have two models, and for
    another way to enlarge."""
    if last.get("model") != first.get("model"):
        raise BadInput("its second KSampler has another model than its first, which is not replayed")
    if min(size) < CELL:
        raise BadInput(f"it begins at {size[0]}x{size[1]}, which is no size")
    inputs = graph.at(upscale, *UPSCALES)
    if graph.kind(upscale) == "LatentUpscaleBy":
        if not 1 < (by := number(inputs, "scale_by", 1.5)) <= 8:
            raise BadInput(f"its latents are enlarged {by:g} times: above 1 and up to 8 are replayed")
        ends = [round(side // CELL * by) * CELL for side in size]
    else:
        ends = [whole(inputs, name) // CELL * CELL for name in ("width", "height")]
    way = str(inputs.get("upscale_method"))
    if way not in ENLARGED:
        raise BadInput(f"its latents are enlarged by {printable(way, 60)}: known are {', '.join(ENLARGED)}")
    scale, strength = max(end / side for end, side in zip(ends, size, strict=True)), number(last, "denoise", 1.0)
    if not (1 < scale <= 8 and 0 < strength <= 1):
        raise BadInput(f"its second KSampler enlarges by {scale:g} and denoises {strength:g}, which is not replayed")
    seed, own = whole(last, "seed"), whole(first, "seed")
    fix = HiresFix(
        scale,
        strength,
        ENLARGED[way],
        of="steps",
        first_steps=whole(first, "steps"),
        seed=seed if seed != own else None,
        unit=first.get("scheduler") != BELOW,
    )
    width, height = ends
    if fix.first_size((width, height), CELL) != size:
        raise BadInput(f"it goes from {size[0]}x{size[1]} to {width}x{height}, which cuts or stretches the picture")
    return fix, (width, height)


@dataclass(frozen=True)
class Words:
    """What a sampler is told: two texts, the link to what reads them, and the scales of both kinds of guidance."""

    prompt: str
    negative: str
    clip: Any
    scale: float
    distilled: float | None

    def told(self, tags: Sequence[str]) -> dict[str, Any]:
        """As `Said` has it. tags: LoRAs, as a prompt names them."""
        prompt, negative = (escaped(text, embeddings=False) for text in (self.prompt, self.negative))
        return {"prompt": " ".join((prompt, *tags)), "negative": negative, "scale": self.scale}


def _words(graph: Nodes, sampler: Node) -> Words:
    scale = number(sampler, "cfg", 1.0)
    positive, distilled = _text(graph, sampler.get("positive"))
    unsaid = ("ConditioningZeroOut",) if scale == 1 else ()
    negative, _ = (positive, None) if "negative" not in sampler else _text(graph, sampler["negative"], *unsaid)
    heard = str(negative.get("text", "")) if scale != 1 else ""
    return Words(str(positive.get("text", "")), heard, positive.get("clip"), scale, distilled)


def _text(graph: Nodes, link: Any, *zeros: str) -> tuple[Node, float | None]:
    """The text that a link leads to, and the scale that a network is told on the way. zeros: nodes that put zeros in
    the place of a text, where that changes nothing."""
    way = graph.chain(link, "conditioning", ("FluxGuidance", *zeros), ("CLIPTextEncode",))
    told = next((number(inputs, "guidance", FLUX_GUIDANCE) for kind, inputs in way if kind == "FluxGuidance"), None)
    return way[-1][1], told


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
    name = str(network.get("unet_name", network.get("ckpt_name", ""))).lower()
    flows = bool(graph.all("EmptySD3LatentImage"))
    if loader in ENCODERS:
        kind = "sd3" if loader == "TripleCLIPLoader" else str(inputs.get("type", ""))
    elif graph.all("FluxGuidance") or (flows and "flux" in name):
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
            wide, tall = whole(inputs, "width", size[0]), whole(inputs, "height", size[1])
            mu = low + (high - low) * (wide * tall / 256 - 256) / (4096 - 256)
            return _shifted(math.exp(min(mu, 100.0))), FLUX_TABLE
        if node in SHIFTS:
            return _shifted(number(inputs, "shift", 3.0)), 1000
    return KINDS.get(kind, (None, 1000))


def _shifted(shift: float) -> float:
    """Raises BadInput for a shift that no flow has."""
    if not 0 < shift <= 1000:
        raise BadInput(f"its shift is {shift:g}: above 0 and up to 1000 are replayed")
    return shift


def _remarks(graph: Nodes, prompts: Sequence[str], latent: Node) -> list[str]:
    """What is done otherwise here."""
    remarks = []
    if any(":" in prompt and "(" in prompt for prompt in prompts):
        remarks.append("ComfyUI applies weights of words otherwise than here")
    if whole(latent, "batch_size", 1) > 1:
        remarks.append("it is one of a batch, of which the first is painted")
    return remarks
