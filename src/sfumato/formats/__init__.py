"""From a folder to a Stage, and back: one file a family of models.

| family | is | file |
|---|---|---|
| `stable-diffusion` | a `UNet2DConditionModel` told words; latents, or pixels in patches | `stable_diffusion` |
| `stable-diffusion-xl` | the same, told the words of two encoders, and sizes | `stable_diffusion_xl` |
| `ddpm` | a `UNet2DModel` of pixels, unconditional or told a class or a picture | `ddpm` |
| `score-sde` | the same, with a geometric range of sigmas | `score_sde` |

`unet_stage` is what the families of `UNet2DConditionModel` have in common.
What else is known by name is refused by name (`families`), as is every field of a config that is not understood
(`config`, `scheduler_config`) and every weight that is missing or left over (`parts`).
"""

from sfumato.formats.ddpm import Pixels
from sfumato.formats.folder import parts_of, read_json
from sfumato.formats.format import FORMATS, Format, capabilities_of, format_of
from sfumato.formats.scheduler_config import PARAMETERIZATIONS, noise_schedule
from sfumato.formats.score_sde import ScoreSde
from sfumato.formats.stable_diffusion import StableDiffusion
from sfumato.formats.stable_diffusion_xl import StableDiffusionXL

__all__ = [
    "FORMATS",
    "PARAMETERIZATIONS",
    "Format",
    "Pixels",
    "ScoreSde",
    "StableDiffusion",
    "StableDiffusionXL",
    "capabilities_of",
    "format_of",
    "noise_schedule",
    "parts_of",
    "read_json",
]
