"""A network that says its own variance, from its 2C channels to the pictures, at fewer steps than in training."""

import pytest
import torch
from diffusers import DDPMScheduler

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned, bind
from sfumato.evaluate.likelihood import variational_bound
from sfumato.noise import KeyedNoise
from sfumato.sample import DDPM, trajectory
from sfumato.schedule import Discrete
from sfumato.times import LeadingGrid, grid

SCHEDULE = Discrete.named("squaredcos_cap_v2", 1000)
START = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Replay:
    """The stream of one torch generator, in the order in which it is asked."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def at(self, *key):
        return self

    def __call__(self, like, *key):
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype)


def network(x, time, condition=None):
    """2C channels: the noise it sees, and a variance that changes with x and time, in [-1, 1] and a little beyond."""
    late = time.reshape(-1, 1, 1, 1).to(x) / 1000
    return torch.cat([torch.tanh(x) * (0.5 + late / 2), 1.1 * torch.sin(3 * x + 5 * late)], 1)


def learned(noise, times):
    denoise = bind(Preconditioned(network, SCHEDULE, learned_variance=True), Condition.empty(3))
    for step in trajectory(denoise, DDPM("learned"), START, times, noise):
        x = step.x
    return x


@pytest.mark.parametrize("steps", [5, 50])
def test_strided_sampling_is_that_of_diffusers(steps):
    """`learned_range` interpolates the log between beta tilde and beta of the *strided* step (eq. 15)."""
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        variance_type="learned_range",
        clip_sample=False,
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(steps)
    x, generator = START, torch.Generator().manual_seed(0)
    for index in scheduler.timesteps:
        x = scheduler.step(network(x, index[None]), index, x, generator=generator).prev_sample
    ours = learned(Replay(), LeadingGrid(offset=0)(steps, SCHEDULE))
    assert float((ours - x).abs().max() / x.abs().max()) < 1e-4


def test_one_strided_step_is_the_interpolation_in_log_space():
    """Nichol & Dhariwal 2021, eq. 15, with beta and beta tilde of a step over 100 knots."""
    t, s = torch.tensor([0.5, 0.4], dtype=torch.float64)
    denoise = bind(Preconditioned(network, SCHEDULE, learned_variance=True), Condition.empty(3))
    noise = KeyedNoise([1, 2, 3])
    p = denoise(START, t)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = SCHEDULE(t), SCHEDULE(s)
    beta = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    tilde = sigma_s**2 / sigma_t**2 * beta
    v = (1.1 * torch.sin(3 * START + 5 * 0.499) + 1) / 2
    mean = alpha_s * beta / sigma_t**2 * p.x0 + alpha_t / alpha_s * sigma_s**2 / sigma_t**2 * START
    Sigma = torch.exp(v * beta.log() + (1 - v) * tilde.log())
    got, _ = DDPM("learned").step(denoise, START, t, s, None, noise)
    torch.testing.assert_close(got, mean + Sigma.sqrt() * noise(START), rtol=1e-5, atol=1e-5)


def test_the_bound_takes_the_same_variance():
    """The network's first L_(t-1), by hand, of pictures of 8 bits at five steps; it is no other sampler's."""
    x0 = (START.clamp(-1, 1) * 127.5).round() / 127.5
    denoise = bind(Preconditioned(network, SCHEDULE, learned_variance=True), Condition.empty(3))
    times, noise = grid("uniform", 5, SCHEDULE), KeyedNoise([1, 2, 3])
    found = {
        variance: variational_bound(denoise, x0, times, noise, variance=variance)
        for variance in ("small", "large", "learned")
    }
    (alpha_t, sigma_t), (alpha_s, sigma_s) = SCHEDULE(times[1]), SCHEDULE(times[2])
    x = alpha_t * x0 + sigma_t * noise(x0, "bound", 1, 0)
    p = denoise(x, times[1])
    beta = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    tilde = sigma_s**2 / sigma_t**2 * beta
    v = p.fraction.double()
    Sigma = torch.exp(v * beta.log() + (1 - v) * tilde.log())
    distance = (alpha_s * beta / sigma_t**2 * (p.x0 - x0)).square()
    nats = (distance / Sigma + tilde / Sigma - 1 - (tilde / Sigma).log()) / 2
    bits = nats.flatten(1).mean(1) / torch.log(torch.tensor(2.0))
    torch.testing.assert_close(found["learned"].steps[:, 1], bits, rtol=1e-4, atol=1e-5)
    assert len({round(float(terms.total.mean()), 4) for terms in found.values()}) == 3
    for terms in found.values():
        assert bool((terms.decoder > 0).all())
        assert bool(terms.total.isfinite().all())
