"""Records the pixels of a list of recipes, one at least for every start, hold, sampler, grid and composite, and for the
guidances that built-in models take.

    python scripts/record_pixels.py

writes tests/e2e/pixels.json (the recipes) and tests/e2e/pixels.npz (their pictures, by the exact engine on one thread),
which tests/e2e/test_same_pixels.py paints again: a change of structure must not change a bit. Run it anew only when a
picture was wrong, or when a built-in model was replaced, and say so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "tests" / "e2e"
sys.path.insert(0, str(HERE))

WOMAN = "a painting of a woman in a red jacket"
BOAT = "a watercolour of a blue boat on the sea at sunset"


def recipes() -> dict[str, Any]:
    """The recipes by what they show, all of 3 steps."""
    from pictures import hole, photograph, soft

    import sfumato as s

    photo, other, mask = photograph(0), photograph(1), hole()
    grey = photo.convert("L").convert("RGB")
    sd, hold = s.SDEdit(photo, 0.6), s.Outside(mask)
    samplers = [
        "ddpm", "ddim", "euler", "heun", "dpmpp-2m", "dpmpp-2m-sde", "dpmpp-3m", "dpmpp-3m-sde", "dpmpp-3m-exact",
        "unipc", "deis", "adams-bashforth", "rk45", "dpm-fast", "dpm-adaptive",
        "euler-maruyama", "predictor-corrector", "langevin",
    ]  # fmt: skip
    said: dict[str, dict[str, Any]] = {f"sampler {name}": {"sampler": name} for name in samplers}
    said |= {f"grid {name}": {"times": name} for name in ("leading", "trailing", "karras", "log-snr")}
    said |= {
        "options": {"sampler": s.Heun("kappa", s.Churn(5.0)), "times": "karras"},
        "cfg interval rescale": {"guidance": (s.ClassifierFree(7.0, (0.2, 0.8), 0.7),)},
        "cfg++": {"guidance": (s.CFGPlusPlus(0.6),), "sampler": "ddim"},
        "apg": {"guidance": (s.ProjectedGuidance(6.0, 0.2, -0.5, 10.0),)},
        "pag and thresholds": {
            "guidance": (s.ClassifierFree(4.0), s.PerturbedAttention(2.0), s.DynamicThreshold(0.99, 2.0))
        },
        "static": {"model": "mini-pixel", "guidance": (s.ClassifierFree(4.0), s.StaticThreshold())},
        "auto": {"guidance": (s.AutoGuidance("mini", 2.0),)},
        "clip noised": {"guidance": (s.ClassifierFree(3.0), s.ClipGuidance(3.0)), "sampler": "ddpm"},
        "clip x0": {"guidance": (s.ClipGuidance(2.0, "x0", interval=(0.0, 0.8), cutouts=2),)},
        "classifier": {"model": "fashion", "prompt": "", "label": "sneaker",
                       "guidance": (s.ClassifierGuidance(2.0),), "sampler": "ddpm"},
        "negative": {"negative": "blue", "prompt": "a (red:1.4) boat [on the sea:at night:0.5]"},
        "and": {"prompt": "a boat on the sea :1.2 AND a house on a hill"},
        "sdedit": {"start": sd},
        "hires fix": {"start": s.HiresFix(2, 0.6), "width": 128, "height": 128},
        "hires fix of latents": {"start": s.HiresFix(2, 0.6, "latent-bicubic", "steps"), "width": 128, "height": 128},
        "outside": {"start": sd, "hold": hold},
        "outside shaped": {"start": s.SDEdit(photo, 1.0),
                           "hold": s.Outside(mask, grow=3.0, feather=4.0, dilation=6.0), "composite": "poisson"},
        "soft": {"start": sd, "hold": s.Outside(soft()), "composite": "none"},
        "nine channels": {"model": "mini-inpaint", "start": s.SDEdit(photo, 1.0), "hold": hold},
        "crop": {"start": s.SDEdit(photo.resize((128, 96)), 1.0),
                 "hold": s.Outside(mask.resize((128, 96))), "area": s.Crop(8)},
        "latent": {"start": sd, "hold": hold, "composite": "latent"},
        "inverted": {"start": s.Inverted(photo, 0.7, "a painting of a man"), "sampler": "ddim"},
        "null text": {"start": s.Inverted(photo, 0.5, "a painting of a man", 1, null=2), "sampler": "ddim"},
        "edit friendly": {"start": s.EditFriendly(photo, 0.7, "a painting of a man"), "sampler": "ddpm"},
        "between": {"start": s.Between(photo, other, 0.4, 0.6, refine=1), "sampler": "ddim"},
        "between noised": {"start": s.Between(photo, other, 0.4, 0.6, "noised")},
        "diffedit": {"start": s.Inverted(photo, 0.8, "a man"), "hold": s.Inferred("a man", draws=2), "sampler": "ddim"},
        "low pass": {"hold": s.LowPass(8.0, 0.2, photo)},
        "prompt to prompt": {"attention": s.PromptToPrompt(WOMAN.replace("red", "blue"), blend=("jacket",))},
        "palette": {"model": "palette", "prompt": "", "source": s.Source(grey, "colourise")},
        "palette hole": {"model": "palette", "prompt": "", "source": s.Source(photo, "inpaint"), "hold": hold},
        "bfloat16": {"precision": "bfloat16", "prompt": BOAT},
        "resampled": {"start": s.SDEdit(photo, 1.0), "hold": s.Outside(mask, resample=s.Resample(1, 2))},
        "decoder": {"start": sd, "hold": hold, "composite": "decoder"},
        "norm preserving": {"guidance": (s.NormPreserving(4.0),)},
    }  # fmt: skip
    later = [name for name in s.Sampler.registry if name not in (*samplers, "consistency")]  # of a model of its own
    said |= {f"sampler {name}": {"sampler": name} for name in later}
    said |= {f"grid {name}": {"times": name} for name in s.TimeGrid.registry if f"grid {name}" not in said}
    seeds = _seeds()
    made = {}
    for name, values in said.items():
        number = seeds.setdefault(name, len(seeds))
        small = {} if "model" in values else {"width": 64, "height": 64}  # a quarter of mini's own size, and its time
        made[name] = s.Recipe(**{"prompt": WOMAN, "steps": 3, "seed": number, "engine": "exact", **small, **values})
    return made


def _seeds() -> dict[str, int]:
    """The seeds of the recipes that were recorded before, whose pixels stay."""
    told = json.loads((HERE / "pixels.json").read_text(encoding="utf-8"))
    return {name: recipe["seed"] for name, recipe in told["recipes"].items()}


def main() -> None:
    import numpy as np
    import torch
    from pictures import machine, painted

    torch.set_num_threads(1)
    made = recipes()
    pixels = {}
    for name, recipe in made.items():
        pixels[name] = painted(recipe)
        print(name, pixels[name].shape, round(float(pixels[name].mean()), 2), flush=True)
    np.savez_compressed(HERE / "pixels.npz", **pixels)
    told = {"machine": machine(), "recipes": {name: json.loads(r.to_json()) for name, r in made.items()}}
    (HERE / "pixels.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
