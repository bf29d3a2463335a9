"""Guidance: a guided denoiser is again a denoiser.

`Guided(denoiser, [g1, g2])` asks every guidance which branches of the condition it needs, makes ONE network call on
the rows of all of them, and lets the guidances combine the answers in the order written.

| guidance | moves towards | off | the network's rows a picture | besides |
|---|---|---|---|---|
| none | c | | 1 | |
| `ClassifierFree` | u + scale (c - u) | 1 | + 1 | |
| `CFGPlusPlus` | x0 as above, eps of u | | + 1 | |
| `ProjectedGuidance` | c + (scale - 1) (c - u), its part parallel to c damped | 1 | + 1 | |
| `NormPreserving` | u + scale (c - u), each token as long as c's | 1 | + 1 | |
| `Instruct` | u + image_scale (i - u) + scale (c - i), i told the picture alone | 1, 1 | + 2 | |
| `LayoutGuidance` | u + layout_scale (l - u) + scale (c - l), l told the layout alone | 1, 1 | + 2 | |
| `MultiScale` | u + scale (w - u) + layout_scale (l - u), w told all but the layout | | + 3 | |
| `PerturbedAttention` | c + scale (c - p), p with self-attention the identity | 0 | + 1 | |
| `AutoGuidance`, `AutoGuided` | bad + scale (c - bad) | 1 | + 0 | a call of the bad denoiser |
| `Distilled` | what the network learned to answer when told its scale | 1 | + 0 | |
| `StaticThreshold`, `DynamicThreshold` | x0 within a limit | | + 0 | |
| `ClassifierGuidance`, `ClassifierGradient` | eps - sigma scale grad log p(y given x_t) | 0 | + 0 | a classifier |
| `ClipGuidance`, `ClipGradient` of a noised CLIP | eps - sigma scale grad f(x_t) g(c) | 0 | + 0 | its tower |
| ... of a clean one, `through="x0"` | the same of f(x0) | 0 | + 0 | decoder and tower |
| ... of a clean one, `through="network"` | the same of f(x0(x_t)) | 0 | + 0 | and the network's own backward pass |

A text that is joined of several (see `conjunction`) costs a row for each of them, and the unconditional one.
Regions by mixing cost a row each in every branch that is told words.
Outside its interval a guidance costs nothing. Branches of one name are shared, so rows add up only for different ones.
"""

from sfumato.guide.auto_guidance import AutoGuidance, AutoGuided
from sfumato.guide.cfg_plus_plus import CFGPlusPlus
from sfumato.guide.classifier_free import ClassifierFree
from sfumato.guide.classifier_guidance import ClassifierGradient, ClassifierGuidance, MixtureClassifier, NoisyClassifier
from sfumato.guide.clip_guidance import CleanClip, ClipGradient, ClipGuidance, NoisedClip
from sfumato.guide.distilled import Distilled
from sfumato.guide.gradient import Gradient
from sfumato.guide.guidance import Guidance
from sfumato.guide.guided import Guided
from sfumato.guide.instruct import Instruct
from sfumato.guide.layout import LayoutGuidance
from sfumato.guide.multi_scale import MultiScale
from sfumato.guide.norm_preserving import NormPreserving
from sfumato.guide.perturbed_attention import PerturbedAttention
from sfumato.guide.projected_guidance import ProjectedGuidance
from sfumato.guide.threshold import DynamicThreshold, StaticThreshold

__all__ = [
    "AutoGuidance",
    "AutoGuided",
    "CFGPlusPlus",
    "ClassifierFree",
    "ClassifierGradient",
    "ClassifierGuidance",
    "CleanClip",
    "ClipGradient",
    "ClipGuidance",
    "Distilled",
    "DynamicThreshold",
    "Gradient",
    "Guidance",
    "Guided",
    "Instruct",
    "LayoutGuidance",
    "MixtureClassifier",
    "MultiScale",
    "NoisedClip",
    "NoisyClassifier",
    "NormPreserving",
    "PerturbedAttention",
    "ProjectedGuidance",
    "StaticThreshold",
]

DEFAULT: tuple[Guidance, ...] = (ClassifierFree(),)
"""What guides a picture when nothing else is said."""
