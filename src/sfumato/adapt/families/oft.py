"""OFT: Qiu et al. 2023, "Controlling Text-to-Image Diffusion by Orthogonal Finetuning"; BOFT: Liu et al. 2024,
"Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization"; as LyCORIS writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sfumato.adapt.families.family import FAMILIES, Family, Tensors
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Orthogonal(Family):
    """W' - W with W' = s R W: R turns the outputs; s (out, 1, ...), `rescale`, if there is one, their lengths.

    R is made of rotations (I + Q)(I - Q)^-1, Q = A - A^T, of b outputs each (Cayley's transform). OFT's blocks A
    (n, b, b) stand on R's diagonal, transposed. BOFT's (m, n, b, b) are m stages R_m ... R_1, of which the i-th turns
    b/2 pairs of outputs each, 2^i b/2 apart. Where alpha > 0, the norm of all Q together is at most alpha times the
    outputs.

    Linear in the weight: w R + (1 - w) I. LyCORIS blends each stage of BOFT instead, which is the same at weight 1.
    """

    endings: ClassVar = {r"\.oft_blocks": "oft_blocks", r"\.rescale": "rescale"}
    written: ClassVar = {"oft_blocks": ".oft_blocks", "rescale": ".rescale", "alpha": ".alpha"}

    def holds(self, tensors: Tensors) -> bool:
        return "oft_blocks" in tensors

    def complete(self, tensors: Tensors) -> bool:
        return tensors["oft_blocks"].ndim in (3, 4)

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor:
        blocks, old = tensors["oft_blocks"].float(), weight.float()
        count, size = blocks.shape[-3], blocks.shape[-1]
        if count * size != len(weight):
            raise ValueError(f"it turns {count} x {size} outputs, and the layer has {len(weight)}")
        turns = _rotations(blocks, float(tensors.get("alpha", 0.0)) * len(weight))
        if blocks.ndim == 3:
            new = _turned(turns.transpose(1, 2), old)
        else:
            new = old
            for stage, turn in enumerate(turns):
                order = _paired(len(weight), 2**stage * size // 2).to(weight.device)
                new = _turned(turn, new[order])[order.argsort()]
        return new * tensors.get("rescale", torch.ones(1)).float().to(new) - old


def _rotations(blocks: Tensor, most: float) -> Tensor:
    """(I + Q)(I - Q)^-1 of each block; Q no longer than `most`, if that is above 0."""
    q = blocks - blocks.transpose(-1, -2)
    if most > 0:
        q = q * torch.clamp(most / (q.norm() + 1e-8), max=1.0)
    one = torch.eye(q.shape[-1], device=q.device)
    return (one + q) @ torch.linalg.inv(one - q)


def _turned(turns: Tensor, weight: Tensor) -> Tensor:
    """The rows of a weight, turned block by block: turns (n, b, b)."""
    return torch.einsum("nij,nj...->ni...", turns, weight.unflatten(0, turns.shape[:2])).flatten(0, 1)


def _paired(rows: int, apart: int) -> Tensor:
    """The rows in pairs of which one stands `apart` behind the other."""
    if rows % (2 * apart):
        raise ValueError(f"it turns pairs of outputs {apart} apart, and the layer has {rows}")
    return torch.arange(rows).reshape(-1, 2, apart).transpose(1, 2).flatten()


FAMILIES.add("oft", Orthogonal())
