"""LoRA: Hu et al. 2021, "Low-Rank Adaptation of Large Language Models"; with convolutions LoCon, with `dora` DoRA."""

from __future__ import annotations

from typing import Literal

from sfumato.train.method import method
from sfumato.train.methods.weights import LowRankMethod


@method
class LoRAMethod(LowRankMethod):
    """W + (alpha/r) B A in every layer of attention: `sfumato.adapt.families.lora`."""

    kind: Literal["lora"] = "lora"
