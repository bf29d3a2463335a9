"""What walks in a ComfyUI graph: one sampler, or two, of which the second paints over what the first has made, larger,
or goes on with another model (Stable Diffusion XL's refiner)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sfumato.edit import HiresFix
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.replay.comfyui_graph import ADVANCED, SAMPLERS, UPSCALES, Node, Nodes
from sfumato.recipe.replay.said import WIDEST, number, sampler_of, steps_in, whole

NAMES = {
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
    "uni_pc": "unipc-bh1",
    "uni_pc_bh2": "unipc-bh2",
    "deis": "DEIS",
    "ddpm": "DDPM",
    "lcm": "LCM",
}
"""Its samplers, as `Said` calls them."""
DISCARDING = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
"""Samplers for which a KSampler takes a schedule of a step more without its last level but one."""
SCHEDULERS = {
    "normal": "linspace",
    "karras": "karras",
    "exponential": "log-snr",
    "sgm_uniform": "sgm-uniform",
    "simple": "simple",
    "ddim_uniform": "leading",
    "beta": "beta-whole",
    "kl_optimal": "kl-optimal",
    "linear_quadratic": "linear-quadratic-kappa",
}
WHOLE = ("normal", "karras", "exponential", "kl_optimal")
"""Schedules from the model's highest noise level to its lowest."""
BELOW = "ddim_uniform"
"""The schedule that begins below the model's highest noise level, with sigma z."""
ENLARGED = {"nearest-exact": "latent-nearest-exact", "bilinear": "latent", "bicubic": "latent-bicubic"}
"""Ways to enlarge latents, as an upscaling node calls them."""
CELL = 8


@dataclass(frozen=True)
class Walks:
    """The inputs of the sampler that begins and of the one that ends, by the names that a KSampler has: of one sampler
    the same twice. upscale: the link to what enlarges the latents between two. switch: the step from which the second
    goes on, which has another model."""

    first: Node
    last: Node
    upscale: Any = None
    switch: int | None = None


def walks_of(graph: Nodes) -> Walks:
    """Raises BadInput where more than that walks, or only a part of the way is walked."""
    samplers = [_inputs(graph, kind, inputs) for kind, inputs in graph.all(*SAMPLERS)]
    if len(samplers) == 2:
        for last, first in (samplers, samplers[::-1]):
            link = last.get("latent_image")
            if graph.kind(link) in UPSCALES:
                return Walks(*map(_entire, (first, last)), upscale=link)
            if graph.kind(link) == ADVANCED:
                return Walks(first, last, switch=_switch(first, last))
    if len(samplers) != 1:
        raise BadInput(
            f"its ComfyUI graph has {len(samplers)} KSamplers: those of one are replayed, or of two with "
            f"{' or '.join(UPSCALES)} between them, or of which the second is a refiner"
        )
    return Walks(_entire(samplers[0]), samplers[0])


def _inputs(graph: Nodes, kind: str, sampler: Node) -> Node:
    """The inputs of a sampler, those of its parts too."""
    if kind == "KSampler":
        return sampler
    if kind == ADVANCED:
        return {**sampler, "seed": sampler.get("noise_seed")}
    levels = graph.at(sampler.get("sigmas"), "BasicScheduler")
    named = graph.at(sampler.get("sampler"), "KSamplerSelect")
    parts = {**levels, "stepped": levels.get("model"), **named}  # whose noise levels they are
    if kind == "SamplerCustom":
        noise = "enable" if sampler.get("add_noise", True) is True else "disable"
        return {**parts, **sampler, "seed": sampler.get("noise_seed"), "add_noise": noise}
    guider = graph.at(sampler.get("guider"), "BasicGuider", "CFGGuider")
    told = {"positive": guider.get("conditioning")} if "conditioning" in guider else {"cfg": 1.0}
    seed = graph.at(sampler.get("noise"), "RandomNoise").get("noise_seed")
    return {**parts, **told, **guider, "seed": seed, "latent_image": sampler.get("latent_image")}


def _entire(sampler: Node) -> Node:
    """The inputs of a sampler that walks all of the way. Raises BadInput for another."""
    begins, ends = whole(sampler, "start_at_step", 0), whole(sampler, "end_at_step", 10_000)
    if begins or ends < steps_in(sampler, "steps") or sampler.get("add_noise", "enable") != "enable":
        raise BadInput(f"it was walked from step {begins} to {ends}, or without new noise, which is not replayed")
    return sampler


def _switch(first: Node, last: Node) -> int:
    """The step at which a refiner takes over. Raises BadInput where two samplers are no such relay."""
    for name in ("steps", "sampler_name", "scheduler", "cfg"):
        if last.get(name) != first.get(name):
            raise BadInput(f"its second KSamplerAdvanced has another {name} than its first, which is not replayed")
    steps, switch = steps_in(first, "steps"), whole(first, "end_at_step", 10_000)
    relay = first.get("return_with_leftover_noise") == first.get("add_noise") == "enable"
    if not relay or last.get("add_noise") != "disable" or whole(last, "start_at_step", 0) != switch or switch < 1:
        raise BadInput("its two KSamplerAdvanced don't go on one from the other, which is not replayed")
    _entire({**first, "end_at_step": steps})
    _entire({**last, "start_at_step": 0, "add_noise": "enable"})
    return min(switch, steps)


def walk_of(inputs: Node, shift: float | None, table: int) -> dict[str, Any]:
    """What a sampler's inputs say of its walk, as `Said` has it. Raises BadInput for one that is not replayed."""
    named, scheduler = str(inputs.get("sampler_name")), str(inputs.get("scheduler"))
    if named not in NAMES or scheduler not in SCHEDULERS:
        what, known = ("sampler", NAMES) if named not in NAMES else ("scheduler", SCHEDULERS)
        shown = named if what == "sampler" else scheduler
        raise BadInput(f"the {what} {printable(shown, 60)!r} is not here: known are {', '.join(known)}")
    if sampler_of(NAMES[named]).own_schedule is not None and scheduler not in WHOLE:
        raise BadInput(f"{named} with the scheduler {scheduler} is not replayed: known with it are {', '.join(WHOLE)}")
    if shift is not None and scheduler in ("normal", "sgm_uniform"):  # from 1 to the least sigma, as if it were a time
        table = round((table + shift - 1) / shift)
    discards = named in DISCARDING and "stepped" not in inputs
    return {"sampler": NAMES[named], "schedule": SCHEDULERS[scheduler], "discards": discards, "table": table}


def enlarged(graph: Nodes, walks: Walks, size: tuple[int, int]) -> tuple[HiresFix, tuple[int, int]]:
    """The first walk of two, and the size that the second ends at. Raises BadInput where they have two models, and for
    another way to enlarge."""
    first, last = walks.first, walks.last
    if last.get("model") != first.get("model"):
        raise BadInput("its second KSampler has another model than its first, which is not replayed")
    if not CELL <= min(size) <= max(size) <= WIDEST:
        raise BadInput(f"it begins at {printable(size[0], 20)}x{printable(size[1], 20)}, which is no size")
    inputs = graph.at(walks.upscale, *UPSCALES)
    if graph.kind(walks.upscale) == "LatentUpscaleBy":
        if not 1 < (by := number(inputs, "scale_by", 1.5)) <= 8:
            raise BadInput(f"its latents are enlarged {by:g} times: above 1 and up to 8 are replayed")
        ends = [round(side // CELL * by) * CELL for side in size]
    else:
        ends = [min(whole(inputs, name), WIDEST + CELL) // CELL * CELL for name in ("width", "height")]
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
        first_steps=steps_in(first, "steps"),
        seed=seed if seed != own else None,
        unit=first.get("scheduler") != BELOW,
    )
    width, height = ends
    if fix.first_size((width, height), CELL) != size:
        raise BadInput(f"it goes from {size[0]}x{size[1]} to {width}x{height}, which cuts or stretches the picture")
    return fix, (width, height)
