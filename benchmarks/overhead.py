"""What a picture costs outside the networks: sfumato and stock diffusers, in milliseconds of processor time.

    python benchmarks/overhead.py [--model mini] [--steps 20] [--batches 1 8] [--repeats 20] [--profile]

Both make pictures with 20 DDIM steps and guidance 5 in one process by turns, on one thread, from prompt to PIL, and the
best of the turns is told: another program on the machine adds to a turn and never takes from it. Every network answers
at once with what it answered first to inputs of the same shapes, so that nothing but the library's own work is left.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

import torch

WITHIN = [0.0]
"""Seconds within networks that were asked all the same: layers that are prepared for a text and asked once."""
PROMPT = "a painting of a woman in a red jacket by the sea"


def answering_at_once(run: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, which is asked once for inputs of each shapes."""
    kept: dict[Any, Any] = {}

    def call(*given: Any, **named: Any) -> Any:
        shapes = [tuple(each.shape) for each in (*given, *named.values()) if isinstance(each, torch.Tensor)]
        key = tuple(shapes)
        if key not in kept:
            began = time.process_time()
            kept[key] = run(*given, **named)
            WITHIN[0] += time.process_time() - began
        return kept[key]

    return call


def ours(model: str, steps: int) -> Callable[[int], Any]:
    import sfumato
    from sfumato.guide import ClassifierFree
    from sfumato.network.engine import Eager

    plain = Eager.prepare
    Eager.prepare = lambda itself, network, spec: answering_at_once(plain(itself, network, spec))
    pipe = sfumato.load(model, precision="float32")
    told = {"guidance": [ClassifierFree(5.0)], "sampler": "ddim", "times": "trailing", "steps": steps, "seed": 7}
    return lambda batch: pipe(PROMPT, **told, count=batch).images


def theirs(model: str, steps: int) -> Callable[[int], Any]:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from sfumato.zoo.find import find

    pipe: Any = StableDiffusionPipeline.from_pretrained(find(model), dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    pipe.set_progress_bar_config(disable=True)
    pipe.unet.forward = answering_at_once(pipe.unet.forward)
    pipe.vae.decode = answering_at_once(pipe.vae.decode)
    pipe.text_encoder.forward = answering_at_once(pipe.text_encoder.forward)
    draw = torch.Generator().manual_seed(7)
    return lambda batch: pipe([PROMPT] * batch, num_inference_steps=steps, guidance_scale=5.0, generator=draw).images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="where ours goes, by function")
    args = parser.parse_args()
    torch.set_num_threads(1)
    makers = {"sfumato": ours(args.model, args.steps), "diffusers": theirs(args.model, args.steps)}
    for batch in args.batches:
        best = dict.fromkeys(makers, float("inf"))
        for repeat in range(args.repeats + 1):
            for name, make in makers.items():
                gc.collect()
                began, within = time.process_time(), WITHIN[0]
                make(batch)
                spent = time.process_time() - began - (WITHIN[0] - within)
                if repeat:
                    best[name] = min(best[name], spent)
        told = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in best.items())
        print(f"batch {batch}, {args.steps} steps: {told} a call outside the networks", flush=True)
    if args.profile:
        profile(makers["sfumato"], args.batches[-1])


def profile(make: Callable[[int], Any], batch: int) -> None:
    import cProfile
    import pstats

    watch = cProfile.Profile(time.process_time)
    watch.enable()
    for _ in range(10):
        make(batch)
    watch.disable()
    pstats.Stats(watch).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
