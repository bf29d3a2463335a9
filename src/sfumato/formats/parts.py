"""How each part of a model's folder is read, and what is said when it can't be."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sfumato.formats.config import check_fields, check_sizes
from sfumato.formats.folder import parts_of, place_of, read_json, regular, scheduler_of
from sfumato.network.engine import dtype_of
from sfumato.picture.errors import BadInput, name_of, printable

STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
ENDINGS = (".safetensors", ".bin")
SHOWN = 4  # names of weights in one sentence


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
        return f"the model in {name_of(self.folder)}"

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
        variant = _variant(place, STEMS[library], what)
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
        _check_weights(info, what)
        network = read.to(self.device).eval().requires_grad_(False)
        self.networks[part] = network
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
        return scheduler_of(self.folder)

    @contextmanager
    def explained(self, part: str) -> Iterator[None]:
        """Whatever goes wrong while a part is read, in one sentence; what the libraries would say is hushed."""
        try:
            with _hushed():
                yield
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"The {part} of {self.model} can't be read: {_reason(error)}") from error

    def _check_kind(self, part: str, *accepted: str) -> None:
        found = parts_of(self.folder).get(part)
        if found is None:
            raise BadInput(
                f"{self.model[0].upper()}{self.model[1:]} names no {part} in model_index.json; it needs one."
            )
        if found not in accepted:
            raise BadInput(f"This model's {part} is a {found}; accepted is {' or '.join(accepted)}.")

    def _safe(self, part: str) -> Path:
        """The part's place, in which there is nothing but files and folders."""
        place = self.place(part)
        for path in place.iterdir() if place.is_dir() else ():
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


def _variant(place: Path, stem: str, what: str) -> str | None:
    """Which weights of a part are read: the plain ones, or, where there is nothing else, the first variant."""
    found: dict[str, None] = {}
    for ending in ENDINGS:
        for path in sorted(place.glob(f"{stem}*{ending}*")):
            rest = path.name.removeprefix(stem).split(ending)[0]
            pieces = [piece for piece in rest.split(".") if piece and "-of-" not in piece]
            found.setdefault(pieces[0] if pieces else "", None)
    if not found and stem == "model":
        return _variant(place, "pytorch_model", what)
    if not found:
        raise BadInput(f"There are no weights of the {what}: {stem}.safetensors is missing.")
    _check_files(place, stem, what)
    return None if "" in found else next(iter(found))


def _check_files(place: Path, stem: str, what: str) -> None:
    """Raises BadInput for a file of weights that was cut short or is none."""
    from safetensors import SafetensorError, safe_open

    for path in place.glob(f"{stem}*.safetensors"):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise BadInput(
                f"The {what} can't be read: {path.name} is damaged or incomplete ({printable(error, 150)}); copy or "
                "download it again."
            ) from None


def _check_weights(info: Mapping[str, Any], what: str) -> None:
    """Raises BadInput where weights are missing, left over or of other shapes: libraries fill in random ones."""
    for key, said in (
        ("missing_keys", "lacks weights, which would be random"),
        ("mismatched_keys", "has weights of other shapes than its config says"),
        ("unexpected_keys", "has weights that nothing uses"),
    ):
        names = [str(name[0] if isinstance(name, tuple) else name) for name in info.get(key) or ()]
        if key == "unexpected_keys":
            names = [name for name in names if not name.endswith("position_ids")]  # a buffer that old files kept
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise BadInput(
                f"The {what} {said}: {printable(', '.join(sorted(names)[:SHOWN]), 300)}{more}. Its file is not of the "
                "network that its config describes."
            )
    if errors := info.get("error_msgs"):
        raise BadInput(f"The {what} does not fit its config: {printable(next(iter(errors)), 200)}")


def _reason(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = printable(lines[0], 200)
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "out of memory" in str(error).lower():
        return "there is not enough memory for it."
    return f"{reason}."


@contextmanager
def _hushed() -> Iterator[None]:
    """No lines and progress bars of the libraries' own: what matters of them is said here in sentences."""
    import diffusers
    import transformers

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    before = [library.get_verbosity() for library in libraries]
    hub = logging.getLogger("huggingface_hub")
    level, hub.disabled = hub.disabled, True
    for library in libraries:
        library.set_verbosity(logging.CRITICAL + 1)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hub.disabled = level
        for library, verbosity in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            library.enable_progress_bar()
