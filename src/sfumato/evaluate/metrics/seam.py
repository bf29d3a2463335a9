"""How visible the edge of a mask is in the picture that was edited with it."""

from __future__ import annotations

from sfumato.lazy import Tensor, torch


def seam(x: Tensor, mask: Tensor, reach: int = 4) -> Tensor:
    """Seam visibility of each picture in levels of 255, (B,): the mean step across the mask's edge less that beside it,

        mean_{p~q, m_p != m_q} |x_p - x_q|  -  mean_{p~q, m_p = m_q, p and q near} |x_p - x_q|

    over neighbouring pixels p~q, across and down, with |.| the mean over channels, m = mask > 0, and near = within
    `reach` pixels (a square) of one at the edge. 0: the edge shows no more than what surrounds it; below 0: it lies
    in calmer paint. A mask that follows an outline is visible in the original too, so compare with seam(original).

    x (B, C, H, W) in [-1, 1], mask (1 or B, 1, H, W). 0 where the mask has no edge.
    """
    nf = torch.nn.functional
    m = (mask > 0).expand(len(x), -1, -1, -1)
    edge = torch.zeros_like(m)
    for dim in (2, 3):
        across = _apart(m, dim)
        edge |= nf.pad(across, _one(dim, before=False)) | nf.pad(across, _one(dim, before=True))
    near = nf.max_pool2d(edge.float(), 2 * reach + 1, 1, reach) > 0

    sums, counts = x.new_zeros(2, len(x)), x.new_zeros(2, len(x))
    for dim in (2, 3):
        steps = 127.5 * x.diff(dim=dim).abs().mean(1, keepdim=True)
        across = _apart(m, dim)
        nearby = ~across & _both(near, dim)
        for i, pairs in enumerate((across, nearby)):
            sums[i] += (steps * pairs).flatten(1).sum(1)
            counts[i] += pairs.flatten(1).sum(1)
    means = sums / counts.clamp(min=1)
    return torch.where(counts[0] > 0, means[0] - means[1], 0.0)


def _apart(m: Tensor, dim: int) -> Tensor:
    size = m.shape[dim]
    return m.narrow(dim, 1, size - 1) != m.narrow(dim, 0, size - 1)


def _both(m: Tensor, dim: int) -> Tensor:
    size = m.shape[dim]
    return m.narrow(dim, 1, size - 1) & m.narrow(dim, 0, size - 1)


def _one(dim: int, *, before: bool) -> list[int]:
    """Padding by one, before or after, along `dim`."""
    amounts = [int(before), int(not before)]
    return [0, 0, *amounts] if dim == 2 else [*amounts, 0, 0]
