"""Where a picture comes from: what stands in it, whether it was changed, and the same pixels made again."""

from sfumato.provenance.adapters import AdapterReport, inspect_adapter, is_adapter
from sfumato.provenance.controls import ControlReport, inspect_control
from sfumato.provenance.models import ModelReport, inspect_model, known_models
from sfumato.provenance.repeat import Redone, recipe_in, recipe_or_replay, redo
from sfumato.provenance.report import PictureReport, inspect

__all__ = [
    "AdapterReport",
    "ControlReport",
    "ModelReport",
    "PictureReport",
    "Redone",
    "inspect",
    "inspect_adapter",
    "inspect_control",
    "inspect_model",
    "is_adapter",
    "known_models",
    "recipe_in",
    "recipe_or_replay",
    "redo",
]
