"""An autoencoder's frozen onlooker and its discriminator: who learns what from whom, and that a run goes on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from sfumato import train
from sfumato.data import vignettes
from sfumato.train.objective.adversary import PatchDiscriminator, balanced, taken_for_real, told_apart
from sfumato.train.objective.reconstruction import JudgedDistance

RECIPE = {
    "task": "autoencoder",
    "data": {"kind": "vignettes", "count": 8, "size": 32},
    "held_back": 2,
    "network": {"channels": [16, 16], "groups": 4},
    "loss": {"perceptual": {"weight": 0.5}, "adversary": {"start": 2, "channels": 16, "layers": 2}},
    "batch": 2,
    "steps": 4,
    "workers": 1,
    "threads": 1,
    "precision": "float32",
    "every": {"log": 1, "save": 1, "sample": 100},
    "keep": 5,
}


def pictures(count: int) -> torch.Tensor:
    drawn = [vignettes.draw(vignettes.scene(3, i), 64, truth=False).image for i in range(count)]
    return torch.stack([torch.from_numpy(each.copy()) for each in drawn]).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_the_onlooker_sees_what_is_equal_and_how_far_the_rest_is():
    x, distance = pictures(4), JudgedDistance()
    noise = torch.randn(x.shape, generator=torch.manual_seed(0))
    blurred = nn.functional.avg_pool2d(x, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert float(distance(x, x).abs().max()) == 0
    assert torch.allclose(distance(x, blurred), distance(blurred, x))
    near, far = distance(x, x + 0.02 * noise), distance(x, x + 0.2 * noise)
    assert (near < far).all()
    assert (near < distance(x, x.roll(1, 0))).all()


def test_a_step_down_its_gradient_brings_a_picture_nearer():
    x, distance = pictures(1), JudgedDistance()
    y = nn.functional.avg_pool2d(x, 4).repeat_interleave(4, 2).repeat_interleave(4, 3).requires_grad_()
    before = distance(x, y).sum()
    (slope,) = torch.autograd.grad(before, y)
    assert float(distance(x, (y - 0.025 * slope / slope.abs().max()).detach())) < float(before.detach())
    assert not any(weight.requires_grad for weight in distance.parameters())


def test_an_odd_row_is_left_out():
    x, distance = pictures(2), JudgedDistance()
    assert torch.equal(distance(x[..., :63], 0.5 * x[..., :63]), distance(x[..., :62], 0.5 * x[..., :62]))


class Says(nn.Module):
    """D(x) = scale * the mean of x, patch by patch."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * nn.functional.avg_pool2d(x.mean(1, keepdim=True), 8)


def test_the_hinge_of_known_verdicts():
    real, made = torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), -2.0)
    with torch.no_grad():
        assert float(told_apart(Says(1.0), real, made)) == pytest.approx((0.5 + 0) / 2)
        assert float(told_apart(Says(-1.0), real, made)) == pytest.approx((1.5 + 3) / 2)
        assert float(taken_for_real(Says(1.0), made)) == pytest.approx(2.0)


def test_each_learns_of_its_own_loss_alone():
    discriminator = Says(1.0)
    made = torch.full((1, 3, 16, 16), -0.5, requires_grad=True)
    told_apart(discriminator, torch.zeros(1, 3, 16, 16), made).backward()
    assert made.grad is None
    assert float(discriminator.scale.grad) != 0
    discriminator.scale.grad = None
    taken_for_real(discriminator, made).backward()
    assert discriminator.scale.grad is None
    assert float(made.grad.abs().sum()) > 0


def test_both_pull_equally_at_the_last_layer():
    last = torch.tensor([3.0, 4.0], requires_grad=True)
    others, heard = last.square().sum() / 2, 0.01 * last.sum()
    assert float(balanced(others, heard, last)) == pytest.approx(5 / (0.01 * 2**0.5), rel=1e-3)


def test_a_verdict_does_not_depend_on_the_neighbours():
    torch.manual_seed(0)
    x, discriminator = torch.randn(3, 3, 96, 96), PatchDiscriminator(8, 3)
    assert discriminator(x).shape == (3, 1, 12, 12)
    assert torch.allclose(discriminator(x)[1:2], discriminator(x[1:2]), atol=1e-5)


def run(folder: Path, steps: int, **changes: object) -> Path:
    file = folder.parent / "recipe.yaml"
    file.write_text(yaml.safe_dump({**RECIPE, **changes}))
    train.run(file, out=folder, overrides=[f"steps={steps}", "optimizer.schedule=constant"])
    return folder


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step-{step:08d}" / "network.safetensors")


def test_a_run_goes_on_exactly_and_leaves_an_autoencoder_alone(tmp_path: Path):
    from diffusers import AutoencoderKL

    whole = run(tmp_path / "whole", 4)
    parts = run(tmp_path / "parts", 3)
    run(parts, 4)
    a, b = weights(whole, 4), weights(parts, 4)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert {name.split(".")[0] for name in a} == {"autoencoder", "discriminator"}
    stock = AutoencoderKL.from_pretrained(whole / "export", subfolder="vae")
    assert stock.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mean.shape == (1, 4, 16, 16)


def test_before_its_start_the_discriminator_learns_and_is_not_heard(tmp_path: Path):
    late, free = {"adversary": {"start": 100, "channels": 16, "layers": 2}}, {"clip": 1e9}
    heard = {"adversary": {**late["adversary"], "start": 1}}
    runs = {"late": late, "without": {}, "heard": heard}
    found = [weights(run(tmp_path / name, 2, loss=loss, optimizer=free), 2) for name, loss in runs.items()]
    first = weights(tmp_path / "late", 1)
    opposed = [name for name in first if name.startswith("discriminator")]
    assert any(not torch.equal(found[0][name], first[name]) for name in opposed)
    own = [[each.get(f"autoencoder.{name}", each.get(name)) for name in found[1]] for each in found]
    assert all(torch.equal(a, b) for a, b in zip(own[0], own[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(own[2], own[1], strict=True))
