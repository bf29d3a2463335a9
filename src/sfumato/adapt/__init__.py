"""Adapters: files that are added to a model for a run, and leave it as it was, to the bit.

    pipe(prompt, adapters=[LoRA("me.safetensors") * 0.8, Embedding("style.safetensors")])
    with pipe.attach(LoRA("me.safetensors") * 0.8): ...

| adapter | what it changes |
|---|---|
| `LoRA` | weights: every family of `sfumato.adapt.families` |
| `Embedding` | the words that the text encoders know |
| `Hypernetwork` | what keys and values of attention are made of |
| `Bottleneck` | what attention and feed-forward layers answer |
| `SideTuning` | what the network that denoises answers |

`layers` reads the keys of a file, `names` knows what other tools call the layers of a network, and `swap` puts
W' = W + sum_i w_i (adapter_i(W) - W) in the place of W while the network runs, and W back after it.
"""

from sfumato.adapt.adapter import Adapter, BoundAdapter
from sfumato.adapt.bottleneck import Bottleneck
from sfumato.adapt.file import AdapterFile, open_file
from sfumato.adapt.hypernetwork import Hypernetwork
from sfumato.adapt.lora import LoRA
from sfumato.adapt.recognise import adapters_in
from sfumato.adapt.side_tuning import SideTuning
from sfumato.adapt.textual_inversion import Embedding

__all__ = [
    "Adapter",
    "AdapterFile",
    "Bottleneck",
    "BoundAdapter",
    "Embedding",
    "Hypernetwork",
    "LoRA",
    "SideTuning",
    "adapters_in",
    "open_file",
]
