"""What a model of pictures to pictures is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato.edit.palette import seen
from sfumato.picture import BadInput

PICTURE = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
NOISE = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1))
MASK = torch.zeros(1, 1, 5, 4)
MASK[..., 2:, :] = 0.25


def test_colouring_shows_pillows_grey_in_every_channel():
    grey = seen("colourise", PICTURE)
    pixels = ((PICTURE[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    true = np.asarray(Image.fromarray(pixels).convert("L")).astype(float) / 127.5 - 1
    assert all(np.abs(grey[0, c].numpy() - true).max() < 1.6 / 127.5 for c in range(3))
    assert torch.equal(seen("colourise", grey), grey) or torch.allclose(seen("colourise", grey), grey, atol=1e-6)


@pytest.mark.parametrize("task", ["inpaint", "uncrop"])
def test_a_hole_is_noise_and_the_rest_the_picture(task: str):
    shown = seen(task, PICTURE, MASK, NOISE)
    assert torch.equal(shown[..., :2, :], PICTURE[..., :2, :])
    assert torch.equal(shown[..., 2:, :], NOISE[..., 2:, :])
    with pytest.raises(BadInput, match="give a mask"):
        seen(task, PICTURE)


def test_restoring_shows_all_and_an_unknown_task_is_refused():
    assert torch.equal(seen("restore", PICTURE, MASK, NOISE), PICTURE)
    with pytest.raises(BadInput, match="no task called 'sharpen'"):
        seen("sharpen", PICTURE)
