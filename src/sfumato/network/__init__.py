"""How a network is executed: which arithmetic, in which order, at which precision.

| engine | what it promises |
|---|---|
| `eager` | plain PyTorch; a picture in a batch is within 1/255 of the picture made alone |
| `exact` | plain PyTorch with the two batch-dependent operations done row by row; bit-equal alone and in any batch |
"""

from sfumato.network.batch_invariant import RowByRow
from sfumato.network.engine import ENGINES, Engine, engine
from sfumato.network.unet2d import UNet2DBackbone
from sfumato.network.unet2d_condition import UNetBackbone

__all__ = ["ENGINES", "Engine", "RowByRow", "UNet2DBackbone", "UNetBackbone", "engine"]
