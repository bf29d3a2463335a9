"""A1111's web page and its heirs (Forge, SD.Next, Civitai): the `parameters` text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from sfumato.emphasis import Emphasis, Ignored, MeanRestored, Unscaled
from sfumato.noise import A1111CpuNoise, A1111GpuNoise
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.prompt.emphasis import unbracketed
from sfumato.recipe.prompt.schedule import changes, later
from sfumato.recipe.replay import hires
from sfumato.recipe.replay.said import COMPVIS, DETERMINISTIC, RESTART, Said, number, sampler_of, steps_in, whole

LONGEST = 20_000  # characters of the line of values
TABLE = 1000  # noise levels of a model
_VALUE = re.compile(r'([A-Za-z][\w /+.-]{0,60}):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,\s*|$)')
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
NEGATIVE = "Negative prompt:"
BROKEN = "BREA\\K"
"""BREAK as a word."""
LITERAL = "None"
"""An emphasis that reads no brackets."""
READ = (
    *("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Clip skip", "ENSD", "RNG", "Eta", "Eta DDIM"),
    *("Refiner", "Refiner switch at", "Refiner switch by sampling steps", "SGM noise multiplier"),
    *("Emphasis", "Model", "Model hash", "CFG Rescale", "VAE", "VAE hash", "Lora hashes", "TI hashes"),
)
INERT = (
    *("Version", "Batch size", "Batch pos", "User", "Created Date", "Hashes", "App"),
    *("Time taken", "Civitai resources", "Civitai metadata"),
)
"""What changes no picture."""
EMPHASES: Mapping[str, Emphasis] = {
    **dict.fromkeys(("", "Original", LITERAL), MeanRestored()),
    "No norm": Unscaled(),
    "Ignore": Ignored(),
}
REFUSED = {
    "Hires": "a second pass at a larger size (hires. fix) that is told otherwise",
    "First pass size": "a second pass at a larger size, as older versions made it",
    "Denoising strength": "a picture that it was painted over",
    "Mask": "a mask",
    "Inpaint": "a mask",
    "ControlNet": "a ControlNet",
    "ADetailer": "faces that were painted again (ADetailer)",
    "Face restoration": "a network that restores faces",
    "Tiling": "tiling",
    "Variation seed": "a variation seed",
    "Seed resize": "noise of another size",
    "AddNet": "weights that were added to the model",
}
SCHEDULES = ("Karras", "Exponential", "SGM Uniform", "Uniform")
AUTOMATIC = {
    **dict.fromkeys(("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", RESTART), "Karras"),
    **dict.fromkeys(("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"), "Exponential"),
}
"""What "Automatic" stands for; "Uniform" for all others."""
TURN = 8
"""The first version 1 whose refiner takes over at a time, and that keeps its noise levels in full precision."""
CALLED = ("Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM fast", "DPM adaptive", RESTART)
"""Samplers that call the model more or less often than once a step."""
DEALT = 30_000 * 16
"""The pixels up to which every card draws the same numbers: so many latents' numbers, of 4 a cell of 8 x 8."""
EVEN = "UniPC"
"""The one of `COMPVIS` that steps evenly."""
DISCARDING = ("DPM2", "DPM2 a", "DPM++ 3M SDE")
"""Samplers whose schedule is one of a step more without its last level but one."""
OTHER_NAMES = {"Normal": "Uniform", "Polyexponential": "Exponential"}
"""Schedules that are others by their default options."""


def read_a1111(text: str) -> Said:
    """What a `parameters` text says: the prompt, `Negative prompt: ...`, and a last line of `Key: value` pairs.

    Raises BadInput for a text that is none, and for pictures that were made in ways that are not here.
    """
    lines = text.strip().splitlines()
    last = lines[-1] if lines else ""
    if not last.startswith("Steps:") or len(last) > LONGEST:
        raise BadInput("its text is none of A1111's: the last line begins with Steps")
    words = "\n".join(lines[:-1])
    prompt, _, negative = words.partition(NEGATIVE)
    values = {name.strip(): _bare(value) for name, value in _VALUE.findall(last)}
    twice = hires.KNOWN if any(name in values for name in hires.ASK) else ()
    if (named := values.get("Emphasis", "")) not in EMPHASES:
        raise BadInput(f"its Emphasis is {printable(named, 60)}: known are {', '.join(filter(None, EMPHASES))}")
    for name in (name for name in values if name not in twice):
        refused = next((what for begin, what in REFUSED.items() if name.startswith(begin)), None)
        if refused is not None:
            raise BadInput(f"it was made with {refused} ({name}: {printable(values[name], 60)}), which is not replayed")
    remarks = tuple(
        f"{printable(name, 60)} ({printable(value, 60)}) is not known here and left out"
        for name, value in values.items()
        if name not in (*READ, *INERT, *twice)
    )
    found = _SIZE.fullmatch(values.get("Size", ""))
    size, steps = (int(found[1]), int(found[2])) if found else None, steps_in(values, "Steps")
    remarks += _strange(values)
    prompt, negative = prompt.strip(), negative.strip()
    first = walk = _walk(values, prompt, negative)
    fix = None
    if first["sampler"] in COMPVIS:
        stride = max(TABLE // steps, 1)
        if first["sampler"] == EVEN:
            steps = len(range(0, TABLE, stride)) + 1  # so many to the least level, and here one more to 0
        elif (TABLE - 1) % stride == 0:
            remarks += (f"A1111 begins these {steps} steps with a short one from its table's end, which is left out",)
    if twice:
        words = (values.get(name, said) for name, said in zip(hires.WORDS, (prompt, negative), strict=True))
        walk = _walk(hires.second_walk(values), *words)
        fix, size, steps, others = hires.read_hires(values, size, steps, first, walk)
        remarks += others
    early = [each["sampler"] for each in (first, walk) if each["sampler"] in COMPVIS and each["sampler"] != EVEN]
    early += [each["schedule"] for each in (first, walk) if each["schedule"] == "KL Optimal"]
    for name in dict.fromkeys(early):
        remarks += (f"A1111 ends {name} at the least noise level of its table, and here it ends without noise",)
    refined = _refined(values, steps, bool(twice))
    if refined and sampler_of(first["sampler"]).remembers:
        remarks += (f"A1111's {first['sampler']} remembers steps of the first model when the refiner takes over",)
    changing = any(changes(text) for each in (first, walk) for text in (each["prompt"], each["negative"]))
    for name in dict.fromkeys(each["sampler"] for each in (first, walk) if changing and each["sampler"] in CALLED):
        remarks += (
            f"A1111 counts the changes of a prompt in calls of the model, of which {name} makes several a step",
        )
    rng, delta = values.get("RNG", "GPU"), whole(values, "ENSD", 0)
    if rng == "GPU" and size is not None and size[0] * size[1] > DEALT:
        remarks += (
            "which numbers a GPU draws for so large a picture depends on the card: it is painted as by a large one",
        )
    if rng not in ("CPU", "GPU", "NV"):
        raise BadInput(f"its RNG is {printable(rng, 60)}: known are CPU, GPU and NV")
    return Said(
        "A1111",
        steps=steps,
        **walk,
        rescale=number(values, "CFG Rescale", 0.0),
        seed=whole(values, "Seed"),
        size=size,
        clip_skip=whole(values, "Clip skip", 1),
        emphasis=EMPHASES[values.get("Emphasis", "")],
        model=values.get("Model", ""),
        model_hash=values.get("Model hash", ""),
        words=tuple(_pairs(values.get("TI hashes", ""))),
        hashes=_pairs(values.get("Lora hashes", "")) | _pairs(values.get("TI hashes", "")),
        vae=values.get("VAE", "") if values.get("VAE", "").lower() not in ("automatic", "none") else "",
        noise=A1111CpuNoise(eta_delta=delta) if rng == "CPU" else A1111GpuNoise(eta_delta=delta),
        unit=walk["sampler"] in COMPVIS or values.get("SGM noise multiplier") == "True",
        eta=number(values, "Eta DDIM", 0.0) if walk["sampler"] == DETERMINISTIC else number(values, "Eta", 1.0),
        hires=fix,
        **refined,
        first=first if first != walk else {},
        remarks=remarks,
    )


def _refined(values: Mapping[str, str], steps: int, twice: bool) -> dict[str, Any]:
    """The model that takes over, and when, as `Said` has it: at a share of the time, in older versions of the steps."""
    if "Refiner" not in values:
        return {}
    if twice:
        raise BadInput("it was made with a refiner in the second walk of a hires. fix, which is not replayed")
    share = number(values, "Refiner switch at", 1.0)
    if not 0 <= share <= 1:
        raise BadInput(f"its Refiner switch at is {share:g}: a share from 0 to 1 is read")
    if _old(values) or "Refiner switch by sampling steps" in values:
        return {"refiner": values["Refiner"], "switch": max(math.ceil(share * steps - 1e-9), 1)}
    return {"refiner": values["Refiner"], "at": 1 - share}


def _walk(values: Mapping[str, str], prompt: str, negative: str) -> dict[str, Any]:
    """What a walk is told, its sampler, its schedule, and whether that is one of a step more, as `Said` has them."""
    sampler, schedule = _scheduled(values.get("Sampler", "Euler a"), values.get("Schedule type", ""))
    return {
        "sampler": sampler,
        "schedule": OTHER_NAMES.get(schedule, schedule),
        "discards": sampler in DISCARDING,
        "prompt": _timed(prompt, values, sampler),
        "negative": _timed(negative, values, sampler),
        "scale": number(values, "CFG scale", 7.0),
    }


def _scheduled(sampler: str, schedule: str) -> tuple[str, str]:
    """The sampler and the schedule; before version 1.9 one name held both, as "DPM++ 2M Karras"."""
    if sampler in COMPVIS:  # which have one of their own, whatever is chosen
        return sampler, "Uniform" if sampler == EVEN else "DDIM"
    for name in SCHEDULES:
        if not schedule and sampler.endswith(f" {name}"):
            return sampler.removesuffix(f" {name}"), name
    if schedule.lower() == "automatic":
        return sampler, AUTOMATIC.get(sampler, "Uniform")
    return sampler, schedule or ("Karras" if sampler == RESTART else "Uniform")


def _timed(prompt: str, values: Mapping[str, str], sampler: str) -> str:
    """The prompt as it is said here, where its changes are counted in steps and there in calls from 0, and its brackets
    and BREAKs are words where they are such there."""
    if not changes(prompt):
        prompt = _unread(prompt) if values.get("Emphasis") == LITERAL else _unbroken(prompt)
    return prompt if sampler in CALLED else later(prompt, whole(values, "Steps"))


def _unread(prompt: str) -> str:
    """The prompt, of which A1111 reads neither brackets nor BREAK."""
    return unbracketed(prompt).replace("BREAK", BROKEN)


def _unbroken(prompt: str) -> str:
    """The prompt, whose BREAKs within brackets A1111 takes for a word that weighs -1 times what the brackets say."""
    opened = {"(": 0, "[": 0}

    def said(found: re.Match[str]) -> str:
        mark = found[0]
        if mark in opened:
            opened[mark] += 1
        elif mark in ")]":
            bracket = "(["[")]".index(mark)]
            opened[bracket] = max(opened[bracket] - 1, 0)
        elif mark == "BREAK" and any(opened.values()):
            return f"({BROKEN}:-1)"
        return mark

    return re.sub(r"\\.|[()\[\]]|\bBREAK\b", said, prompt)


def _old(values: Mapping[str, str]) -> bool:
    """Whether a version before 1.8 wrote it."""
    version = re.match(r"v?1\.(\d+)", values.get("Version", ""))
    return version is not None and int(version[1]) < TURN


def _strange(values: Mapping[str, str]) -> tuple[str, ...]:
    """Remarks on texts that another tool wrote, or an older version."""
    said = []
    if any(name.startswith("Civitai") for name in values):
        said.append("Civitai's own generator may have drawn its noise otherwise than A1111's page")
    if _old(values):
        said.append(
            "A1111 before 1.8 kept its noise levels in half precision, which moves the last ones by some percent"
        )
    return tuple(said)


def _pairs(text: str) -> dict[str, str]:
    """`name: hash, name: hash`."""
    pairs = (each.rpartition(":") for each in text.split(","))
    return {name.strip(): found.strip() for name, mark, found in pairs if mark}


def _bare(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')
