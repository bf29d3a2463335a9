"""From recipes and pictures to the parts of a network's condition: one file an encoder.

| encoder | gives | of |
|---|---|---|
| `ClipText` | `Text` | the recipe's prompt and negative prompt |
| `T5Text` | `Text` | the same, by a T5 encoder |
| `ChatText` | `Text` | the same, and its reference pictures where the chat model sees |
| `InstructedText` | `Text` | the same, behind an instruction to a chat model |
| `ClassLabel` | `Label` | its label |
| `ToldScale` | `GuidanceScale` | the scale of a guidance that the network is told |
| `ReferenceLatents` | `References` | its reference pictures |
| `MaskedPicture` | `Concat` | the held picture and the mask, for networks trained to inpaint |
| `PictureToMend` | `Concat` | the source and its task, for networks of pictures to pictures |

`text_encoder` is what all encoders of words have in common. `clip` is a whole CLIP, which compares pictures with
captions; `vision_patches` is how Qwen's chat models see pictures.
"""

from sfumato.encode.chat_text import ChatText
from sfumato.encode.class_label import ClassLabel
from sfumato.encode.clip_text import ClipText
from sfumato.encode.encoder import Asked, Encoder, Told
from sfumato.encode.guidance_scale import ToldScale
from sfumato.encode.instructed_text import InstructedText
from sfumato.encode.masked_picture import MaskedPicture, masked_planes
from sfumato.encode.picture_to_mend import PictureToMend
from sfumato.encode.reference_latents import ReferenceLatents
from sfumato.encode.t5_text import T5Text
from sfumato.encode.text_encoder import TextEncoder
from sfumato.encode.vision_patches import VisionPatches

__all__ = [
    "Asked",
    "ChatText",
    "ClassLabel",
    "ClipText",
    "Encoder",
    "InstructedText",
    "MaskedPicture",
    "PictureToMend",
    "ReferenceLatents",
    "T5Text",
    "TextEncoder",
    "Told",
    "ToldScale",
    "VisionPatches",
    "masked_planes",
]
