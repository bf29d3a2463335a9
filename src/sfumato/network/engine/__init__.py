"""Engines: what runs a network, given what it may be told.

| engine | what it promises |
|---|---|
| `eager` | plain PyTorch; a picture in a batch is within 1/255 of the picture made alone |
| `exact` | plain PyTorch with the two batch-dependent operations done row by row; bit-equal alone and in any batch |
| `openvino` | float32 graphs of OpenVINO on a CPU, row by row; bit-equal alone and in any batch |

    run = Engine.registry.named("exact").prepare(network, spec)
    run(x=x, t=t, text=text)
"""

from sfumato.network.engine.base import PRECISIONS, Engine, Run, dtype_of, engine_of
from sfumato.network.engine.eager import Eager
from sfumato.network.engine.exact import Exact
from sfumato.network.engine.openvino import OpenVINO

__all__ = ["PRECISIONS", "Eager", "Engine", "Exact", "OpenVINO", "Run", "dtype_of", "engine_of"]
