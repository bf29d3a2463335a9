"""What the study of schedules computes in closed form, against the exact Gaussian denoiser and its probability flow."""

import numpy as np
import pytest
import torch

from sfumato.data import vignettes
from sfumato.denoise import Gaussian
from sfumato.schedule import Cosine, Flow, VPLinear
from sfumato.study import schedules

VARIANCES = torch.tensor([4.0, 1.0, 0.09, 0.0], dtype=torch.float64)
MEAN = torch.tensor([0.5, -1.0, 0.2, 0.7], dtype=torch.float64)


@pytest.mark.parametrize("schedule", [Cosine(), VPLinear(), Flow()])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.95])
def test_what_can_be_known_is_what_the_best_denoiser_knows(schedule, t):
    oracle = Gaussian(schedule, MEAN, VARIANCES)
    x0 = oracle.draw(40_000, seed=1)
    alpha, sigma = schedule(t)
    x = alpha * x0 + sigma * torch.randn(x0.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    error = (oracle(x, torch.tensor(t)).x0 - x0).square().sum(1).mean() / VARIANCES.sum()
    found = schedules.known(alpha[None], sigma[None], VARIANCES)
    assert 1 - float(found) == pytest.approx(float(error), rel=0.02)


@pytest.mark.parametrize("schedule", [Cosine(), VPLinear(), Flow()])
@pytest.mark.parametrize("start", [0.3, 0.8])
def test_the_error_of_skipped_steps_is_that_of_the_probability_flow(schedule, start):
    """The flow from t to 0 is affine: where it carries 0 and the unit vectors gives the samples' mean and spread."""
    oracle = Gaussian(schedule, MEAN, VARIANCES)
    size = torch.hypot(*schedule(start))
    middle = oracle.flow(torch.zeros(1, 4, dtype=torch.float64), start, 0.0)[0]
    ends = oracle.flow(size * torch.eye(4, dtype=torch.float64), start, 0.0)
    deviation = (ends - middle).diagonal()
    off = (middle - MEAN).square().sum() + (deviation - VARIANCES.sqrt()).square().sum()
    found = schedules.skipped(schedule, torch.tensor([start], dtype=torch.float64), VARIANCES, MEAN)
    assert float(found) == pytest.approx(float((off / VARIANCES.sum()).sqrt()), rel=1e-9)


def test_nothing_is_lost_by_leaving_out_nothing():
    begin = torch.ones(1, dtype=torch.float64)
    assert float(schedules.skipped(Cosine(), begin, VARIANCES, MEAN)) == pytest.approx(0, abs=1e-7)
    assert float(schedules.skipped(VPLinear(), begin, VARIANCES, MEAN)) > 1e-3  # whose alpha(1) is not 0


def test_the_world_s_gaussian_has_its_pictures_variance_and_mean():
    found = schedules.spectrum(lambda *_: None, 12, 8)
    pictures = np.stack([
        vignettes.draw(vignettes.scene(0, i), 8, truth=False).image.reshape(-1) / 127.5 - 1 for i in range(12)
    ])  # fmt: skip
    assert found["variances"].sum() == pytest.approx(pictures.var(0).sum(), rel=1e-4)
    assert np.linalg.norm(found["mean"]) == pytest.approx(np.linalg.norm(pictures.mean(0)), rel=1e-4)
