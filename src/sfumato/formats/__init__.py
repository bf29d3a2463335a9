"""From a folder to a Stage, and back: one file a family of models.

| family | is | file |
|---|---|---|
| `stable-diffusion` | a `UNet2DConditionModel` told words; latents, or pixels in patches | `stable_diffusion` |
| `ddpm` | a `UNet2DModel` of pixels, unconditional or told a class or a picture | `ddpm` |
| `score-sde` | the same, with a geometric range of sigmas | `score_sde` |

A single file (`model.safetensors`) is read as the folder that it stands for: `single_file`.

What else is known by name is refused by name (`families`), as is every field of a config that is not understood
(`config`, `scheduler_config`) and every weight that is missing or left over (`parts`).
"""

from sfumato.formats.ddpm import Pixels
from sfumato.formats.folder import parts_of, read_json
from sfumato.formats.format import FORMATS, Format, capabilities_of, format_of
from sfumato.formats.scheduler_config import PARAMETERIZATIONS, noise_schedule
from sfumato.formats.score_sde import ScoreSde
from sfumato.formats.single_file import folder_of, single_of
from sfumato.formats.stable_diffusion import StableDiffusion

__all__ = [
    "FORMATS",
    "PARAMETERIZATIONS",
    "Format",
    "Pixels",
    "ScoreSde",
    "StableDiffusion",
    "capabilities_of",
    "folder_of",
    "format_of",
    "noise_schedule",
    "parts_of",
    "read_json",
    "single_of",
]
