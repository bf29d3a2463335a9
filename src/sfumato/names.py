"""Names for command lines. Nothing is imported here."""

from __future__ import annotations

GUIDANCES = {  # the short name of each kind of guidance, for command lines
    "cfg": "classifier-free",
    "cfg++": "cfg++",
    "apg": "projected",
    "pag": "perturbed-attention",
    "auto": "auto",
    "classifier": "classifier",
    "clip": "clip",
    "static": "static-threshold",
    "dynamic": "dynamic-threshold",
}
METHODS = ("diffedit", "prompt-to-prompt")  # what to do with the words of what is there already
HOLDS = ("inferred", "low-pass")  # the holds that need no mask
