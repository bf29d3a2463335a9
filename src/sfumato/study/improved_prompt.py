"""An additional prompt improved in latent space, by the gradient of how good the pictures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import torch
from torch import Tensor

from sfumato.condition import Condition, Text
from sfumato.data import vignettes
from sfumato.denoise import Bound
from sfumato.evaluate.judge import Judge
from sfumato.model.run import Run
from sfumato.sample import DDIM
from sfumato.sample.step import Knots, ddim
from sfumato.study.additional_prompt import asked, bound, moved, named, with_extra
from sfumato.study.control_nets import Net
from sfumato.study.pictures import WORLD
from sfumato.study.study import Model, Result, Tick

ELSEWHERE = 100_000
"""Where the seeds and the scenes begin that a prompt is improved on: none of those it is measured on."""


class Quality:
    """The judge's opinion of pictures in [-1, 1], differentiable: log p(the subject is the word) - the mean over all
    attributes of the entropy of what it reads, the Inception Score's wish for sure pictures (Salimans et al. 2016) and
    the word. At most 0; true pictures have -0.3, for the judge was trained with smoothed labels."""

    def __init__(self) -> None:
        self.judge = Judge.load()
        self.names = list(self.judge.attributes)

    def __call__(self, pictures: Tensor, words: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The quality, and p(the subject is the word), (B,) each."""
        logits = [each.float().log_softmax(1) for each in self.judge(pictures)]
        entropy = torch.stack([-(each.exp() * each).sum(1) for each in logits]).mean(0)
        subjects = self.judge.attributes["subject"]
        index = torch.tensor([subjects.index(word) for word in words])
        said = logits[self.names.index("subject")].gather(1, index[:, None])[:, 0]
        return said - entropy, said.exp()


def improve(
    tick: Tick, model: Model, net: Net | None, guidance: float, iterations: int, rate: float, batch: int, walk: int,
    side: str, extra: str,
) -> Result:  # fmt: skip
    """An additional prompt improved in latent space: one delta (1, L, D), added to its embeddings whatever the word,

        delta* = argmax_delta E quality(decode(DDIM(noise; word, extra + delta))),

    by Adam from 0, the gradient taken through all steps of guided DDIM (Clark et al. 2024, "Directly fine-tuning
    diffusion models on differentiable rewards"). Words, edges and noises are others than those it is measured on.
    """
    pipe, quality = model.load(), Quality()
    delta, adam, curve = None, None, []
    for i in range(iterations):
        total = []
        for k in range(batch):
            number = ELSEWHERE + i * batch + k
            scene = next(each for each in (vignettes.scene(WORLD, n) for n in count(100 * number)) if named(each))
            recipe, _ = asked(pipe, scene, net, guidance, walk, number)
            run = bound(pipe, replace(with_extra(recipe, side, extra), sampler=DDIM()))
            if delta is None or adam is None:
                text = run.denoise.condition.get(Text)
                moved(run.denoise.condition, side, torch.zeros(()))  # refuses a model without words
                assert text is not None
                delta = torch.zeros_like(text.embeds[:1] if side == "positive" else text.null().embeds[:1])
                adam = torch.optim.Adam([delta.requires_grad_()], rate)
            with torch.enable_grad():
                x = walked(run, moved(run.denoise.condition, side, delta))
                value = quality(pipe.stage.space.decode(x), [scene["subject"]])[0].mean()
            (gradient,) = torch.autograd.grad(-value / batch, [delta])
            delta.grad = gradient if k == 0 or delta.grad is None else delta.grad + gradient
            total.append(float(value.detach()))
        assert adam is not None
        adam.step()
        curve.append(np.mean(total))
        tick(i + 1, iterations)
    assert delta is not None
    return {"delta": delta.detach().numpy(), "curve": np.array(curve)}


def walked(run: Run, condition: Condition) -> Tensor:
    """Where DDIM ends from the run's start, told another condition; differentiable in it."""
    denoise = Bound(run.denoise.denoiser, condition)
    x, times = run.start(denoise, run.batch.times, run.batch.noise)
    for t, s in pairwise(times):
        x = ddim(denoise(x, t), Knots.of(denoise.schedule, t, s))
    return x
