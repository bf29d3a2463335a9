"""Edits: starts, holds and the composite. An edit is a start, a hold and a condition."""

from sfumato.edit.composite import paste
from sfumato.edit.hold import Hold, Outside
from sfumato.edit.invert import Inverted
from sfumato.edit.poisson import poisson
from sfumato.edit.reconstruct import optimise_latent, tune_decoder
from sfumato.edit.start import NoiseStart, Preparing, SDEdit, Start

__all__ = [
    "Hold",
    "Inverted",
    "NoiseStart",
    "Outside",
    "Preparing",
    "SDEdit",
    "Start",
    "optimise_latent",
    "paste",
    "poisson",
    "tune_decoder",
]
