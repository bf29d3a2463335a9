"""From a folder to a Stage, and back: one file a family of models.

| family | is | file |
|---|---|---|
| `stable-diffusion` | a `UNet2DConditionModel` told words; latents, or pixels in patches | `stable_diffusion` |
| `stable-diffusion-xl` | the same, told the words of two encoders, and sizes | `stable_diffusion_xl` |
| `instruct-pix2pix` | Stable Diffusion that edits the picture beside the noise as it is told | `instruct_pix2pix` |
| `stable-diffusion-depth` | Stable Diffusion told how far away things are | `stable_diffusion_depth` |
| `stable-diffusion-upscale` | Stable Diffusion told the picture at a quarter of its size | `stable_diffusion_upscale` |
| `stable-diffusion-latent-upscale` | the same, told the latents of half its size | `stable_diffusion_latent_upscale` |
| `image-variations` | Stable Diffusion told a picture in the place of words | `image_variations` |
| `stable-diffusion-3` | a transformer told words by two CLIPs and, unless it is left out, a T5 | `stable_diffusion_3` |
| `flux` | FLUX.1: a transformer told words by a T5 and a CLIP; Kontext, which looks at a picture; Fill | `flux` |
| `flux2` | FLUX.2 klein and dev: a transformer told words by a chat model, which looks at pictures | `flux2` |
| `deepfloyd-if` | a `UNet2DConditionModel` of small pictures in pixels, told words by a T5 | `deepfloyd_if` |
| `deepfloyd-if-upscale` | the same, told the picture at a quarter of its size | `deepfloyd_if` |
| `ddpm` | a `UNet2DModel` of pixels, unconditional or told a class or a picture | `ddpm` |
| `score-sde` | the same, with a geometric range of sigmas | `score_sde` |
| `latent-diffusion` | a `UNet2DModel` of a `VQModel`'s latents, told nothing or a class | `latent_diffusion` |
| `latent-diffusion-class` | a `UNet2DConditionModel` of them that attends to a class | `latent_diffusion_class` |
| `latent-diffusion-upscale` | the same, told the picture at as many pixels as there are cells | `latent_diffusion` |
| `latent-diffusion-text` | a `UNet2DConditionModel` told words by CompVis' own encoder | `latent_diffusion_text` |
| `kandinsky-prior` | a `PriorTransformer` that draws the image embedding of words | `kandinsky` |
| `kandinsky` | a `UNet2DConditionModel` told an image embedding; latents of a MoVQ | `kandinsky` |
| `unclip` | Karlo: a prior, a U-Net of pixels told words and an image embedding, an upsampler | `unclip` |
| `stable-unclip` | Stable Diffusion told words and an image embedding, a prior's or a picture's | `stable_unclip` |
| `dit` | a `DiTTransformer2DModel` told a class; a table of betas, latents | `dit` |
| `qwen-image` | a `QwenImageTransformer2DModel` told what a chat model reads; flow matching of latents | `qwen_image` |
| `qwen-image-edit` | the same, shown pictures that it changes as it is told | `qwen_image` |
| `pixart` | a `PixArtTransformer2DModel` told words by a T5; a table of betas, latents | `pixart` |
| `sana` | a `SanaTransformer2DModel` told words behind an instruction; flow matching of latents | `sana` |
| `sana-sprint` | the same, a consistency function told the scale of its guidance | `sana_sprint` |
| `z-image` | a `ZImageTransformer2DModel` told what a chat model reads; flow matching of latents | `z_image` |

`unet_stage` is what the families of `UNet2DConditionModel` have in common. A single file (`model.safetensors`) is read
as the folder that it stands for: `single_folder`, `single_file`.

What else is known by name is refused by name (`families`), as is every field of a config that is not understood
(`config`, `scheduler_config`) and every weight that is missing or left over (`parts`).
"""

from sfumato.formats.ddpm import Pixels
from sfumato.formats.deepfloyd_if import DeepFloydIF, DeepFloydIFUpscale
from sfumato.formats.dit import DiT
from sfumato.formats.flux import Flux
from sfumato.formats.flux2 import Flux2
from sfumato.formats.folder import parts_of, read_json
from sfumato.formats.format import FORMATS, Format, capabilities_named, capabilities_of, format_of
from sfumato.formats.image_variations import ImageVariations
from sfumato.formats.instruct_pix2pix import InstructPix2Pix
from sfumato.formats.kandinsky import Kandinsky, KandinskyPrior
from sfumato.formats.latent_diffusion import LatentUpscale, UnconditionalLatents
from sfumato.formats.latent_diffusion_class import ClassLatents
from sfumato.formats.latent_diffusion_text import TextLatents
from sfumato.formats.pixart import PixArt
from sfumato.formats.qwen_image import QwenImage, QwenImageEdit
from sfumato.formats.sana import Sana
from sfumato.formats.sana_sprint import SanaSprint
from sfumato.formats.scheduler_config import PARAMETERIZATIONS, noise_schedule
from sfumato.formats.score_sde import ScoreSde
from sfumato.formats.single_file import single_of
from sfumato.formats.single_folder import folder_of
from sfumato.formats.stable_diffusion import StableDiffusion
from sfumato.formats.stable_diffusion_3 import StableDiffusion3
from sfumato.formats.stable_diffusion_depth import StableDiffusionDepth
from sfumato.formats.stable_diffusion_latent_upscale import StableDiffusionLatentUpscale
from sfumato.formats.stable_diffusion_upscale import StableDiffusionUpscale
from sfumato.formats.stable_diffusion_xl import StableDiffusionXL
from sfumato.formats.stable_unclip import StableUnCLIP
from sfumato.formats.unclip import UnCLIP
from sfumato.formats.z_image import ZImage

__all__ = [
    "FORMATS",
    "PARAMETERIZATIONS",
    "ClassLatents",
    "DeepFloydIF",
    "DeepFloydIFUpscale",
    "DiT",
    "Flux",
    "Flux2",
    "Format",
    "ImageVariations",
    "InstructPix2Pix",
    "Kandinsky",
    "KandinskyPrior",
    "LatentUpscale",
    "PixArt",
    "Pixels",
    "QwenImage",
    "QwenImageEdit",
    "Sana",
    "SanaSprint",
    "ScoreSde",
    "StableDiffusion",
    "StableDiffusion3",
    "StableDiffusionDepth",
    "StableDiffusionLatentUpscale",
    "StableDiffusionUpscale",
    "StableDiffusionXL",
    "StableUnCLIP",
    "TextLatents",
    "UnCLIP",
    "UnconditionalLatents",
    "ZImage",
    "capabilities_named",
    "capabilities_of",
    "folder_of",
    "format_of",
    "noise_schedule",
    "parts_of",
    "read_json",
    "single_of",
]
