"""Regional prompts: words that hold in a part of the picture.

    pipe("a landscape", regions=[Region("a red house", box=(0, 0, 0.5, 1)), Region("a blue boat", "mask.png")])

Where no region lies the recipe's own prompt holds. One file a method:

| method | what reads the words of a region | costs |
|---|---|---|
| `RegionalAttention` | cross-attention of the cells in it, and of no others | little |
| `PredictionMixing` | the whole network; each region keeps its own answer (Bar-Tal et al. 2023) | a row each |
| `SpatioTextual` | a network that was trained on maps of such words (Avrahami et al. 2023) | nothing |
"""

from sfumato.region.attention import RegionalAttention
from sfumato.region.mixing import PredictionMixing
from sfumato.region.region import Region, Regional
from sfumato.region.spatio_textual import SpatioTextual

__all__ = ["PredictionMixing", "Region", "Regional", "RegionalAttention", "SpatioTextual"]
