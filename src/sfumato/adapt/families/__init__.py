"""What files of weights say of one layer, one file a family: each gives the change of a weight at weight 1.

| family | the change of W | tensors |
|---|---|---|
| `lora` | (alpha/r) B A, of convolutions too (LoCon), with a core (Tucker) | `lora_down`, `lora_up`, `lora_mid` |
| `loha` | (alpha/r) (B1 A1) * (B2 A2), entry by entry | `hada_w1_a`, ..., `hada_t2` |
| `lokr` | (alpha/r) w1 (x) w2, Kronecker's product | `lokr_w1`, ..., `lokr_t2` |
| `ia3` | W v, row by row or column by column | `weight` and `on_input` |
| `glora` | (alpha/r) (W a1 a2 + b1 b2) | `a1`, `a2`, `b1`, `b2` |
| `oft` | s R W - W, R a rotation in blocks (OFT), or stages of them (BOFT) | `oft_blocks`, `rescale` |
| `full` | the difference itself | `diff`, `diff_b`, `w_norm`, `b_norm` |

A magnitude beside any of them makes it a DoRA (`dora`): the sum's rows or columns are given that length.
"""

from sfumato.adapt.families.family import FAMILIES, Family, Tensors, adapted
from sfumato.adapt.families.full import Full
from sfumato.adapt.families.glora import GLoRA
from sfumato.adapt.families.ia3 import IA3
from sfumato.adapt.families.loha import LoHa
from sfumato.adapt.families.lokr import LoKr
from sfumato.adapt.families.lora import LowRank
from sfumato.adapt.families.oft import Orthogonal

__all__ = ["FAMILIES", "IA3", "Family", "Full", "GLoRA", "LoHa", "LoKr", "LowRank", "Orthogonal", "Tensors", "adapted"]
