"""What an autoencoder learns best by, at equal time: mini's, from nothing, each choice by itself.

Run: python benchmarks/autoencoder_choices.py [NAME ...] [--minutes 30] [--count 200] [--output runs]

Every choice trains the recipe `mini-autoencoder` (following no other autoencoder's latents) with one thing changed, for
the same time of the same machine. Then pictures of another world go through it: PSNR and SSIM, and what the judge reads
off what comes back, of all that is stated in their captions and of the style alone, which is the first to be lost. The
last row is the truth itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from choices import options, trained
from rich.console import Console
from rich.table import Table

from sfumato.evaluate import evaluation
from sfumato.evaluate.attributes import drawn, score_attributes, through
from sfumato.evaluate.judge import Judge
from sfumato.evaluate.metrics.pixel import box_window, psnr, ssim
from sfumato.evaluate.questions import questions
from sfumato.space import Latent

PLAIN = "gradient: 0, pyramid: 0"
SHIPPED = "gradient: 0.5, pyramid: 0.5, kl: 1.0e-4"
SEEN = "perceptual: {weight: 0.5}"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "as shipped": (),
    "L1 alone": ("loss={" + PLAIN + ", kl: 1.0e-4}",),
    "no texture": ("loss={" + SHIPPED + "}",),
    "perceptual": ("loss={" + SHIPPED + ", " + SEEN + "}",),
    "perceptual, discriminator": ("loss={" + SHIPPED + ", " + SEEN + ", adversary: {start: 200}}",),
    "texture, perceptual": ("loss={" + SHIPPED + ", texture: 3.0, " + SEEN + "}",),
    "4 channels": ("network.latent_channels=4",),
    "8 channels": ("network.latent_channels=8",),
    "16 channels": ("network.latent_channels=16",),
}
COMMON = (
    "data.seed=11",
    "data.count=24000",
    "align=null",
    "steps=1000000",
    "every.save=1000000",
    "every.sample=1000000",
    "export=float32",
)


@torch.no_grad()
def read(vae: Any, count: int) -> dict[str, float]:
    """What comes back of pictures that go through an autoencoder, None for the pictures themselves."""
    asked = questions(count, evaluation.SEED, "seen")
    true = drawn(asked, (128, 128))
    copied = true if vae is None else through(Latent(vae), true)
    scores = score_attributes(asked, Judge.load().predict(copied))
    same = {"psnr": float("inf"), "ssim": 1.0}
    near = {"psnr": float(psnr(true, copied).mean()), "ssim": float(ssim(true, copied, box_window).mean())}
    told = {"all": 100 * scores.stated.value, "style": 100 * scores.attributes["style"].value}
    return {**(same if vae is None else near), **told}


def main() -> None:
    from diffusers import AutoencoderKL

    o = options(__doc__, CHOICES, 200)
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for name in o.names:
        run = trained("mini-autoencoder", name, (*COMMON, *CHOICES[name]), o)
        steps = json.loads((run / "figures.json").read_text())["steps"]
        found[name] = f"{steps:,}", read(AutoencoderKL.from_pretrained(run / "export", subfolder="vae"), o.count)
    found["the pictures"] = "-", read(None, o.count)
    table = Table(title=f"mini's autoencoder from nothing, {o.minutes:g} minutes each")
    for column in ("choice", "steps", "PSNR dB", "SSIM", "stated %", "style %"):
        table.add_column(column)
    for name, (steps, f) in found.items():
        table.add_row(name, steps, f"{f['psnr']:.1f}", f"{f['ssim']:.3f}", f"{f['all']:.1f}", f"{f['style']:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
