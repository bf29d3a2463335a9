"""Edits: an edit is a start, a hold and a condition; and a composite puts the result into the picture.

One file a method. A start, a hold, a composite is a value that a recipe holds; its `bind` makes the part that acts.
"""

from sfumato.edit.alignment import Words, align
from sfumato.edit.attention_edit import AttentionEdit
from sfumato.edit.attention_maps import AttentionMaps
from sfumato.edit.composite import Composite, Uncomposited
from sfumato.edit.crop import Crop
from sfumato.edit.ddim_inversion import Inversion
from sfumato.edit.decoder_tuning import DecoderTuning, tune_decoder
from sfumato.edit.diffedit import DiffEdit, Inferred, binarized, disagreement
from sfumato.edit.edit_friendly import EditFriendly, EditFriendlyInversion, Replayed
from sfumato.edit.hires_fix import EnlargedStart, HiresFix
from sfumato.edit.hold import BoundHold, Hold
from sfumato.edit.ilvr import ILVR, LowPass, low_pass
from sfumato.edit.interpolate import Between, MixedStart, lerp, slerp
from sfumato.edit.inverted import Inverted
from sfumato.edit.latent_optimisation import LatentOptimisation, optimise_latent
from sfumato.edit.mask_shape import feather, grow, shrinking
from sfumato.edit.noise_start import Noise, NoiseStart
from sfumato.edit.outside import Imputation, Outside
from sfumato.edit.palette import Source
from sfumato.edit.paste import Paste, paste
from sfumato.edit.poisson import Poisson, poisson
from sfumato.edit.prompt_to_prompt import LocalBlend, PromptToPrompt, coupled, injection, side_by_side
from sfumato.edit.refiner import Refiner, Relay
from sfumato.edit.repaint import Resample
from sfumato.edit.sdedit import NoisedStart, SDEdit
from sfumato.edit.start import BoundStart, Start
from sfumato.element.define import renewing

__all__ = [
    "ILVR",
    "AttentionEdit",
    "AttentionMaps",
    "Between",
    "BoundHold",
    "BoundStart",
    "Composite",
    "Crop",
    "DecoderTuning",
    "DiffEdit",
    "EditFriendly",
    "EditFriendlyInversion",
    "EnlargedStart",
    "HiresFix",
    "Hold",
    "Imputation",
    "Inferred",
    "Inversion",
    "Inverted",
    "LatentOptimisation",
    "LocalBlend",
    "LowPass",
    "MixedStart",
    "Noise",
    "NoiseStart",
    "NoisedStart",
    "Outside",
    "Paste",
    "Poisson",
    "PromptToPrompt",
    "Refiner",
    "Relay",
    "Replayed",
    "Resample",
    "SDEdit",
    "Source",
    "Start",
    "Uncomposited",
    "Words",
    "align",
    "binarized",
    "coupled",
    "disagreement",
    "feather",
    "grow",
    "injection",
    "lerp",
    "low_pass",
    "optimise_latent",
    "paste",
    "poisson",
    "shrinking",
    "side_by_side",
    "slerp",
    "tune_decoder",
]

renewing(HiresFix)  # which takes any sampler, grid and guidance
