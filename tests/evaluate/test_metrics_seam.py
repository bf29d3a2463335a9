"""What is asked of an edit's background and of the seam around it."""

import pytest
import torch

from sfumato.evaluate.metrics import difference, psnr, seam

SIDE = 20
generator = torch.Generator().manual_seed(0)
NOISY = torch.rand(2, 3, SIDE, SIDE, generator=generator) * 2 - 1
MASK = torch.zeros(1, 1, SIDE, SIDE)
MASK[..., 5:12, 6:15] = 1


def slow_seam(x, mask, reach):
    """The formula pair by pair."""
    pairs = [((i, j), (i + a, j + 1 - a)) for a in (0, 1) for i in range(SIDE - a) for j in range(SIDE - 1 + a)]
    crossing = [(p, q) for p, q in pairs if bool(mask[p]) != bool(mask[q])]
    edge = {p for pair in crossing for p in pair}

    def near(p):
        return any(max(abs(p[0] - e[0]), abs(p[1] - e[1])) <= reach for e in edge)

    beside = [(p, q) for p, q in pairs if mask[p] == mask[q] and near(p) and near(q)]

    def mean(some):
        return sum(float((x[:, *p] - x[:, *q]).abs().mean()) for p, q in some) / len(some)

    return 127.5 * (mean(crossing) - mean(beside))


@pytest.mark.parametrize("reach", [1, 3])
def test_the_seam_is_its_formula(reach):
    found = seam(NOISY, MASK, reach)
    assert found.tolist() == pytest.approx([slow_seam(x, MASK[0, 0] > 0, reach) for x in NOISY], abs=1e-3)


def test_a_step_at_the_edge_is_seen_and_a_slope_is_not():
    flat = torch.zeros(1, 3, SIDE, SIDE)
    assert seam(flat + 0.2 * MASK, MASK).item() == pytest.approx(25.5, abs=1e-4)
    slope = flat + torch.linspace(-1, 1, SIDE)
    assert abs(seam(slope, MASK).item()) < 1
    assert seam(slope + 0.2 * MASK, MASK).item() > 10


def test_masks_without_an_edge_have_no_seam():
    assert seam(NOISY, torch.zeros_like(MASK)).tolist() == seam(NOISY, torch.ones_like(MASK)).tolist() == [0, 0]


def test_a_mask_at_the_border_and_a_mask_a_picture():
    masks = torch.zeros(2, 1, SIDE, SIDE)
    masks[0, ..., :4], masks[1, ..., 7:, :] = 1, 1
    together = seam(NOISY, masks)
    for i in range(2):
        assert together[i].item() == pytest.approx(seam(NOISY[i : i + 1], masks[i : i + 1]).item())
        assert together[i].item() == pytest.approx(slow_seam(NOISY[i], masks[i, 0] > 0, 4), abs=1e-3)


def test_the_background_error_looks_at_the_background_alone():
    edited = NOISY + MASK
    outside = difference(edited, NOISY, 1 - MASK)
    assert (outside.max == 0).all()
    assert (outside.mean == 0).all()
    assert outside.psnr.tolist() == pytest.approx([120, 120])
    inside = difference(edited, NOISY, MASK)
    assert inside.max.tolist() == pytest.approx([127.5, 127.5])
    assert inside.mean.tolist() == pytest.approx([127.5, 127.5])
    assert inside.psnr.tolist() == pytest.approx([6.0206, 6.0206], abs=1e-3)


def test_weights_of_one_are_the_whole_picture_and_half_weights_weigh():
    other = NOISY.flip(-1)
    torch.testing.assert_close(psnr(NOISY, other, torch.ones_like(MASK)), psnr(NOISY, other))
    half = torch.full_like(MASK, 0.5)
    half[..., 10:, :] = 0
    upper = torch.zeros_like(MASK)
    upper[..., :10, :] = 1
    torch.testing.assert_close(difference(NOISY, other, half).mean, difference(NOISY, other, upper).mean)
