"""InvokeAI: the JSON in `invokeai_metadata`."""

from __future__ import annotations

import json
import re
from typing import Any

from sfumato.noise import A1111GpuNoise, TorchNoise
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt import literal
from sfumato.recipe.replay.said import Said, long, number, steps_in, tag, whole

SCHEDULERS = {
    "euler": ("Euler", "linspace"),
    "euler_k": ("Euler", "karras"),
    "euler_a": ("Euler a", "linspace"),
    "heun": ("Heun", "linspace"),
    "heun_k": ("Heun", "karras"),
    "lms": ("LMS", "linspace"),
    "lms_k": ("LMS", "karras"),
    "pndm": ("PLMS", "leading"),
    "kdpm_2": ("DPM2", "linspace"),
    "kdpm_2_k": ("DPM2", "karras"),
    "kdpm_2_a": ("DPM2 a", "linspace"),
    "kdpm_2_a_k": ("DPM2 a", "karras"),
    "dpmpp_sde": ("DPM++ SDE", "linspace"),
    "dpmpp_sde_k": ("DPM++ SDE", "karras"),
    "dpmpp_2m": ("DPM++ 2M", "sgm-uniform"),
    "dpmpp_2m_k": ("DPM++ 2M", "karras"),
    "dpmpp_2m_sde": ("DPM++ 2M SDE", "sgm-uniform"),
    "dpmpp_2m_sde_k": ("DPM++ 2M SDE", "karras"),
    "ddim": ("DDIM", "leading"),
    "ddpm": ("DDPM", "leading"),
    "deis": ("DEIS", "sgm-uniform"),
    "unipc": ("unipc", "sgm-uniform"),
}
REFUSED = (
    "controlnets",
    "ipAdapters",
    "t2iAdapters",
    "control_layers",
    "canvas_v2_metadata",
    "refiner_model",
    "hrf_enabled",
)
XL = "sdxl_txt2img"
MODES = ("txt2img", XL)
ENDS = ("DDIM", "PLMS", "DEIS")
"""Samplers that end at the first index of the table."""
LEARNED = re.compile(r"<[\w. -]+>")
MARKED = re.compile(r"[()]|\w[+-]+(?=[\s,]|$)|\.(and|blend|swap)\(")
"""What means something in a prompt there, and is read as it stands here."""
READ = (
    *("positive_prompt", "negative_prompt", "width", "height", "seed", "rand_device", "cfg_scale", "steps"),
    *("cfg_rescale_multiplier", "scheduler", "clip_skip", "model", "loras", "vae"),
)
INERT = ("app_version", "generation_mode", "created_by", "positive_style_prompt", "negative_style_prompt")


def read_invokeai(text: str) -> Said:
    """What InvokeAI's metadata say. Raises BadInput for what is not there or not replayed."""
    try:
        values: dict[str, Any] = json.loads(text)
        assert isinstance(values, dict)
    except (ValueError, AssertionError, RecursionError):
        raise BadInput("its invokeai_metadata are no JSON object") from None
    mode = str(values.get("generation_mode", "txt2img"))
    if mode not in MODES:
        raise BadInput(
            f"it was made by {printable(mode, 60)}: pictures made from words alone by Stable Diffusion 1, 2 and XL are "
            "replayed"
        )
    for name in REFUSED:
        if values.get(name):
            raise BadInput(f"it was made with {name}, which are not replayed")
    named = str(values.get("scheduler", "euler"))
    if named not in SCHEDULERS:
        raise BadInput(f"the scheduler {printable(named, 60)!r} is not here: known are {', '.join(SCHEDULERS)}")
    sampler, schedule = SCHEDULERS[named]
    model = values.get("model")
    loras = values.get("loras") or []
    if not isinstance(loras, list):
        raise BadInput("its loras can't be read")
    tags = [_tag(each) for each in loras]
    remarks = [
        f"{printable(key, 60)} is not known here and left out"
        for key, value in values.items()
        if value and key not in (*READ, *INERT)
    ]
    prompt, negative = (str(values.get(f"{which}_prompt") or "") for which in ("positive", "negative"))
    texts = (prompt, negative)
    if named := next((name[0] for text in texts for name in [LEARNED.search(text)] if name), ""):
        raise BadInput(f"its prompt says {printable(named, 60)}, a learned word, which is not replayed")
    if any(MARKED.search(text) for text in texts):
        remarks.append("InvokeAI writes and applies weights of words, and joins prompts, otherwise than here")
    if any(map(long, texts)):
        remarks.append("InvokeAI cuts long texts elsewhere than here, which goes back to a comma")
    style = [values.get(f"{which}_style_prompt") for which in ("positive", "negative")]
    if any(said and said != text for said, text in zip(style, texts, strict=True)):
        remarks.append("the words of its own for the second text encoder (style prompt) are left out")
    if mode == XL:
        remarks.append("InvokeAI spaces the noise levels of Stable Diffusion XL otherwise than here")
    if sampler in ENDS:
        remarks.append(f"InvokeAI ends {sampler} at the least noise level of its table, and here it ends without noise")
    rescale = number(values, "cfg_rescale_multiplier", 0.0)
    if rescale:
        remarks.append("InvokeAI rescales guidance of what the network answers, and here it is that of the picture")
    return Said(
        "InvokeAI",
        " ".join((literal(prompt), *tags)),
        literal(negative),
        steps=steps_in(values, "steps"),
        sampler=sampler,
        schedule=schedule,
        scale=number(values, "cfg_scale", 7.5),
        rescale=rescale,
        seed=whole(values, "seed"),
        size=(whole(values, "width"), whole(values, "height")),
        clip_skip=whole(values, "clip_skip", 0) + 1,  # layers that are left out
        model=_name(model),
        vae=_name(values.get("vae")),
        noise=TorchNoise() if values.get("rand_device", "cpu") == "cpu" else A1111GpuNoise(),
        later=False,  # from another seed
        entire=False,
        unit=False,
        remarks=tuple(remarks),
    )


def _name(model: Any) -> str:
    """A model's name, as its versions write it."""
    return str(model.get("name") or model.get("model_name") or "") if isinstance(model, dict) else ""


def _tag(lora: Any) -> str:
    if not isinstance(lora, dict):
        raise BadInput("its loras can't be read")
    return tag(_name(lora.get("model") or lora.get("lora")), f"{number(lora, 'weight', 0.75):g}")
