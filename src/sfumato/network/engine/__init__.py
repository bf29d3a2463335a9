"""Engines: what runs a network, given what it may be told.

| engine | what it promises |
|---|---|
| `eager` | plain PyTorch; a picture in a batch is within 1/255 of the picture made alone |
| `exact` | plain PyTorch with the two batch-dependent operations done row by row; bit-equal alone and in any batch |
| `openvino` | graphs of OpenVINO on a CPU, row by row; bit-equal alone and in any batch |
| `compiled` | `torch.compile`, for a GPU; a picture in a batch is within 1/255 of the picture made alone |

`auto`, where a model is loaded, is the quickest of them that is here (`quickest`).

    run = Engine.registry.named("exact").prepare(network, spec)
    run(x=x, t=t, text=text)
"""

from sfumato.network.engine.base import PRECISIONS, Engine, Run, dtype_of, engine_of, quickest
from sfumato.network.engine.compiled import Compiled
from sfumato.network.engine.eager import Eager
from sfumato.network.engine.exact import Exact
from sfumato.network.engine.openvino import OpenVINO

__all__ = [
    "PRECISIONS",
    "Compiled",
    "Eager",
    "Engine",
    "Exact",
    "OpenVINO",
    "Run",
    "dtype_of",
    "engine_of",
    "quickest",
]
