"""ComfyUI: the graph in `prompt`, where it is the plain one: a checkpoint, two texts, empty latents, one KSampler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sfumato.noise import TorchNoise
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.foreign import escaped
from sfumato.recipe.replay.said import Said, number, tag, whole

SAMPLERS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "lms": "LMS",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
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
    "uni_pc_bh2": "UniPC",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "lcm": "LCM",
}
DISCARDING = ("dpm_2", "dpm_2_ancestral", "uni_pc_bh2")
"""Samplers whose schedule is one of a step more without its last level but one."""
SCHEDULERS = {
    "normal": "linspace",
    "karras": "karras",
    "exponential": "exponential",
    "sgm_uniform": "sgm-uniform",
    "simple": "simple",
    "ddim_uniform": "leading",
    "beta": "beta",
    "kl_optimal": "kl-optimal",
}
CHECKPOINTS = ("CheckpointLoaderSimple", "CheckpointLoader")
LORAS = ("LoraLoader", "LoraLoaderModelOnly")
SHOWN = ("VAEDecode", "SaveImage", "PreviewImage", "VAELoader", "Note", "MarkdownNote")
PLAIN = ("KSampler", "CLIPTextEncode", "EmptyLatentImage", "CLIPSetLastLayer", *LORAS, *CHECKPOINTS, *SHOWN)
Node = Mapping[str, Any]


def read_comfyui(text: str) -> Said:
    """What a plain graph says. Raises BadInput for any other, with the kind of node that makes it so."""
    try:
        graph: dict[str, Any] = json.loads(text)
        nodes = {str(key): (str(node["class_type"]), dict(node["inputs"])) for key, node in graph.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput("its ComfyUI graph can't be read") from None
    strange = sorted({kind for kind, _ in nodes.values() if kind not in PLAIN})
    if strange:
        raise BadInput(f"its ComfyUI graph has {printable(', '.join(strange), 200)}: plain graphs alone are replayed")
    samplers = [inputs for kind, inputs in nodes.values() if kind == "KSampler"]
    if len(samplers) != 1:
        raise BadInput(f"its ComfyUI graph has {len(samplers)} KSamplers: those of one are replayed")
    (sampler,) = samplers
    if number(sampler, "denoise", 1.0) != 1:
        raise BadInput("it was painted over another picture (denoise below 1), which is not replayed")

    def node(value: Any, *kinds: str) -> Node:
        """The inputs of the node that a link leads to."""
        kind, inputs = nodes.get(str(value[0]) if isinstance(value, list) and value else "", ("nothing", {}))
        if kind not in kinds:
            raise BadInput(f"its ComfyUI graph has {kind} where {' or '.join(kinds)} is read")
        return inputs

    positive, negative = (node(sampler.get(which), "CLIPTextEncode") for which in ("positive", "negative"))
    latent = node(sampler.get("latent_image"), "EmptyLatentImage")

    def chain(value: Any, strength: str, *others: str) -> tuple[dict[str, float], list[Node]]:
        """The LoRAs on the way to the checkpoint by name, with their strengths, and the other nodes on that way."""
        found, passed = {}, []
        for _ in range(len(nodes)):
            kind = nodes.get(str(value[0]) if isinstance(value, list) and value else "", ("nothing", {}))[0]
            inputs = node(value, *LORAS, *others, *CHECKPOINTS)
            if kind in CHECKPOINTS:
                break
            if kind in LORAS:
                name = str(inputs.get("lora_name"))
                found[name] = found.get(name, 0.0) + number(inputs, strength, 1.0)
            else:
                passed.append(inputs)
            value = inputs.get(strength.removeprefix("strength_"))
        return found, passed

    painted, _ = chain(sampler.get("model"), "strength_model")
    read, skips = chain(positive.get("clip"), "strength_clip", "CLIPSetLastLayer")
    skip = -whole(skips[0], "stop_at_clip_layer") if skips else 1
    tags = [
        tag(name, f"te={read.get(name, 0.0):g}", f"unet={painted.get(name, 0.0):g}")
        for name in dict.fromkeys((*painted, *read))
    ]
    checkpoint = next((inputs for kind, inputs in nodes.values() if kind in CHECKPOINTS), {})
    named, scheduler = str(sampler.get("sampler_name")), str(sampler.get("scheduler"))
    if named not in SAMPLERS or scheduler not in SCHEDULERS:
        what, known = ("sampler", SAMPLERS) if named not in SAMPLERS else ("scheduler", SCHEDULERS)
        shown = named if what == "sampler" else scheduler
        raise BadInput(f"the {what} {printable(shown, 60)!r} is not here: known are {', '.join(known)}")
    remarks = []
    vae = next((str(inputs.get("vae_name")) for kind, inputs in nodes.values() if kind == "VAELoader"), "")
    prompts = str(positive.get("text", "")), str(negative.get("text", ""))
    if any(":" in prompt and "(" in prompt for prompt in prompts):
        remarks.append("ComfyUI applies weights of words otherwise than here")
    if whole(latent, "batch_size", 1) > 1:
        remarks.append("it is one of a batch, of which the first is painted")
    return Said(
        "ComfyUI",
        " ".join((escaped(prompts[0], embeddings=False), *tags)),
        escaped(prompts[1], embeddings=False),
        steps=whole(sampler, "steps"),
        sampler=SAMPLERS[named],
        schedule=SCHEDULERS[scheduler],
        discards=named in DISCARDING,
        scale=number(sampler, "cfg", 7.0),
        seed=whole(sampler, "seed"),
        size=(whole(latent, "width"), whole(latent, "height")),
        clip_skip=max(skip, 1),
        model=str(checkpoint.get("ckpt_name", "")),
        vae=vae,
        noise=TorchNoise(),
        later=False,  # on the device that it runs on
        unit=True,  # sqrt(1 + sigma^2) z at the highest noise
        remarks=tuple(remarks),
    )
