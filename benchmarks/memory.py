"""A model of random weights at Stable Diffusion 1.5's true size: seconds and memory, ours and stock diffusers'.

Run: python benchmarks/memory.py FOLDER [--precision float16] [--size 256] [--steps 2]

Writes the model (3.4 GB in float32, half of it in float16) into FOLDER where there is none. Each way of running it is a
process of its own: seconds to load, seconds a step, the peak of its memory less what the imports take, and beside it
what `sfumato inspect` foretells.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
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
    build(folder, "eps", TINY)  # tokenizer, scheduler, index
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
        network.save_pretrained(folder / name)
    return folder


def _repeated(values: Any, weight: Any) -> Any:
    return values.repeat(-(-weight.numel() // len(values)))[: weight.numel()].view(weight.shape)


def now() -> dict[str, int]:
    """Bytes of this process, now and at most so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"now": found["VmRSS"], "peak": found["VmHWM"]}


def run(way: str, folder: Path, precision: str, size: int, steps: int) -> dict[str, float]:
    """One way, in this process."""
    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    import sfumato

    torch.set_num_threads(1)
    pipe = sfumato.load("mini") if way != "stock" else None  # what is imported only when a model is loaded
    del pipe
    before, began = now(), time.perf_counter()
    if way == "stock":
        stock = StableDiffusionPipeline.from_pretrained(
            folder, torch_dtype=getattr(torch, precision), safety_checker=None, requires_safety_checker=False
        )
        stock.set_progress_bar_config(disable=True)
        loaded, peak = time.perf_counter(), now()
        marks: list[float] = []
        stock(
            "a boat", height=size, width=size, num_inference_steps=steps, guidance_scale=5.0,
            callback_on_step_end=lambda *a: marks.append(time.perf_counter()) or {},
        )  # fmt: skip
    else:
        ours = sfumato.load(folder, precision=precision, offload=way)
        loaded, peak, marks = time.perf_counter(), now(), []
        for _ in ours.steps("a boat", width=size, height=size, steps=steps, sampler="ddim"):
            marks.append(time.perf_counter())
    after = now()
    gaps = [b - a for a, b in pairwise(marks)]
    gaps = gaps if way == "stock" or len(gaps) < 2 else gaps[:-1]  # the last brings the picture
    return {
        "load_seconds": loaded - began,
        "load_peak": peak["peak"] - before["now"],
        "step_seconds": min(gaps, default=float("nan")),
        "peak": after["peak"] - before["now"],
        "imports": before["now"],
        "whole": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--way", choices=WAYS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(run(args.way, args.folder, args.precision, args.size, args.steps)))
        return
    from sfumato.provenance import inspect_model

    build_true(args.folder, args.precision)
    report = inspect_model(args.folder)
    sizes = {name: part["bytes"] for name, part in report.parts.items() if part["bytes"]}
    print("parts, MiB:", {name: round(size / 2**20) for name, size in sizes.items()})
    print("foretold at 512 pixels, MiB:", {k: round(v / 2**20) for k, v in report.memory[args.precision].items()})
    for way in WAYS:
        command = [sys.executable, __file__, str(args.folder), "--way", way, "--precision", args.precision]
        command += ["--size", str(args.size), "--steps", str(args.steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(way, done.stderr[-2000:])
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"{way:7} load {found['load_seconds']:6.2f} s, peak then {found['load_peak'] / 2**20:6.0f} MiB; "
            f"{found['step_seconds']:6.2f} s a step; peak {found['peak'] / 2**20:6.0f} MiB "
            f"({found['peak'] / max(sizes.values()):.2f} x the largest part) above {found['imports'] / 2**20:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
