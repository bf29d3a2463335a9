"""The network of points: rows apart, zero at first, classes checked, saved and loaded to the bit."""

from __future__ import annotations

import pytest
import torch

from sfumato.condition import Condition, Label, Level
from sfumato.network import mlp
from sfumato.picture import BadInput

CONFIG = {
    "schedule": {"kind": "flow", "shift": 2.0},
    "parameterization": "v",
    "sigma_data": 1.0,
    "learned_variance": False,
}
X, T = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.linspace(0.1, 1, 6)


def network(**shape) -> mlp.MLP:
    torch.manual_seed(0)
    made = mlp.MLP(width=16, depth=2, **shape)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return made


def test_it_says_nothing_at_first():
    assert not mlp.MLP(classes=3)(X, T, torch.zeros(6, dtype=torch.long)).any()


def test_rows_do_not_know_of_each_other_and_time_and_class_matter():
    made = network(classes=3)
    ids = torch.tensor([0, 1, 2, 3, 0, 1])
    whole = made(X, T, ids)
    for row in range(6):
        one = slice(row, row + 1)
        torch.testing.assert_close(made(X[one], T[one], ids[one]), whole[one])
    assert not torch.allclose(made(X, T, (ids + 1) % 4), whole)
    assert not torch.allclose(made(X, T / 2, ids), whole)


def test_a_label_is_a_class_or_none_and_none_is_what_no_label_means():
    backbone = mlp.MLPBackbone(network(classes=3))
    assert backbone.accepts == {Label: 4}
    none = Condition((Label(torch.full((6,), 3), 3),))
    assert torch.equal(backbone(X, T, none), backbone(X, T, Condition.empty(6)))
    assert not torch.equal(backbone(X, T, none), backbone(X, T, Condition((Label(torch.zeros(6).long(), 3),))))


def test_refusals():
    told, never, free = (mlp.MLPBackbone(network(**s)) for s in ({"classes": 3}, {"classes": 3, "null": False}, {}))
    with pytest.raises(BadInput, match="knows the classes 0 to 2, and no class: give it a Label"):
        told(X, T, Condition((Label(torch.full((6,), 4), 3),)))
    with pytest.raises(BadInput, match="knows the classes 0 to 2: give it a Label"):
        never(X, T, Condition.empty(6))
    with pytest.raises(BadInput, match="takes no Label condition; it accepts none"):
        free(X, T, Condition((Label(torch.zeros(6).long(), 3),)))
    with pytest.raises(BadInput, match="takes no Level condition; it accepts Label"):
        told(X, T, Condition((Level(T),)))


def test_save_and_load_give_the_same_denoiser(tmp_path):
    made = network(classes=3, outputs=2)
    config = {**CONFIG, "learned_variance": True}
    mlp.save(tmp_path, made, config)
    condition = Condition((Label(torch.tensor([0, 1, 2, 3, 0, 1]), 3),))
    one, other = (d(X, T, condition) for d in (mlp.denoiser(made, config), mlp.load(tmp_path)))
    assert torch.equal(one.x0, other.x0)
    assert one.fraction is not None
    assert torch.equal(one.fraction, other.fraction)
    assert mlp.load(tmp_path).schedule == mlp.denoiser(made, config).schedule


def test_a_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no readable network of points"):
        mlp.load(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "sfumato-judge"}')
    with pytest.raises(BadInput, match="its kind is sfumato-judge"):
        mlp.load(tmp_path)
