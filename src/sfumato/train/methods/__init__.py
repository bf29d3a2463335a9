"""Ways to teach a model a subject or a style from a handful of pictures, one file each.

| method | what is trained | source |
|---|---|---|
| `dreambooth` | the whole network, or the text encoder too | Ruiz et al. 2023 |
| `lora`, `loha`, `lokr` | low-rank changes of attention (and of convolutions, of texts; `dora`) | `adapt.families` |
| `textual-inversion` | the vectors of a new word | Gal et al. 2022 |
| `pivotal-tuning` | a new word, and a LoRA for what it leaves | Roich et al. 2021; cloneofsimo 2022 |
| `bottleneck` | small layers behind attention and feed-forward | Houlsby et al. 2019 |
| `side-tuning` | a small network beside a U-Net | Zhang et al. 2020 |
| `hypernetwork` | small networks before keys and values | A1111's web page, 2022 |
"""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
