"""layout/config.json in a model's folder: which layouts its network was trained to see beside the noise.

| kind | what else it says | beside it |
|---|---|---|
| `sfumato-scene` | "palette": a colour of each class, "groups": the classes in groups | |
| `sfumato-spatio-textual` | "width": of embeddings | prior.safetensors: weight, bias; ../clip/, which reads words |
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sfumato.element.section import Section, Width
from sfumato.formats.folder import read_json
from sfumato.formats.write import write_json
from sfumato.network.writing import save_tensors
from sfumato.picture.errors import BadInput, name_of
from sfumato.recipe.capabilities import Capabilities

if TYPE_CHECKING:
    from torch import Tensor

    from sfumato.encode import Encoder, SceneMap
    from sfumato.space import Space

Byte = Annotated[int, Field(ge=0, le=255)]
Name = Annotated[str, Field(min_length=1, max_length=60)]


class SceneLayouts(Section):
    kind: Literal["sfumato-scene"]
    palette: Annotated[dict[Name, tuple[Byte, Byte, Byte]], Field(min_length=1, max_length=1000)]
    groups: Annotated[dict[Name, tuple[Name, ...]], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _grouped(self) -> SceneLayouts:
        if sorted(name for names in self.groups.values() for name in names) != sorted(self.palette):
            raise ValueError("each class of the palette stands in one group")
        return self

    @property
    def tells(self) -> Capabilities:
        """What a model can be told that sees such layouts."""
        return Capabilities(layout="scene", palette=tuple(self.palette.items()))

    def map(self) -> SceneMap:
        from sfumato.encode import SceneMap

        return SceneMap(self.palette, self.groups)

    @property
    def channels(self) -> int:
        return len(self.palette) + 1

    def encoder(self, folder: Path, space: Space) -> Encoder:
        from sfumato.encode import SceneLayout

        encoder = SceneLayout(self.map(), space)
        encoder.tells = self.tells
        return encoder


class SpatioTextualLayouts(Section):
    kind: Literal["sfumato-spatio-textual"]
    width: Width

    @property
    def tells(self) -> Capabilities:
        return Capabilities(layout="spatio-textual")

    @property
    def channels(self) -> int:
        return self.width

    def encoder(self, folder: Path, space: Space) -> Encoder:
        from safetensors.torch import load_file

        from sfumato.encode import SpatioTextualLayout
        from sfumato.encode.clip import load_clip
        from sfumato.network.reading import check_files

        file = folder / "layout" / "prior.safetensors"
        check_files(folder / "layout", "prior", f"prior of {name_of(folder)}")
        if not file.is_file():
            raise BadInput(f"{name_of(file)} is missing: the model's folder is incomplete.")
        prior = load_file(file)
        shapes = {name: tuple(value.shape) for name, value in prior.items()}
        if shapes != {"weight": (self.width, self.width), "bias": (self.width,)}:
            raise BadInput(f"{name_of(file)} must hold a weight and a bias, {self.width} wide: write the folder again.")
        return SpatioTextualLayout(load_clip(folder / "clip"), prior["weight"].float(), prior["bias"].float(), space)


Layouts = SceneLayouts | SpatioTextualLayouts
_LAYOUTS: TypeAdapter[Layouts] = TypeAdapter(Annotated[Layouts, Field(discriminator="kind")])


def layouts_of(folder: Path) -> Layouts | None:
    """What a folder says of layouts; None where it says nothing. Raises BadInput for what can't be read."""
    file = folder / "layout" / "config.json"
    if not file.is_file():
        return None
    try:
        return _LAYOUTS.validate_python(read_json(file))
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BadInput(f"{name_of(file)} does not say which layouts the network sees: {reason}.") from None


def write_layouts(export: Path, said: Layouts, prior: dict[str, Tensor] | None = None) -> None:
    """Writes layout/ of a model's folder."""
    write_json(export / "layout" / "config.json", said.model_dump(mode="json"))
    if prior is not None:
        save_tensors(prior, export / "layout" / "prior.safetensors")
