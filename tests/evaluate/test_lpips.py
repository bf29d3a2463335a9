"""LPIPS by its formula, with weights in the files' true names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as nf
from safetensors.torch import save_file

from sfumato.evaluate.metrics.lpips import VARIABLE, lpips
from sfumato.picture import BadInput

ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def weights(shapes: dict[int, tuple[int, int, int]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {}
    for i, (after, before, kernel) in shapes.items():
        found[f"features.{i}.weight"] = torch.randn(after, before, kernel, kernel) / (before * kernel**2) ** 0.5
        found[f"features.{i}.bias"] = 0.1 * torch.randn(after)
    return found


def lins(widths) -> dict[str, torch.Tensor]:
    return {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(widths)}


@pytest.fixture
def alex(tmp_path: Path) -> Path:
    torch.save({**weights(ALEX), "classifier.1.bias": torch.zeros(3)}, tmp_path / "alexnet-owt-7be5be79.pth")
    torch.save(lins(after for after, _, _ in ALEX.values()), tmp_path / "alex.pth")
    return tmp_path


def test_alex_is_the_formula(alex: Path):
    """Zhang et al. 2018, eq. 1, with torchvision's AlexNet written out."""
    f, w = torch.load(alex / "alexnet-owt-7be5be79.pth"), torch.load(alex / "alex.pth")

    def features(x):
        x = (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[
            :, None, None
        ]
        found = []
        for i, (stride, padding) in {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}.items():
            if i in (3, 6):
                x = nf.max_pool2d(x, 3, 2)
            x = nf.conv2d(x, f[f"features.{i}.weight"], f[f"features.{i}.bias"], stride, padding).relu()
            found.append(nf.normalize(x, dim=1))
        return found

    x, y = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    want = sum(
        ((a - b) ** 2 * w[f"lin{i}.model.1.weight"]).sum(1).mean((1, 2))
        for i, (a, b) in enumerate(zip(features(x), features(y), strict=True))
    )
    network = lpips(str(alex))
    assert torch.allclose(network(x, y), want, rtol=1e-4)
    assert torch.allclose(network(x, y), network(y, x))
    assert network(x, x).tolist() == [0, 0]
    near, far = x + 0.02 * torch.randn_like(x), x + 0.3 * torch.randn_like(x)
    assert (network(x, near) < network(x, far)).all()


def test_vgg_by_its_names(tmp_path: Path):
    shapes, before = {}, 3
    for i, after in zip(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6, strict=True
    ):
        shapes[i], before = (after, before, 3), after
    save_file(weights(shapes), tmp_path / "vgg16.safetensors")
    torch.save(lins((64, 128, 256, 512, 512)), tmp_path / "vgg.pth")
    network = lpips(str(tmp_path))
    assert network.backbone == "vgg"
    x = torch.rand(1, 3, 32, 32)
    assert [tuple(m.shape[1:]) for m in network.maps(x)] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)
    ]  # fmt: skip


def test_weights_that_are_not_here_are_said(alex: Path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(BadInput, match="LPIPS needs weights"):
        lpips()
    monkeypatch.setenv(VARIABLE, str(alex))
    assert lpips().backbone == "alex"
    torch.save(lins((64, 128, 256, 512, 512)), alex / "alex.pth")
    with pytest.raises(BadInput, match="fit together"):
        lpips()
    (alex / "alex.pth").unlink()
    with pytest.raises(BadInput, match="lacks the linear weights"):
        lpips()
    (alex / "alex.pth").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="can't be read"):
        lpips()
