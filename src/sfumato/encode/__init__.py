"""From recipes and pictures to the parts of a network's condition: one file an encoder.

| encoder | gives | of |
|---|---|---|
| `ClipText` | `Text` | the recipe's prompt and negative prompt |
| `T5Text` | `Text` | the same, by a T5 encoder |
| `bert_text.BertText` | `Text` | the same, by latent diffusion's own encoder |
| `JoinedText` | `Text` | the same, by several CLIPs and a T5 |
| `PooledText` | `Text` | the same, by an encoder of tokens and a CLIP's pooled vector beside it |
| `ChatText` | `Text` | the same, and its reference pictures where the chat model sees |
| `ClipTexts` | `Text` | the same, read by several encoders side by side |
| `PictureSizes` | `Sizes` | the size of the run |
| `InstructedText` | `Text` | the same, behind an instruction to a chat model |
| `ClassLabel` | `Label` | its label |
| `ClassToken` | `Text` | its label, as the one token of a text |
| `ToldScale` | `GuidanceScale` | the scale of a guidance that the network is told |
| `ReferenceLatents` | `References` | its reference pictures |
| `ReferencePlanes`, `DepthPlane`, `LowResolution` | `Concat` | its reference picture, as planes beside the noise |
| `NoiseLevel` | `Level` | how noisy those planes are |
| `ImageWords` | `Text` | its reference picture, in the place of words |
| `window_text.WindowText` | `Text` | as `ClipText`, of one window, with a mask |
| `image_embedding.ImageEmbedding`, ... | `Image` | what a prior drew, or its reference picture, as CLIP sees it |
| `enlarged.Enlarged` | `Concat` | what the stage before painted, enlarged |
| `enlarged_latents.EnlargedLatents` | `Concat` | the latents of what the stage before painted, enlarged |
| `MaskedPicture` | `Concat` | the held picture and the mask, for networks trained to inpaint |
| `SceneLayout` | `Layout` | its layout, a map of classes |
| `SpatioTextualLayout` | `Layout` | its regions, each filled with its words' embedding |
| `PictureToMend` | `Concat` | the source and its task, for networks of pictures to pictures |

`text_encoder` is what all encoders of words have in common. `clip` is a whole CLIP, which compares pictures with
captions; `vision_patches` is how Qwen's chat models see pictures.
"""

from sfumato.encode.chat_text import ChatText
from sfumato.encode.class_label import ClassLabel
from sfumato.encode.class_token import ClassToken
from sfumato.encode.clip_text import ClipText
from sfumato.encode.clip_texts import ClipTexts
from sfumato.encode.depth_plane import DepthPlane
from sfumato.encode.encoder import Asked, Encoder, Told
from sfumato.encode.guidance_scale import ToldScale
from sfumato.encode.image_words import ImageWords
from sfumato.encode.instructed_text import InstructedText
from sfumato.encode.joined_text import JoinedText
from sfumato.encode.low_resolution import LowResolution, NoiseLevel
from sfumato.encode.masked_picture import MaskedPicture, masked_pixels, masked_planes
from sfumato.encode.picture_sizes import PictureSizes
from sfumato.encode.picture_to_mend import PictureToMend
from sfumato.encode.pooled_text import ClipPooled, PooledText
from sfumato.encode.reference_latents import ReferenceLatents
from sfumato.encode.reference_planes import ReferencePlanes
from sfumato.encode.scene_layout import SceneLayout, SceneMap
from sfumato.encode.spatio_textual import SpatioTextualLayout
from sfumato.encode.t5_text import T5Text
from sfumato.encode.text_encoder import TextEncoder
from sfumato.encode.vision_patches import VisionPatches

__all__ = [
    "Asked",
    "ChatText",
    "ClassLabel",
    "ClassToken",
    "ClipPooled",
    "ClipText",
    "ClipTexts",
    "DepthPlane",
    "Encoder",
    "ImageWords",
    "InstructedText",
    "JoinedText",
    "LowResolution",
    "MaskedPicture",
    "NoiseLevel",
    "PictureSizes",
    "PictureToMend",
    "PooledText",
    "ReferenceLatents",
    "ReferencePlanes",
    "SceneLayout",
    "SceneMap",
    "SpatioTextualLayout",
    "T5Text",
    "TextEncoder",
    "Told",
    "ToldScale",
    "VisionPatches",
    "masked_pixels",
    "masked_planes",
]
