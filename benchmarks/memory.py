"""A model of random weights at Stable Diffusion 1.5's true size: seconds and memory, ours and stock diffusers'.

Run: python benchmarks/memory.py [FOLDER] [--precision float16] [--size 64] [--steps 3]

Writes the model (2.1 GB in float16) into FOLDER where there is none; without FOLDER into a temporary one. Each way of
running it is a process of its own, once in the precision of the files and once in float32: seconds to load, and the
peak of its own memory (not what is mapped from the weight files) less what the imports take; beside it stands what
`sfumato inspect` foretells. Most CPUs store float16 and do not compute in it (a step takes minutes), so that pictures,
at a small size, are painted in float32 alone: seconds a step, and the peak with the networks at work. With --stored
they are painted in the precision of the files too (CPUs with AVX-512-FP16 compute in float16, with AMX in bfloat16).
--rounds go through all ways several times, as what else a machine does is felt in one and not in another. Needs about
6 GB.

In the precision of the files a model is mapped and not read, in a fraction of a second: after one load that is not
counted the best of `--repeats` is told, by the clock and in processor time, which a busy machine disturbs less. What
that takes is next to nothing, so that the peak compared there is that of the whole process, imports and all.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

WAYS = ("stock", "none", "parts", "layers")


def build_true(folder: Path, precision: str) -> Path:
    """SD 1.5's U-Net (859.5 M parameters), autoencoder (83.7 M) and text encoder (123.1 M), weights at random."""
    import diffusers
    import torch
    from random_model import TINY, build
    from transformers import CLIPTextConfig, CLIPTextModel

    if (folder / "model_index.json").is_file():
        return folder
    build(folder, "v", TINY)  # tokenizer, scheduler, index
    words = json.loads((folder / "text_encoder" / "config.json").read_text(encoding="utf-8"))
    text = CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408,
        **{key: words[key] for key in ("max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")},
    )  # fmt: skip
    unet = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
    levels = (128, 256, 512, 512)
    vae = {"sample_size": 512, "block_out_channels": levels, "layers_per_block": 2, "force_upcast": False}
    ways = {"down": "DownEncoder", "up": "UpDecoder"}
    kinds = {f"{way}_block_types": (f"{name}Block2D",) * 4 for way, name in ways.items()}
    makers = {
        "unet": lambda: diffusers.UNet2DConditionModel(**unet),
        "vae": lambda: diffusers.AutoencoderKL(**vae, **kinds),
        "text_encoder": lambda: CLIPTextModel(text),
    }
    values = torch.randn(1 << 16, generator=torch.manual_seed(0)).to(getattr(torch, precision)) * 0.02
    for name, make in makers.items():
        with torch.device("meta"):  # far quicker than drawing each weight
            network = make().to(values.dtype)
        torch.nn.Module.to_empty(network, device="cpu")
        for key, weight in network.named_parameters():
            norm = weight.ndim == 1 and key.endswith("weight")
            weight.data.copy_(torch.ones_like(weight) if norm else _repeated(values, weight))
            if name == "unet" and key.startswith("conv_out"):  # of velocities 0 leaves x as large as it was
                weight.data.zero_()
        network.save_pretrained(folder / name)
    return folder


def _repeated(values: Any, weight: Any) -> Any:
    return values.repeat(-(-weight.numel() // len(values)))[: weight.numel()].view(weight.shape)


class Own:
    """A process's own bytes (RssAnon), looked at every few milliseconds: what is mapped from weight files is the
    system's to take back, and is not among them."""

    def __init__(self) -> None:
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.now()
            time.sleep(0.005)

    def now(self) -> dict[str, int]:
        """Bytes now, and at most so far."""
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        here = next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))
        self.peak = max(self.peak, here)
        return {"now": here, "peak": self.peak}


def run(way: str, folder: Path, precision: str, size: int, steps: int, repeats: int) -> dict[str, float]:
    """One way, in this process. repeats: how often it is loaded after it was loaded once; 0: once, and the first."""

    def say(what: str) -> None:
        print(f"  {way} {precision}: {what}", file=sys.stderr, flush=True)

    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    import sfumato
    from sfumato.zoo import ZOO

    torch.set_num_threads(1)

    def load(folder: Path) -> Any:
        if way != "stock":
            return sfumato.load(folder, precision=precision, offload=way)
        options = {"safety_checker": None, "requires_safety_checker": False}
        return StableDiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, precision), **options)

    load(ZOO / "mini")  # what is imported only when a model is loaded
    if repeats:
        load(folder)
    gc.collect()
    now = Own().now
    before, loads = now(), []
    say("loading")
    for _ in range(max(1, repeats)):
        pipe: Any = None  # one model at a time
        began, cpu = time.perf_counter(), time.process_time()
        pipe = load(folder)
        loads.append((time.perf_counter() - began, time.process_time() - cpu))
    seconds, cpu = map(min, zip(*loads, strict=True))
    if way == "stock":
        stock = pipe
        stock.set_progress_bar_config(disable=True)
        peak = now()
        say(f"loaded in {seconds:.2f} s; painting {steps} steps")
        marks: list[float] = []
        if steps:
            stock(
                "a boat", height=size, width=size, num_inference_steps=steps, guidance_scale=5.0,
                callback_on_step_end=lambda *a: marks.append(time.perf_counter()) or {},
            )  # fmt: skip
    else:
        ours = pipe
        peak, marks = now(), []
        say(f"loaded in {seconds:.2f} s; painting {steps} steps")
        recipes = ours.recipes("a boat", width=size, height=size, steps=steps, sampler="ddim") if steps else []
        for _ in ours.steps(recipes):
            marks.append(time.perf_counter())
    after = now()
    gaps = [b - a for a, b in pairwise(marks)]
    if way != "stock" and len(gaps) > 1:
        gaps = gaps[:-1]  # the last brings the picture
    say("done")
    return {
        "load_seconds": seconds,
        "load_cpu": cpu,
        "load_peak": peak["peak"] - before["now"],
        "step_seconds": min(gaps, default=float("nan")),
        "peak": after["peak"] - before["now"],
        "imports": before["now"],
        "whole": peak["peak"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3, help="the quickest of them is told")
    parser.add_argument("--repeats", type=int, default=8, help="loads in the precision of the files")
    parser.add_argument("--rounds", type=int, default=1, help="of all ways; the quickest is told")
    parser.add_argument("--stored", action="store_true", help="paint in the precision of the files too")
    parser.add_argument("--way", choices=WAYS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(run(args.way, args.folder, args.precision, args.size, args.steps, args.repeats)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        measure(args, args.folder or Path(temporary))


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Every way in a process of its own, and what they say."""
    from sfumato.provenance import inspect_model

    began = time.perf_counter()
    build_true(folder, args.precision)
    print(f"written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    report = inspect_model(folder)
    sizes = {name: part["bytes"] for name, part in report.parts.items() if part["bytes"]}
    print("parts, MiB:", {name: round(size / 2**20) for name, size in sizes.items()})
    print("foretold at 512 pixels, MiB:", {k: round(v / 2**20) for k, v in report.memory[args.precision].items()})
    largest = max(sizes.values())
    some = args.steps + 1
    for precision, steps in ((args.precision, some if args.stored else 0), ("float32", some)):
        part = largest * (2 if precision == "float32" and args.precision != "float32" else 1)
        found: dict[str, dict[str, float]] = {}
        for way in WAYS * args.rounds:
            each = asked(args, folder, way, precision, steps)
            if each:
                found[way] = {key: min(value, found.get(way, each)[key]) for key, value in each.items()}
        for way, each in found.items():
            tell(way, precision, each, part, args.size)
        if "stock" in found and "none" in found:
            keys = ("load_seconds", "load_cpu", *(("load_peak", "step_seconds", "peak") if steps else ("whole",)))
            ratios = (f"{key} {found['none'][key] / found['stock'][key]:.2f}" for key in keys)
            print(f"ours over stock in {precision}:", ", ".join(ratios), flush=True)
        if steps and "parts" in found:
            more = 100 * (found["parts"]["peak"] / part - 1)
            print(f"offload parts, {precision}: the peak is the largest part and {more:.0f} %")


def tell(way: str, precision: str, each: dict[str, float], part: float, size: int) -> None:
    said = f"{way:7} {precision}: load {each['load_seconds']:6.2f} s ({each['load_cpu']:.2f} s of processor time), "
    said += f"peak then {each['load_peak'] / 2**20:6.0f} MiB"
    if each["step_seconds"] == each["step_seconds"]:
        peak = each["peak"]
        said += f"; {each['step_seconds']:6.2f} s a guided step at {size} pixels, peak {peak / 2**20:6.0f} MiB "
        said += f"({peak / part:.2f} x the largest part)"
    print(said, flush=True)


def asked(args: argparse.Namespace, folder: Path, way: str, precision: str, steps: int) -> dict[str, float]:
    """What one way says, in a process of its own; nothing where it ends in an error, which is printed."""
    command = [sys.executable, __file__, str(folder), "--way", way, "--precision", precision]
    repeats = args.repeats if precision == args.precision else 0
    command += ["--size", str(args.size), "--steps", str(steps), "--repeats", str(repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{way} {precision} ended with code {done.returncode}; what it said stands above", file=sys.stderr)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
