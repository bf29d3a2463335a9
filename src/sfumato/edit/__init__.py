"""Edits: starts, holds and the composite. An edit is a start, a hold and a condition."""

from sfumato.edit.composite import paste
from sfumato.edit.hold import Hold, Outside
from sfumato.edit.invert import Inverted
from sfumato.edit.low_pass import LowPass, low_pass
from sfumato.edit.mask import Inferred, binarized, disagreement
from sfumato.edit.mix import Between, lerp, slerp
from sfumato.edit.poisson import poisson
from sfumato.edit.reconstruct import optimise_latent, tune_decoder
from sfumato.edit.start import NoiseStart, Preparing, SDEdit, Start

__all__ = [
    "Between",
    "Hold",
    "Inferred",
    "Inverted",
    "LowPass",
    "NoiseStart",
    "Outside",
    "Preparing",
    "SDEdit",
    "Start",
    "binarized",
    "disagreement",
    "lerp",
    "low_pass",
    "optimise_latent",
    "paste",
    "poisson",
    "slerp",
    "tune_decoder",
]
