"""Edits: starts, holds and the composite. An edit is a start, a hold and a condition."""

from sfumato.edit.alignment import Words, align
from sfumato.edit.attention import AttentionMaps
from sfumato.edit.composite import paste
from sfumato.edit.edit_friendly import EditFriendly, Replayed
from sfumato.edit.hold import Hold, Outside
from sfumato.edit.invert import Inverted
from sfumato.edit.low_pass import LowPass, low_pass
from sfumato.edit.mask import Inferred, binarized, disagreement
from sfumato.edit.mask_shape import feather, grow, shrinking
from sfumato.edit.mix import Between, lerp, slerp
from sfumato.edit.null_text import NullInverted, NullText, null_text
from sfumato.edit.poisson import poisson
from sfumato.edit.prompt_to_prompt import LocalBlend, coupled, injection, side_by_side
from sfumato.edit.reconstruct import optimise_latent, tune_decoder
from sfumato.edit.start import NoiseStart, Preparing, SDEdit, Start

__all__ = [
    "AttentionMaps",
    "Between",
    "EditFriendly",
    "Hold",
    "Inferred",
    "Inverted",
    "LocalBlend",
    "LowPass",
    "NoiseStart",
    "NullInverted",
    "NullText",
    "Outside",
    "Preparing",
    "Replayed",
    "SDEdit",
    "Start",
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
    "null_text",
    "optimise_latent",
    "paste",
    "poisson",
    "shrinking",
    "side_by_side",
    "slerp",
    "tune_decoder",
]
