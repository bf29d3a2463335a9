"""A network of diffusers or transformers from its folder: understood to the last field, complete to the last weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.config import check_fields, check_sizes
from sfumato.formats.encoder_config import check_encoder_fields
from sfumato.network.quantized import check_quantized
from sfumato.network.reading import check_weights, frozen, hushed, reason, variant_of
from sfumato.picture.errors import BadInput, printable

if TYPE_CHECKING:
    import torch

OWN = {
    "LDMBertModel": "ldm_bert",
    "PixArtControlNetAdapterModel": "pixart_controlnet",
    "UnCLIPTextProjModel": "unclip_parts",
    "StableUnCLIPImageNormalizer": "unclip_parts",
}
"""Networks that diffusers has among its pipelines or not at all: the modules of `sfumato.network` that have ours."""
STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}


def class_of(kind: str) -> tuple[str, Any]:
    """The library in whose way the class called `kind` is kept, and the class."""
    import diffusers
    import transformers

    if kind in OWN:
        made = getattr(import_module(f"sfumato.network.{OWN[kind]}"), kind)
        return (diffusers if issubclass(made, diffusers.ModelMixin) else transformers).__name__, made
    library = diffusers if hasattr(diffusers, kind) else transformers
    return library.__name__, getattr(library, kind)


def without_weights(made: Any, config: Mapping[str, Any]) -> Any:
    """A network of the class `made` whose parameters have shapes and no numbers (PyTorch's device "meta"), for as many
    bytes as its code takes. Its buffers, tables that follow from the config, are there."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return made(made.config_class(**config)) if hasattr(made, "config_class") else made.from_config(dict(config))


def check_config(kind: str, config: Mapping[str, Any], what: str, neutral: Mapping[str, Any]) -> None:
    """Raises BadInput for a config that is not of the class `kind`, is not understood, or has a field of `neutral` that
    is not."""
    check_sizes(config, what)
    library, made = class_of(kind)
    if library == "diffusers":
        if config.get("_class_name", kind) != kind:
            raise BadInput(f"The {what} is a {printable(config['_class_name'], 60)}, and not the {kind} it should be.")
        said = {name: value for name, value in config.items() if name != "quantization_config"}
        check_fields(made, said, what, neutral)
    else:
        _check_model_type(made, config, what)
        check_encoder_fields(made.config_class, config, what)
    check_quantized(config, what)


def _check_model_type(made: Any, config: Mapping[str, Any], what: str) -> None:
    """Raises BadInput for the config of another family of transformers' networks. Of one family are "clip" and
    "clip_text_model", the config of both towers and of one."""
    theirs, ours = config.get("model_type"), getattr(getattr(made, "config_class", None), "model_type", "")
    if theirs and ours and str(theirs).split("_")[0] != str(ours).split("_")[0]:
        raise BadInput(f"The {what} is of the type {printable(theirs, 60)}, and a {made.__name__} is {ours}.")


def read_network(kind: str, place: Path, what: str, dtype: torch.dtype) -> Any:
    """The network of the class `kind` in a folder whose config was checked, on the CPU, in evaluation mode as both
    libraries read it.

    Raises BadInput where it can't be read, and where weights are missing, left over or of other shapes.
    """
    library, made = class_of(kind)
    with explained(what):
        read, info = made.from_pretrained(
            place,
            local_files_only=True,
            variant=variant_of(place, STEMS[library], what),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused by name
            **{"torch_dtype" if library == "diffusers" else "dtype": dtype},
        )
    check_weights(info, what)
    return frozen(read)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Whatever goes wrong while something is read, in one sentence; what the libraries would say is hushed."""
    try:
        with hushed():
            yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"The {what} can't be read: {reason(error)}") from error
