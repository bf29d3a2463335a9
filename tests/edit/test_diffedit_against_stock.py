"""DiffEdit's map and DDIM's inversion beside stock diffusers' own pipeline of them, on one network in one process.

Two things that it does otherwise are told ours: it asks the network for the noise level that a step leads up to, at
which x does not yet stand (ours asks at x's own), and it cuts the map at 1.5 times its mean (ours, as the paper, at a
share of its range).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, StableDiffusionDiffEditPipeline
from random_model import TINY, build
from stock.beside import Same, asked
from stock.edits import photo
from torch import Tensor

import sfumato
from sfumato.denoise import Prediction
from sfumato.edit import Inversion, disagreement

SIZE, STEPS, STRENGTH, COUNT = 32, 10, 0.6, 1000
TRUE, WANTED = "a painting of a cat", "a red hat"
picture = photo((SIZE, SIZE), 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("stock") / "model", "eps", TINY)


@pytest.fixture(scope="module")
def stock(folder: Path) -> Any:
    pipe = StableDiffusionDiffEditPipeline.from_pretrained(folder, safety_checker=None, inverse_scheduler=None)
    pipe.inverse_scheduler = DDIMInverseScheduler.from_config(pipe.scheduler.config, set_alpha_to_one=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def batch(folder: Path) -> Any:
    pipe = sfumato.load(str(folder))
    return pipe.batch([pipe.resolve(pipe.recipes(WANTED, width=SIZE, height=SIZE, guidance=[])[0])])


class Ahead:
    """A denoiser that is asked for the noise level of the next knot, as stock's inversion asks."""

    def __init__(self, denoise: Any, knots: Tensor) -> None:
        self.denoise, self.schedule, self.knots = denoise, denoise.schedule, knots

    def __call__(self, x: Tensor, t: Tensor) -> Prediction:
        above = self.knots[self.knots > max(float(t), self.schedule.last)].min()
        alpha, sigma = self.schedule(t)
        eps = self.denoise(x, above).eps
        return replace(self.denoise(x, t), x0=(x - sigma.float() * eps) / alpha.float(), eps=eps)


def test_the_inversion_is_stock_s(stock: Any, batch: Any) -> None:
    with asked(stock), torch.no_grad():
        theirs = stock.invert(
            TRUE, picture, inpaint_strength=STRENGTH, num_inference_steps=STEPS, guidance_scale=1.0
        ).latents[0]
        indices = stock.inverse_scheduler.timesteps[: len(theirs)]
    knots = torch.tensor([0.0, *((indices.double() + 1) / COUNT).tolist()], dtype=torch.float64)
    source = Ahead(batch.shown(TRUE), knots)
    ours = Inversion(source, batch.encoded(picture), lambda strength: knots.flip(0), float(knots[-1]))
    for knot, latents in zip(knots.flip(0)[:-1], theirs, strict=True):
        torch.testing.assert_close(ours.at(knot)[0], latents, rtol=1e-4, atol=1e-4)
    assert float((theirs[0] - theirs[-1]).abs().mean()) > 0.05


def test_the_map_is_stock_s(stock: Any, batch: Any) -> None:
    """Guided, it is as many times larger, which its threshold doesn't see; unguided, stock's can't be asked."""
    with asked(stock), torch.no_grad():
        theirs = stock.generate_mask(
            picture,
            target_prompt=WANTED,
            source_prompt=TRUE,
            num_maps_per_mask=1,
            mask_encode_strength=STRENGTH,
            num_inference_steps=STEPS,
            guidance_scale=2.0,
            output_type="np",
        )[0]
        stock.scheduler.set_timesteps(STEPS)
        index = int(stock.get_timesteps(STEPS, STRENGTH, "cpu")[0][0])
    t = (index + 1) / COUNT
    apart = disagreement(batch.shown(TRUE), batch.denoise(), batch.encoded(picture), t, Same())[0, 0]
    ours = (apart > 1.5 * apart.mean()).numpy()
    assert 0.02 < ours.mean() < 0.6
    assert np.array_equal(ours, theirs.astype(bool))
