"""From a folder to a Stage, and back: one file a family of models.

| family | is | file |
|---|---|---|
| `stable-diffusion` | a `UNet2DConditionModel` told words; latents, or pixels in patches | `stable_diffusion` |
| `ddpm` | a `UNet2DModel` of pixels, unconditional or told a class or a picture | `ddpm` |
| `score-sde` | the same, with a geometric range of sigmas | `score_sde` |
| `latent-diffusion` | a `UNet2DModel` of a `VQModel`'s latents, told nothing | `latent_diffusion` |
| `dit` | a `DiTTransformer2DModel` told a class; a table of betas, latents | `dit` |
| `qwen-image` | a `QwenImageTransformer2DModel` told what a chat model reads; flow matching of latents | `qwen_image` |
| `qwen-image-edit` | the same, shown pictures that it changes as it is told | `qwen_image` |
| `pixart` | a `PixArtTransformer2DModel` told words by a T5; a table of betas, latents | `pixart` |
| `sana` | a `SanaTransformer2DModel` told words behind an instruction; flow matching of latents | `sana` |
| `z-image` | a `ZImageTransformer2DModel` told what a chat model reads; flow matching of latents | `z_image` |

What else is known by name is refused by name (`families`), as is every field of a config that is not understood
(`config`, `scheduler_config`) and every weight that is missing or left over (`parts`).
"""

from sfumato.formats.ddpm import Pixels
from sfumato.formats.dit import DiT
from sfumato.formats.folder import parts_of, read_json
from sfumato.formats.format import FORMATS, Format, capabilities_of, format_of
from sfumato.formats.latent_diffusion import UnconditionalLatents
from sfumato.formats.pixart import PixArt
from sfumato.formats.qwen_image import QwenImage, QwenImageEdit
from sfumato.formats.sana import Sana
from sfumato.formats.scheduler_config import PARAMETERIZATIONS, noise_schedule
from sfumato.formats.score_sde import ScoreSde
from sfumato.formats.stable_diffusion import StableDiffusion
from sfumato.formats.z_image import ZImage

__all__ = [
    "FORMATS",
    "PARAMETERIZATIONS",
    "DiT",
    "Format",
    "PixArt",
    "Pixels",
    "QwenImage",
    "QwenImageEdit",
    "Sana",
    "ScoreSde",
    "StableDiffusion",
    "UnconditionalLatents",
    "ZImage",
    "capabilities_of",
    "format_of",
    "noise_schedule",
    "parts_of",
    "read_json",
]
