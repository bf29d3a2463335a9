"""Trains the miniature's family in order: at 64 x 64 autoencoder, CLIP and U-Net, then at 128 x 128 autoencoder, its
decoder and U-Net (in four runs), which begin from those; then measures it. One command, begun again at will.

    python scripts/train_mini.py                     everything to its end; stopped and begun again it goes on
    python scripts/train_mini.py --small mini        the 64 x 64 ones are those of a folder or a built-in model
    python scripts/train_mini.py --minutes 9 --copy-to "$OUT"    what fits into nine minutes by the clock, and brings it
    python scripts/train_mini.py --estimate          seconds a step on this machine and the hours that they promise

A stage that has an export is skipped. With --minutes each stage gets its share of what is left of the time after the
pictures are drawn; its learning rate falls to nothing within that share, so that what it exports is a finished model of
that many minutes, not a piece of a longer run. A stage that an earlier call has begun goes on, with its share on top.
`--export-now` ends every stage that has a checkpoint and no export where it is, with its averaged weights.

On a GPU (found by itself) batches and learning rates are larger, as `GPU` says, and all cores draw.

How long at 128 x 128, on one core without AVX-512 (float32): pictures 0.2 hours, autoencoder 3.5, decoder 2, latents
0.5, U-Net 6, 5, 6 and 6. Steps were timed, the rest is reckoned; where bfloat16 pays, a third of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

LAST = "mini-unet-focus"
SMALL = {"mini64-autoencoder": 0.10, "mini-clip": 0.06, "mini64-unet": 0.19}  # shares of the time
LARGE = {
    "mini-autoencoder": 0.24,
    "mini-decoder": 0.07,
    "mini-unet": 0.19,
    "mini-unet-further": 0.15,
    "mini-unet-attention": 0.14,
    LAST: 0.13,
}
EVALUATION = 0.08  # of the whole time, at the end
GPU = {
    "mini64-autoencoder": ["batch=64", "optimizer.lr=2e-3", "steps=4000", "every.save=500"],
    "mini-clip": ["batch=512", "steps=1200", "every.save=200"],
    "mini64-unet": ["batch=256", "optimizer.lr=1.5e-3", "steps=4000", "ema.decay=0.998", "every.save=500"],
    "mini-autoencoder": ["batch=32", "optimizer.lr=2e-3", "steps=5000", "every.save=500"],
    "mini-decoder": ["batch=32", "optimizer.lr=1.2e-3", "steps=2000", "every.save=500"],
    "mini-unet": ["batch=256", "optimizer.lr=1.2e-3", "steps=4000", "ema.decay=0.998", "every.save=500"],
    "mini-unet-further": ["batch=256", "optimizer.lr=8e-4", "steps=2000", "ema.decay=0.998", "every.save=500"],
    "mini-unet-attention": ["batch=256", "optimizer.lr=8e-4", "steps=1700", "ema.decay=0.998", "every.save=500"],
    LAST: ["batch=256", "optimizer.lr=6e-4", "steps=1700", "ema.decay=0.998", "every.save=500"],
}
STANDS_ON = {
    "mini64-unet": {"autoencoder": "mini64-autoencoder", "text_encoder": "mini-clip"},
    "mini-autoencoder": {"align.model": "mini64-autoencoder"},
    "mini-decoder": {"begin": "mini-autoencoder"},
    "mini-unet": {"autoencoder": "mini-decoder", "text_encoder": "mini-clip", "begin": "mini64-unet"},
    "mini-unet-further": {"autoencoder": "mini-decoder", "text_encoder": "mini-clip", "begin": "mini-unet"},
    "mini-unet-attention": {"autoencoder": "mini-decoder", "text_encoder": "mini-clip", "begin": "mini-unet-further"},
    LAST: {"autoencoder": "mini-decoder", "text_encoder": "mini-clip", "begin": "mini-unet-attention"},
}
"""What a stage is given of those before it."""


def main() -> None:
    options = _options()
    began = time.monotonic()
    cuda = _cuda()
    if options.estimate:
        for name in _family(options):
            _sfumato("train", name, "--dry-run", *_settings(options, name, cuda))
        return
    left = (lambda: options.minutes - (time.monotonic() - began) / 60) if options.minutes else None
    _draw(options, cuda)
    shares = _family(options)
    stages = [name for name in shares if not _exported(options.runs, name)]
    kept = EVALUATION * options.minutes if options.minutes else 0.0
    for i, name in enumerate(stages):
        more = _settings(options, name, cuda)
        if options.export_now:
            if _seconds(options.runs, name) is None:
                break
            more += ["--set", "minutes=0.001"]
        elif left:
            share = shares[name] / sum(shares[n] for n in stages[i:]) * max(left() - kept, 0.2)
            more += ["--set", f"minutes={(_seconds(options.runs, name) or 0) / 60 + share:.2f}"]
        folder = options.runs / name
        code = _sfumato("train", name, "--output", str(folder), *more)
        _copy(folder, options.copy_to)
        if code:
            sys.exit(code)
    if _exported(options.runs, LAST):
        model = options.runs / LAST / "export"
        limit = max(left() * 60, 30) if left else None
        _sfumato("evaluate", str(model), "--count", str(options.count), limit=limit)


def _family(options: argparse.Namespace) -> dict[str, float]:
    """The recipes in their order, and their shares of the time."""
    return LARGE if options.small else SMALL | LARGE


def _settings(options: argparse.Namespace, name: str, cuda: bool) -> list[str]:
    """--set KEY=VALUE for a stage: what it stands on, what a GPU likes, and the caller's own."""
    settings = [*GPU[name], f"workers={os.cpu_count()}", "threads=4"] if cuda else []
    for key, other in STANDS_ON.get(name, {}).items():
        settings.append(
            f"{key}={options.small if options.small and other in SMALL else options.runs / other / 'export'}"
        )
    settings += [text.partition(":")[2] for text in options.set if text.startswith(f"{name}:")]
    return [word for setting in settings for word in ("--set", setting)]


def _draw(options: argparse.Namespace, cuda: bool) -> None:
    """Draws what the stages share beforehand, since a run's clock stands still meanwhile."""
    from sfumato.train import recipe as r

    for name in _family(options):
        if not _exported(options.runs, name):
            recipe = r.load(name, _settings(options, name, cuda)[1::2])
            recipe.data.open(getattr(recipe, "held_back", 1), options.runs / "cache", recipe.workers)


def _sfumato(*words: str, limit: float | None = None) -> int:
    """Runs `sfumato ...`; signals go to it, which saves and leaves. The exit code, 124 where `limit` seconds passed."""
    print("+ sfumato", *words, flush=True)
    process = subprocess.Popen([sys.executable, "-m", "sfumato", *words])
    old = {s: signal.signal(s, lambda number, _: process.send_signal(number)) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
        return 124
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _exported(runs: Path, name: str) -> bool:
    return (runs / name / "figures.json").is_file()


def _seconds(runs: Path, name: str) -> float | None:
    """How long a stage has been trained so far, by its newest checkpoint; None without one."""
    infos = sorted((runs / name / "checkpoints").glob("step-*/info.json"))
    return float(json.loads(infos[-1].read_text())["seconds"]) if infos else None


def _copy(folder: Path, target: Path | None) -> None:
    """Exports, figures, grids and scalars; checkpoints too where there is no export, so that the run can go on."""
    if target is None or not folder.is_dir():
        return
    skipped = ["tensorboard"] + (["checkpoints"] if (folder / "figures.json").is_file() else [])
    shutil.copytree(folder, target / folder.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*skipped))


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="end, exported and measured, after about so many minutes")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs and drawn pictures are kept")
    parser.add_argument("--small", help="a folder or a built-in model that has the parts for 64 x 64 already")
    parser.add_argument("--count", type=int, default=400, help="captions of each kind to evaluate")
    parser.add_argument("--copy-to", type=Path, help="a folder that gets what every stage has made")
    parser.add_argument(
        "--set", action="append", default=[], metavar="STAGE:KEY=VALUE", help="such as mini-unet:batch=64"
    )
    parser.add_argument("--export-now", action="store_true", help="end begun stages where they are and export them")
    parser.add_argument("--estimate", action="store_true", help="only say how long it will take")
    return parser.parse_args()


if __name__ == "__main__":
    main()
