"""What a family of adapters is: tensors of one layer -> the change of its weight and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sfumato.adapt.families.dora import decomposed
from sfumato.element import Registry
from sfumato.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
"""What a file says of one layer, by the names that a family gives them; `alpha` and `magnitude` may be among them."""


class Family:
    """One family. endings: how a key ends (a regular expression) and what its tensor is called."""

    endings: ClassVar[Mapping[str, str]]
    written: ClassVar[Mapping[str, str]] = {}
    """How the key of a tensor ends in kohya's and LyCORIS' files."""
    peft: ClassVar[Mapping[str, str]] = {}
    """The same in peft's; empty where peft has no such family."""
    peft_kind: ClassVar[str] = ""
    """What peft calls the family."""

    def fresh(self, weight: Tensor, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        """What the training of one layer begins with: tensors, float32, whose change of its weight is 0."""
        raise NotImplementedError

    def holds(self, tensors: Tensors) -> bool:
        """Whether these tensors are of this family."""
        return bool(tensors.keys() & set(self.endings.values()))

    def complete(self, tensors: Tensors) -> bool:
        """Whether nothing is missing."""
        raise NotImplementedError

    def delta(self, tensors: Tensors, weight: Tensor) -> Tensor | None:
        """adapter(W) - W in float32, in the shape of W; None where only the bias changes."""
        raise NotImplementedError

    def rank(self, tensors: Tensors) -> int:
        """The r of alpha/r; 0 where there is none, and alpha says nothing."""
        return 0

    def alpha_counts(self, tensors: Tensors) -> bool:
        """Whether an alpha is said that is not the rank."""
        rank = self.rank(tensors)
        return rank > 0 and float(tensors.get("alpha", rank)) != rank

    def without_cores(self, tensors: Tensors) -> Tensors:
        """The same change without cores, which LyCORIS alone has: the two products of a core and a factor are one."""
        return tensors

    def as_peft(self, tensors: Tensors, weight: Tensor) -> tuple[Tensors, int, float]:
        """The tensors, r and alpha with which peft says the same change."""
        plain = self.without_cores(tensors)
        rank = self.rank(plain)
        return plain, rank, float(plain.get("alpha", rank))

    def from_peft(self, tensors: Tensors, rank: int, alpha: float) -> Tensors:
        """The tensors of a file of peft's of which its config says r and alpha."""
        return {**tensors, "alpha": torch.tensor(alpha)}

    def peft_options(self, layers: Sequence[Tensors], weights: Sequence[Tensor]) -> dict[str, Any]:
        """What else peft's config says of such tensors, for layers of those weights. ValueError where it has none."""
        return {}

    def bias(self, tensors: Tensors, bias: Tensor | None) -> Tensor | None:
        """The same of the bias; None where it stays. Beside a change of the weight, of any family, a file may have the
        difference of the bias, as ComfyUI writes it."""
        return tensors["diff_b"].float() if "diff_b" in tensors else None


def uniform(shape: Sequence[int], inputs: int, generator: torch.Generator) -> Tensor:
    """Numbers between -1/sqrt(inputs) and 1/sqrt(inputs): how torch begins a linear layer of so many inputs."""
    return (2 * torch.rand(*shape, generator=generator) - 1) / inputs**0.5


def scale(tensors: Tensors, rank: int) -> float:
    """alpha/r; 1 where no alpha is said."""
    return float(tensors["alpha"]) / rank if "alpha" in tensors else 1.0


def shaped(delta: Tensor, weight: Tensor) -> Tensor:
    """A change in the shape of its weight. ValueError where it has not as many entries: it is another layer's."""
    if delta.numel() != weight.numel() or delta.shape[0] != weight.shape[0]:
        raise ValueError(f"it changes a weight of {tuple(delta.shape)}, and the layer's is {tuple(weight.shape)}")
    return delta.reshape(weight.shape)


def adapted(family: Family, tensors: Tensors, weight: Tensor) -> Tensor | None:
    """adapter(W) - W of any family, with its magnitude where it has one."""
    delta = family.delta(tensors, weight)
    if delta is None or "magnitude" not in tensors:
        return delta
    return decomposed(weight.float(), delta, tensors["magnitude"].float()) - weight.float()


FAMILIES: Registry[Family] = Registry("family of adapters", "sfumato.adapt.families", ordered=True)
