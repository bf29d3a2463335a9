"""Networks of maps: their losses in closed form, mirrors, and every shipped recipe end to end in a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import train
from sfumato.data.vignette_truth import JOINTS
from sfumato.picture import BadInput
from sfumato.train.objective.map_losses import DepthLoss, DiceFocal, HeatmapLoss, NormalLoss, bumps
from sfumato.train.recipe import load
from sfumato.train.tasks.maps import LESSONS, MIRRORED

SMALL = ("data.count=6", "data.size=32", "held_back=4", "batch=2", "steps=2", "every.save=1", "optimizer.warmup=1")


def test_dice_and_focal_cross_entropy_in_closed_form():
    target = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(0))
    sure = torch.nn.functional.one_hot(target, 3).movedim(-1, 1) * 60.0
    assert float(DiceFocal(dice=0.5)(sure, target)) == pytest.approx(0, abs=1e-5)
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    entropy = torch.nn.functional.cross_entropy(logits, target)
    assert torch.allclose(DiceFocal(dice=0.0)(logits, target), entropy)
    right = logits.softmax(1).gather(1, target[:, None])
    assert torch.allclose(DiceFocal(dice=0.0, focal=2.0)(logits, target), (-((1 - right) ** 2) * right.log()).mean())
    # of classes that don't exclude each other: p = 1/2 everywhere, a quarter is true: 2 (n/4)(1/2) / (n/4 + n/4)
    half, quarter = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    quarter[..., :4, :4] = 1
    assert float(DiceFocal(dice=1.0)(half, quarter)) == pytest.approx(0.5)
    assert float(DiceFocal(dice=0.0)(half, quarter)) == pytest.approx(np.log(2))
    # a class that isn't there doesn't count
    assert float(DiceFocal(dice=1.0)(sure, target)) == pytest.approx(0, abs=1e-5)
    assert float(DiceFocal(dice=1.0)(torch.cat([sure, torch.full_like(sure[:, :1], -60)], 1), target)) < 1e-5


def test_depth_and_heatmaps_are_least_at_the_truth():
    target = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    loss = DepthLoss(kind="depth")
    assert float(loss(target.logit(), target)) == pytest.approx(0, abs=1e-6)
    shifted = loss((target + 0.05).logit(), target)  # a constant error has no gradient
    assert float(shifted) == pytest.approx(0.05, abs=1e-5)
    joints = torch.tensor([[[4.5, 6.5, 1.0], [0.0, 0.0, 0.0]]])
    wanted = bumps(joints, 12, 10, 1.5)
    assert float(wanted[0, 0].max()) == float(wanted[0, 0, 6, 4]) == 1
    assert not wanted[0, 1].any()
    heat, at = HeatmapLoss(kind="heatmaps"), wanted.clamp(1e-4, 1 - 1e-4).logit()
    assert heat(at, joints) < heat(at + 0.3, joints)
    assert heat(at, joints) < heat(at.roll(1, -1), joints)


@pytest.mark.parametrize("degrees", [0.01, 3.0, 90.0, 179.0])
def test_the_loss_of_normals_is_their_angle(degrees: float):
    turn, length = np.radians(degrees), torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) + 0.5
    target = torch.tensor([0.6, 0.0, 0.8])[:, None, None].expand(2, 3, 4, 4)
    across = torch.tensor([0.8, 0.0, -0.6])[:, None, None]
    answer = (length * (np.cos(turn) * target + np.sin(turn) * across)).requires_grad_()
    loss = NormalLoss(kind="normal")(answer, target)
    assert float(loss.detach()) * 90 == pytest.approx(degrees, abs=1e-3)
    loss.backward()
    assert answer.grad is not None
    assert answer.grad.isfinite().all()


def test_in_a_mirror_what_faced_left_faces_right():
    from sfumato.data import vignettes

    normals = vignettes.draw(vignettes.scene(5, 0), 64).normals
    assert normals is not None
    target = torch.from_numpy(normals).movedim(-1, 0)[None]
    mirrored = LESSONS["normal"].mirrored(target, 64)
    assert torch.equal(mirrored[0, :, 10, 3], target[0, :, 10, 60] * torch.tensor([-1.0, 1.0, 1.0]))
    assert torch.equal(LESSONS["normal"].mirrored(mirrored, 64), target)


def test_in_a_mirror_left_and_right_change_places():
    assert [JOINTS[i] for i in MIRRORED[:3]] == ["nose", "neck", "left_shoulder"]
    joints = torch.rand(2, len(JOINTS), 3)
    joints[..., 2] = (joints[..., 2] > 0.3).float()
    joints[..., :2] *= joints[..., 2:]
    mirrored = LESSONS["keypoints"].mirrored
    once = mirrored(joints, 64)
    eye, other = JOINTS.index("left_eye"), JOINTS.index("right_eye")
    assert torch.equal(once[:, eye, 2], joints[:, other, 2])
    there = joints[:, other, 2] > 0
    assert torch.allclose(once[there, eye, 0], 64 - joints[there, other, 0])
    assert torch.allclose(mirrored(once, 64), joints, atol=1e-5)


@pytest.mark.parametrize("kind", LESSONS)
def test_a_shipped_recipe_end_to_end(kind: str, tmp_path: Path):
    train.run(kind, out=tmp_path / "run", overrides=[*SMALL, "network.widths=[8, 8]"])
    figures = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert figures["steps"] == 2
    measured = {"edges": "edge-f1_lines", "depth": "depth-rank", "normal": "normal-angle", "keypoints": "pck"}
    assert {**measured, "segmentation": "miou"}[kind] in figures
    made = LESSONS[kind].network.load(tmp_path / "run" / "export" / kind)
    assert made.names == LESSONS[kind].names
    assert made.size == 32


def test_a_run_of_maps_goes_on_exactly(tmp_path: Path):
    small = [*SMALL, "network.widths=[8, 8]"]
    train.run("depth", out=tmp_path / "halves", overrides=[*small, "steps=1", "optimizer.schedule=constant"])
    train.run("depth", out=tmp_path / "once", overrides=[*small, "optimizer.schedule=constant"])
    train.run("depth", out=tmp_path / "halves", overrides=[*small, "optimizer.schedule=constant"])
    weights = [(tmp_path / run / "export" / "depth" / "model.safetensors").read_bytes() for run in ("halves", "once")]
    assert weights[0] == weights[1]


def test_a_loss_that_does_not_go_with_a_network_is_refused():
    with pytest.raises(BadInput, match="depth is learned by the loss 'depth', not 'dice-focal'"):
        load("depth", ["loss={kind: dice-focal}"])
    with pytest.raises(BadInput, match=r"network\.kind"):
        load("depth", ["network.kind=dept"])
