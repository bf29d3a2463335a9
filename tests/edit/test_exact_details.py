"""What a method says in one formula, in numbers that a neighbouring formula would not give."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sfumato.denoise import Prediction
from sfumato.edit.diffedit import DiffEdit, disagreement
from sfumato.edit.null_text import RATE, _descended
from sfumato.edit.prompt_to_prompt import LocalBlend
from sfumato.guide import ProjectedGuidance
from sfumato.guide.guidance import inside, touches
from sfumato.noise import KeyedNoise
from sfumato.schedule import VPLinear
from sfumato.space import Latent

SCHEDULE = VPLinear()
X0 = torch.arange(32.0).reshape(1, 2, 4, 4) / 16 - 1


class Said:
    """A denoiser whose eps is a constant a channel; notes what it was asked."""

    schedule = SCHEDULE

    def __init__(self, *eps: float) -> None:
        self.eps, self.asked = torch.tensor(eps).reshape(1, -1, 1, 1), []

    def __call__(self, x, t):
        self.asked.append((x, float(t)))
        alpha, sigma = self.schedule(torch.as_tensor(t))
        return Prediction(x, x, self.eps.expand_as(x), alpha, sigma)


def test_a_disagreement_is_the_mean_absolute_difference_at_the_level():
    """|0 - 1| and |0 + 3| have the mean 2; their squares would have 5. The picture is noised to t, not to t/2."""
    source, target, noise = Said(0.0, 0.0), Said(1.0, -3.0), KeyedNoise([5])
    assert torch.equal(disagreement(source, target, X0, 0.6, noise), torch.full((1, 1, 4, 4), 2.0))
    alpha, sigma = SCHEDULE(torch.tensor(0.6, dtype=torch.float64))
    for x, t in (*source.asked, *target.asked):
        assert t == 0.6
        torch.testing.assert_close(x, (alpha * X0 + sigma * noise(X0)).float(), check_dtype=False)


def test_a_mask_is_inferred_at_its_level():
    source, target = Said(0.0, 0.0), Said(1.0, 1.0)
    hold = DiffEdit(source, target, SimpleNamespace(x0=X0, calls=0), KeyedNoise([5]), 3, 0.7, shared=True)  # type: ignore[arg-type]
    assert len(list(hold.prepare())) == 3
    assert {t for _, t in source.asked} == {0.7}
    assert len({float(x.sum()) for x, _ in source.asked}) == 3, "each draw has a noise of its own"


def test_null_text_keeps_the_best_and_goes_on_from_where_it_leads():
    """Adam's first step is RATE long: from within half of it the goal is overshot, and the start stays the best."""
    goal, start = torch.zeros(1, 1), torch.full((1, 1), 0.3 * RATE)
    seen = []

    def apart(there: torch.Tensor) -> torch.Tensor:
        seen.append(float((there - goal).detach()))
        return (there - goal).abs().sum(1)

    kept, there = _descended(start, lambda e: 1 * e, apart, 1)
    assert abs(seen[-1]) > abs(seen[0]), "the last is worse than the first"
    assert torch.equal(kept, start)
    assert torch.equal(there, start)
    far, there = _descended(start + RATE, lambda e: 2 * e, apart, 1)
    assert not torch.equal(far, start + RATE)
    assert torch.equal(there, 2 * far), "the next x is where the embeddings lead, not the goal"


@pytest.mark.parametrize(("threshold", "places"), [(0.5, 1), (0.2, 2)])
def test_words_are_where_their_map_exceeds_its_share_of_the_largest(threshold, places):
    """Maps of 1 and 0.3 at opposite corners, each grown by one place: at 0.5 one of them counts, at 0.2 both."""
    maps = torch.zeros(2, 1, 9, 9)
    maps[0, 0, 1, 1], maps[0, 0, 7, 7] = 1.0, 0.3
    blend = LocalBlend(torch.ones(2, 1, 1), threshold, SimpleNamespace(of=lambda words, size: maps))  # type: ignore[arg-type]
    assert int(blend.mask((9, 9)).sum()) == 9 * places


def test_latents_are_shifted_before_they_are_scaled():
    config = {"block_out_channels": [1], "latent_channels": 1, "scaling_factor": 2.0, "shift_factor": 0.5}
    engine = SimpleNamespace(prepare=lambda network, spec: lambda **inputs: next(iter(inputs.values())))
    vae = torch.nn.Linear(1, 1)
    vae.config = config  # type: ignore[assignment]
    space, pictures = Latent(vae, engine), torch.full((1, 1, 2, 2), 3.0)  # type: ignore[arg-type]
    assert torch.equal(space.encode(pictures), torch.full((1, 1, 2, 2), 5.0))  # (3 - 0.5) 2
    assert torch.equal(space.decode(space.encode(pictures)), pictures)


def test_an_interval_has_both_its_ends():
    interval = (0.2, 0.8)
    assert [bool(inside(interval, t)) for t in (0.1999, 0.2, 0.5, 0.8, 0.8001)] == [False, True, True, True, False]
    assert touches(interval, torch.tensor(0.2, dtype=torch.float64))
    assert not touches(interval, torch.tensor(0.19, dtype=torch.float64))


def test_projected_guidance_averages_before_it_cuts():
    """Sadat et al. 2024, algorithm 1: d <- d + m d_before, then d min(1, r/|d|). Cut first it were 0.5."""
    guidance = ProjectedGuidance(3.0, eta=1.0, momentum=-0.5, threshold=1.0).fresh()
    moved = []
    for t in (0.8, 0.6):
        one, zero = torch.tensor([[4.0, 0.0]]), torch.zeros(1, 2)
        c, u = (Prediction(one, x0, zero, torch.tensor(1.0), torch.tensor(1.0)) for x0 in (one, zero))
        time = torch.tensor(t, dtype=torch.float64)
        moved.append(guidance.combine(c, {"conditional": c, "unconditional": u}, one, time).x0[0, 0].item())
    # d = 4, cut to 1: 4 + 2 * 1; then 4 - 0.5 * 4 = 2, cut to 1 again. Cut before: 1 - 0.5 * 1 = 0.5, and 4 + 2 * 0.5
    assert moved == [6.0, 6.0]
