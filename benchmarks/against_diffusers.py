"""Seconds per picture and peak memory of sfumato and of stock diffusers' pipeline: same weights, same noise, one run.

Each contender has a process of its own, so that its peak memory is its own; their turns alternate, so that a machine
that warms up or gets busy treats both alike. Both do 20 DDIM steps with guidance 5 and give PIL pictures; the stock
pipeline starts from the very latents that ours started from, and the pictures are compared. Threads sleep while they
wait (OMP_WAIT_POLICY=PASSIVE).

    python benchmarks/against_diffusers.py [--model mini] [--batches 1 8] [--repeats 7] [--threads 2] [--json]
    python benchmarks/against_diffusers.py --engine openvino [--pictures 200]

With openvino two tiers are measured, each against the stock pipeline in float32 with one thread and with two: exact
(float32) and the beginning of fast (bfloat16), and beside them what their answers are worth (`tiers.py`).

Without `--model` the built-in mini is used; before there is one, random weights in its shapes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
CONTENDERS = ("sfumato", "diffusers")
PROMPT = "a painting of a woman in a red jacket by the sea"
SEED = 7


def main() -> None:
    options = _options()
    if options.worker:
        Worker(options).serve()
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model or _default_model(Path(scratch))
        shared = {"model": options.model or ("mini" if model == "mini" else "random weights in mini's shapes")}
        shared |= {k: getattr(options, k) for k in ("steps", "guidance", "repeats", "engine")}
        results = []
        for tier, precision in tiers_of(options):
            worth = {} if not tier else worth_of(options, model, precision)
            for threads in options.threads:
                one = argparse.Namespace(**{**vars(options), "precision": precision, "threads": threads})
                one.stock_precision = "float32" if tier else precision
                found = {**shared, "tier": tier, "precision": precision, "threads": threads, **worth}
                found["batches"] = compete(one, model, Path(scratch))
                results.append(found)
                if not options.json:
                    tell(found)
        if options.json:
            print(json.dumps(results if len(results) > 1 else results[0], indent=1))
        elif any(found["tier"] for found in results):
            summary(results)


def tiers_of(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The names and precisions that are measured; no name for one that was chosen."""
    if options.precision is None and options.engine == "openvino":
        return [("exact", "float32"), ("fast", "bfloat16")]
    return [("", options.precision or "float32")]


def worth_of(options: argparse.Namespace, model: str, precision: str) -> dict:
    """What `tiers.py` says of the engine in a precision."""
    command = [sys.executable, str(HERE.with_name("tiers.py")), "--model", model, "--engine", options.engine]
    command += ["--precision", precision, "--pictures", str(options.pictures), "--steps", str(options.steps)]
    print(f"{options.engine}, {precision}: what its answers are worth", file=sys.stderr)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=_quiet(1))
    return json.loads(done.stdout.strip().splitlines()[-1])


def summary(results: list[dict]) -> None:
    """One line a tier, batch and number of threads."""
    for found in results:
        error, shown = found["error"], ""
        if "fid" in found:
            shown = f"; judge's accuracy {100 * found['accuracy']:.1f} %, FID {found['fid']:.2f}"
        for batch, result in found["batches"].items():
            print(
                f"{found['tier']:5} ({found['precision']}), batch {batch}, threads {found['threads']}: "
                f"{result['times_as_fast']:.2f} x stock in float32; largest relative error of a call "
                f"{error['engine']:.1e} (PyTorch in {found['precision']}: {error['eager']:.1e}){shown}"
            )


def compete(options: argparse.Namespace, model: str, scratch: Path) -> dict:
    """Alternating turns of both contenders, for each size of batch."""
    workers = {name: _start(name, options, model, scratch) for name in CONTENDERS}
    results = {}
    for batch in options.batches:
        turns: dict[str, list[dict]] = {name: [] for name in CONTENDERS}
        for repeat in range(options.repeats + 1):
            for name in CONTENDERS if repeat % 2 == 0 else CONTENDERS[::-1]:
                turn = _ask(workers[name], batch)
                if repeat:  # the first warms up (and stores what the stock pipeline starts from)
                    turns[name].append(turn)
            print(f"batch {batch}: turn {repeat} of {options.repeats}", end="\r", file=sys.stderr)
        results[str(batch)] = _summary(turns, batch, scratch)
    print(" " * 40, end="\r", file=sys.stderr)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return results


def _summary(turns: dict[str, list[dict]], batch: int, scratch: Path) -> dict:
    import numpy as np

    def median(name: str, key: str) -> float:
        return statistics.median(turn[key] for turn in turns[name])

    each = {
        name: {
            "seconds_per_picture": median(name, "seconds") / batch,
            "fastest_seconds_per_picture": min(turn["seconds"] for turn in turns[name]) / batch,
            "cpu_seconds_per_picture": median(name, "cpu") / batch,
            "network_seconds_per_picture": median(name, "network") / batch,
            "overhead_percent": statistics.median(100 * (t["seconds"] / t["network"] - 1) for t in turns[name]),
            "unet_calls": turns[name][0]["unet_calls"],
            "peak_mib": turns[name][-1]["peak_mib"],
        }
        for name in CONTENDERS
    }
    pairs = [b["seconds"] / a["seconds"] for a, b in zip(*turns.values(), strict=True)]
    pictures = [np.load(scratch / f"{name}-{batch}.npy").astype(int) for name in CONTENDERS]
    return {
        **each,
        "times_as_fast": statistics.median(pairs),
        "memory_ratio": each["sfumato"]["peak_mib"] / each["diffusers"]["peak_mib"],
        "largest_difference_of_a_pixel": int(abs(pictures[0] - pictures[1]).max()),
    }


def tell(found: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    view = Table(
        title=f"sfumato and stock diffusers on {found['model']}: {found['steps']} DDIM steps, "
        f"guidance {found['guidance']:g}, {found['precision']}, our engine {found['engine']}, "
        f"{found['threads']} threads{', stock in float32' if found['tier'] else ''}",
        caption=f"Medians of {found['repeats']} alternating turns, {found['threads']} threads, passive waiting. "
        "Overhead: time outside the networks, in % of the time inside.",
    )
    titles = (
        "batch",
        "contender",
        "s/picture",
        "fastest",
        "CPU s/picture",
        "overhead %",
        "peak MiB",
        "times as fast",
        "largest difference",
    )
    for title in titles:
        view.add_column(title, justify="left" if title == "contender" else "right")
    for batch, result in found["batches"].items():
        for name in CONTENDERS:
            r, ours = result[name], name == "sfumato"
            view.add_row(
                batch,
                name,
                f"{r['seconds_per_picture']:.3f}",
                f"{r['fastest_seconds_per_picture']:.3f}",
                f"{r['cpu_seconds_per_picture']:.3f}",
                f"{r['overhead_percent']:.2f}",
                f"{r['peak_mib']:.0f}",
                f"{result['times_as_fast']:.3f}" if ours else "1",
                f"{result['largest_difference_of_a_pixel']}/255" if ours else "",
            )
    Console(width=130).print(view)


class Worker:
    """One contender in its own process: reads a batch size a line, makes the pictures, answers the times as JSON."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        options.threads = options.threads[0]
        torch.set_num_threads(options.threads)
        self.options, self.scratch, self.name = options, Path(options.scratch), options.worker
        self.spent, self.unet_calls, self.inputs = 0.0, 0, []
        self._time_engine() if self.name == "sfumato" else self._time_networks()
        self.make = self._ours() if self.name == "sfumato" else self._theirs()

    def serve(self) -> None:
        out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what libraries print goes to stderr: stdout carries the answers alone
        for line in sys.stdin:
            batch = int(line)
            self.spent, self.unet_calls, self.inputs = 0.0, 0, []
            wall, cpu = time.perf_counter(), time.process_time()
            images = self.make(batch)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            self._store(batch, images)
            answer = {"seconds": wall, "cpu": cpu, "network": self.spent, "unet_calls": self.unet_calls}
            print(json.dumps({**answer, "peak_mib": peak_memory()}), file=out, flush=True)

    def _ours(self):
        import sfumato
        from sfumato.guide import ClassifierFree

        o = self.options
        pipe = sfumato.load(o.model, engine=o.engine, precision=o.precision)
        guidance = [ClassifierFree(o.guidance)]
        grid = {"sampler": "ddim", "times": "trailing", "steps": o.steps}
        return lambda batch: pipe(PROMPT, guidance=guidance, **grid, seed=SEED, count=batch).images

    def _theirs(self):
        import torch
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        from sfumato.zoo.find import find

        o = self.options
        dtype = getattr(torch, o.stock_precision)
        pipe = StableDiffusionPipeline.from_pretrained(find(o.model), dtype=dtype)
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
        pipe.set_progress_bar_config(disable=True)

        def make(batch: int):
            latents = torch.load(self.scratch / f"latents-{batch}.pt", weights_only=True).to(dtype)
            prompts = [PROMPT] * batch
            return pipe(prompts, num_inference_steps=o.steps, guidance_scale=o.guidance, latents=latents).images

        return make

    def _time_engine(self) -> None:
        """Wrap what our engine prepares, to know the time spent inside."""
        from sfumato.network.engine import engine_of

        engine = type(engine_of(self.options.engine))
        plain = engine.prepare

        def prepare(itself, network, spec):
            run = plain(itself, network, spec)
            return self._timed(run, lambda named: named.get("x") if "t" in named else None)

        engine.prepare = prepare

    def _time_networks(self) -> None:
        """Wrap the networks' own methods, to know the time spent inside."""
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel

        def timed(kind: type, method: str, unet: bool = False) -> None:
            plain = getattr(kind, method)

            def call(network, *args, **named):
                return self._timed(plain, lambda named: args[0] if unet else None)(network, *args, **named)

            setattr(kind, method, call)

        timed(UNet2DConditionModel, "forward", unet=True)
        timed(AutoencoderKL, "decode")
        timed(CLIPTextModel, "forward")

    def _timed(self, run, seen):
        """`run` on the clock. seen: (what it is told by name) -> the U-Net's input, None for another network."""

        def call(*args, **named):
            if (x := seen(named)) is not None:
                self.unet_calls += 1
                if self.unet_calls == 1:
                    self.inputs.append(x)
            began = time.perf_counter()
            try:
                return run(*args, **named)
            finally:
                self.spent += time.perf_counter() - began

        return call

    def _store(self, batch: int, images) -> None:
        import numpy as np
        import torch

        np.save(self.scratch / f"{self.name}-{batch}.npy", np.stack([np.asarray(image) for image in images]))
        if self.name == "sfumato":
            torch.save(self.inputs[0][:batch].float().clone(), self.scratch / f"latents-{batch}.pt")


def peak_memory() -> float:
    """The largest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _start(name: str, options: argparse.Namespace, model: str, scratch: Path) -> subprocess.Popen:
    given = ["--model", model, "--scratch", str(scratch), "--worker", name, "--precision", options.precision]
    given += ["--steps", str(options.steps), "--guidance", str(options.guidance), "--threads", str(options.threads)]
    given += ["--engine", options.engine, "--stock-precision", options.stock_precision]
    return subprocess.Popen(
        [sys.executable, str(HERE), *given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=_quiet(options.threads),
    )  # fmt: skip


def _quiet(threads: int) -> dict[str, str]:
    """Threads that sleep while they wait, and nothing that is fetched."""
    return {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}


def _ask(worker: subprocess.Popen, batch: int) -> dict:
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(f"{batch}\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"{worker.args[-1]} ended with code {worker.wait()}; what it said stands above")
    return json.loads(answer)


def _default_model(scratch: Path) -> str:
    from sfumato.zoo import ZOO

    if (ZOO / "mini" / "model_index.json").is_file():
        return "mini"
    subprocess.run([sys.executable, str(HERE.parent / "random_model.py"), str(scratch / "model")], check=True, stdout=2)
    return str(scratch / "model")


def _options() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a built-in model, a folder or a Hub id in the local cache")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    parser.add_argument("--pictures", type=int, default=200, help="for the judge and FID; 0 leaves them out")
    parser.add_argument("--engine", default="eager", help="what runs our networks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    parser.add_argument("--stock-precision", default="float32", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.threads = options.threads or (sorted({1, min(2, cores)}) if options.engine == "openvino" else [cores])
    return options


if __name__ == "__main__":
    main()
