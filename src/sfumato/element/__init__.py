"""Elements: the frozen, validated, named values that recipes are made of, and the registries that find them by name.

A method is one file. Its class derives from the base of its kind (`Sampler`, `Guidance`, `Start`, `Hold`, ...), and the
decorator `element` makes it a value that is checked, compared, written as JSON and found by name:

    @element("projected", short="apg")
    class ProjectedGuidance(Guidance):
        scale: Real = Field(default=5.0, ge=0, le=1000, description="a number from 0 to 1000, where 1 means off")

Everything else that names a method is derived from its registry: the fields of a recipe, the names in help texts, the
sentences about unknown names. A stranger's method is registered the same way, in Python or by the entry point
`sfumato.plugins`.
"""

from sfumato.element.define import Element, element
from sfumato.element.fields import (
    Box,
    Class,
    Fractions,
    Interval,
    Kept,
    KeptMask,
    Listed,
    ModelName,
    Pair,
    Real,
    Whole,
    one_of,
)
from sfumato.element.registry import Registry, load_plugins
from sfumato.element.sentence import nearest, sentence

__all__ = [
    "Box",
    "Class",
    "Element",
    "Fractions",
    "Interval",
    "Kept",
    "KeptMask",
    "Listed",
    "ModelName",
    "Pair",
    "Real",
    "Registry",
    "Whole",
    "element",
    "load_plugins",
    "nearest",
    "one_of",
    "sentence",
]
