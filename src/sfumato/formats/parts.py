"""How each part of a model's folder is read, and what is said when it can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sfumato.formats.config import check_fields, check_sizes
from sfumato.formats.folder import parts_of, place_of, read_json, regular, scheduler_of
from sfumato.formats.single_file import single_of
from sfumato.network.engine import dtype_of
from sfumato.network.reading import check_weights, hushed, reason, variant_of
from sfumato.picture.errors import BadInput, name_of, printable

STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
SHOWN = 4  # words in one sentence


@dataclass(frozen=True)
class Parts:
    """The parts of the folder of a model, each read when it is asked for, as an instance of its class.

    networks: those that were read, by name.
    """

    folder: Path
    precision: str = "float32"
    device: str = "cpu"
    networks: dict[str, torch.nn.Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dtype_of(self.precision)

    @property
    def model(self) -> str:
        """How sentences call it."""
        single = single_of(self.folder)
        return f"the model in {name_of(self.folder if single is None else single.path)}"

    def place(self, part: str) -> Path:
        return place_of(self.folder, part)

    def network(self, part: str, kind: str, neutral: Mapping[str, Any] | None = None) -> Any:
        """The network `part`, of the class `kind` of diffusers or transformers, ready to answer.

        Its config must be understood and its `neutral` fields be neutral; every weight that the class has must be in
        its file, and no other.
        """
        self._check_kind(part, kind)
        place = self._safe(part)
        config = read_json(place / "config.json")
        what = f"{part} of {self.model}"
        check_sizes(config, what)
        library, made = _class_of(kind)
        if library == "diffusers":
            if config.get("_class_name", kind) != kind:
                raise BadInput(
                    f"The {what} is a {printable(config['_class_name'], 60)}, and not the {kind} it should be."
                )
            check_fields(made, config, what, neutral or {})
        if (single := single_of(self.folder)) is not None and single.has(part):
            with self.explained(part):
                read = single.network(part, made, config, dtype_of(self.precision))
                network = self.networks[part] = read.to(self.device).eval().requires_grad_(False)
            return network
        variant = variant_of(place, STEMS[library], what)
        options: dict[str, Any] = {"torch_dtype" if library == "diffusers" else "dtype": dtype_of(self.precision)}
        with self.explained(part):
            read, info = made.from_pretrained(
                place,
                local_files_only=True,
                variant=variant,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused by name
                **options,
            )
        check_weights(info, what)
        with self.explained(part):
            network = self.networks[part] = read.to(self.device).eval().requires_grad_(False)
        return network

    def tokenizer(self, part: str, vocabulary: int) -> Any:
        """The CLIP tokenizer `part`, for a text encoder that embeds `vocabulary` tokens."""
        self._check_kind(part, "CLIPTokenizer", "CLIPTokenizerFast")
        place = self._safe(part)
        from transformers import CLIPTokenizer

        with self.explained(part):
            tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=True)
        return check_tokenizer(tokenizer, vocabulary, f"{part} of {self.model}")

    def scheduler(self) -> dict[str, Any]:
        found = scheduler_of(self.folder)
        single = single_of(self.folder)
        if single is not None and "beta_schedule" in found and "prediction_type" not in found:
            raise single.unsaid()
        return found

    @contextmanager
    def explained(self, part: str) -> Iterator[None]:
        """Whatever goes wrong while a part is read, in one sentence; what the libraries would say is hushed."""
        try:
            with hushed():
                yield
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"The {part} of {self.model} can't be read: {reason(error)}") from error

    def _check_kind(self, part: str, *accepted: str) -> None:
        found = parts_of(self.folder).get(part)
        if found is None and (single := single_of(self.folder)) is not None:
            raise single.lacks(part)
        if found is None:
            raise BadInput(
                f"{self.model[0].upper()}{self.model[1:]} names no {part} in model_index.json; it needs one."
            )
        if found not in accepted:
            raise BadInput(f"This model's {part} is a {found}; accepted is {' or '.join(accepted)}.")

    def _safe(self, part: str) -> Path:
        """The part's place, in which there is nothing but files and folders."""
        place = self.place(part)
        if not place.is_dir() and (single := single_of(self.folder)) is not None:
            raise single.lacks(part)
        if not place.is_dir():
            raise BadInput(f"The {part} of {self.model} is missing: there is no folder of that name in it.")
        for path in place.iterdir():
            if path.exists():
                regular(path)
        return place


def check_tokenizer(tokenizer: Any, vocabulary: int, what: str) -> Any:
    """The tokenizer. Raises BadInput where it and the text encoder don't fit each other."""
    if int(tokenizer.model_max_length) < 3:
        raise BadInput(
            f"The {what} reads texts of {tokenizer.model_max_length} tokens (model_max_length): it must be 3 at least, "
            "a first, a last and a word between them."
        )
    for name in ("bos_token", "eos_token", "pad_token"):
        if getattr(tokenizer, f"{name}_id") is None:
            raise BadInput(
                f"The {what} has no {name}, with which every text is framed or filled up: name it in its config."
            )
    last = max(tokenizer.get_vocab().values())
    if last >= vocabulary:
        words = [word for word, index in tokenizer.get_vocab().items() if index >= vocabulary]
        raise BadInput(
            f"The {what} has {len(words)} tokens that its text encoder embeds none of "
            f"({printable(', '.join(sorted(words)[:SHOWN]), 100)}): they were added without it."
        )
    return tokenizer


def _class_of(kind: str) -> tuple[str, type]:
    import diffusers
    import transformers

    library = diffusers if hasattr(diffusers, kind) else transformers
    return library.__name__, getattr(library, kind)
