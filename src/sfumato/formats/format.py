"""What a family of models is: how its folders are known, read and written. No torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.element import Registry
from sfumato.formats.families import elsewhere, unsupported
from sfumato.formats.folder import index_of, parts_of
from sfumato.formats.own_suits import own_suits
from sfumato.picture.errors import BadInput, printable
from sfumato.recipe.capabilities import Capabilities
from sfumato.zoo.borrowed import called
from sfumato.zoo.find import find, joined

if TYPE_CHECKING:
    from sfumato.formats.parts import Parts
    from sfumato.network.engine import Engine
    from sfumato.stage import Stage


class Format:
    """A family of models, one file each.

    title: what it is called in a sentence. pipelines: the classes of diffusers' pipelines whose folders are of this
    family; a family without any is known by its parts (`detect`). Its module also has the functions that write its
    folders: what was written is detected and reads as what it was.
    """

    title: str = ""
    pipelines: tuple[str, ...] = ()
    paints: bool = True
    """Whether the model makes pictures by itself: a prior makes vectors, for a decoder that it is joined with."""

    def detect(self, folder: Path) -> bool:
        """Whether the model in a folder is of this family. Only JSON is read."""
        return index_of(folder).get("_class_name") in self.pipelines

    def capabilities(self, folder: Path) -> Capabilities:
        """What the model in a folder can be told. Only JSON is read."""
        raise NotImplementedError

    def read(self, parts: Parts, engine: Engine) -> Stage:
        """The model. Raises BadInput, in one sentence, for whatever it is not certain to run as it was trained."""
        raise NotImplementedError

    def stages(self, parts: Parts, engine: Engine) -> tuple[Stage, ...]:
        """The model where a folder may hold several diffusions, in the order in which they run; mostly the one that
        `read` reads."""
        return (self.read(parts, engine),)


FORMATS: Registry[Format] = Registry("family", "sfumato.formats")


def format_of(folder: Path) -> Format:
    """The family of the model in a folder. Raises BadInput, with its name, for one that is not run."""
    index, parts = index_of(folder), parts_of(folder)
    pipeline = printable(index.get("_class_name", ""), 80)
    named = next((each for each in FORMATS.values() if pipeline in each.pipelines), None)
    if named is not None:
        return named
    if instead := elsewhere(pipeline):
        raise BadInput(f"The model in {called(folder)} is {instead}.")
    family = unsupported(pipeline, parts)
    runs = ", ".join(FORMATS)
    if family:
        raise BadInput(f"The model in {called(folder)} is {family}, which is not run yet: accepted are {runs}.")
    found = next((each for each in FORMATS.values() if each.detect(folder)), None)
    if found is None:
        named = ", ".join(f"{part} {kind}" for part, kind in parts.items()) or "no parts"
        raise BadInput(
            f"The model in {called(folder)} is of no known family ({pipeline or 'no pipeline'}: "
            f"{printable(named, 200)}); accepted are {runs}."
        )
    return found


def capabilities_of(folder: Path) -> Capabilities:
    """What the model in a folder can be told."""
    told = format_of(folder).capabilities(folder)
    return replace(told, suits=own_suits(folder, told.suits))


def capabilities_named(name: str | Path) -> Capabilities:
    """What the model called `name` can be told, which may join several ("prior + decoder"): what the first that paints
    can, words where any reads some, and reference pictures where a prior has an eye for them."""
    folders = [find(each) for each in joined(name)]
    told = [capabilities_of(folder) for folder in folders]
    paints = [format_of(folder).paints for folder in folders]
    main = next((each for each, paint in zip(told, paints, strict=True) if paint), told[0])
    looks = [each.references for each, paint in zip(told, paints, strict=True) if not paint]
    return replace(main, text=any(each.text for each in told), references=max([main.references, *looks]))
