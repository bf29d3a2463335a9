"""How each part of a model's folder is read, and what is said when it can't be."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sfumato.formats.config import as_now
from sfumato.formats.folder import config_of, parts_of, place_of, read_json, regular, scheduler_of
from sfumato.formats.read_network import check_config, class_of, explained, read_network
from sfumato.formats.single_autoencoder import folder_of_autoencoder
from sfumato.formats.single_file import single_of
from sfumato.formats.weights import weight_files
from sfumato.network.autoencoder_kl import tile
from sfumato.network.engine import dtype_of
from sfumato.network.offload import Shelf, check_offload, from_files, one_at_a_time
from sfumato.network.precision import store_float8
from sfumato.network.quantized import GGUF, is_quantized
from sfumato.network.spec import COMPUTES, RUNS_ON
from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo.borrowed import called

FEW = 4  # words that a tokenizer without a vocabulary may have
SHOWN = 4  # words in one sentence
SAYS_NOTHING = ("transformers_version", "architectures", "torch_dtype", "dtype")  # of a config
Shared = MutableMapping[Any, torch.nn.Module]


@dataclass(frozen=True)
class Parts:
    """The parts of the folder of a model, each read when it is asked for, as an instance of its class.

    networks: those that were read, by name. offload: how weights come to the device. tile: the side in pixels of the
    tiles in which an autoencoder works; 0: all at once. vae: the folder or file of another autoencoder than its own.
    shared: networks that several models have, by what they were read from.
    """

    folder: Path
    precision: str = "float32"
    device: str = "cpu"
    networks: dict[str, torch.nn.Module] = field(default_factory=dict)
    offload: str = "none"
    tile: int = 0
    vae: Path | None = None
    shared: Shared | None = None

    def __post_init__(self) -> None:
        dtype_of(self.precision)
        check_offload(self.offload)

    @cached_property
    def shelf(self) -> Shelf | None:
        """Where this model's networks take turns."""
        return None if self.offload == "none" else Shelf(self.device, layers=self.offload == "layers")

    @property
    def model(self) -> str:
        """How sentences call it."""
        single = single_of(self.folder)
        return f"the model in {called(self.folder) if single is None else name_of(single.path)}"

    def place(self, part: str) -> Path:
        own = place_of(self.folder, part)
        if part != "vae" or self.vae is None:
            return own
        return folder_of_autoencoder(self.vae, own) if self.vae.is_file() else self.vae

    def network(self, part: str, kind: str, neutral: Mapping[str, Any] | None = None) -> Any:
        """The network `part`, of the class `kind` of diffusers or transformers, ready to answer.

        Its config must be understood and its `neutral` fields be neutral; every weight that the class has must be in
        its file, and no other.
        """
        if part != "vae" or self.vae is None:
            self._check_kind(part, kind)
        place = self._safe(part)
        config = as_now(read_json(place / "config.json"))
        what = f"{part} of {self.model}"
        check_config(kind, config, what, neutral or {})
        other = part == "vae" and self.vae is not None
        if not other and (single := single_of(self.folder)) is not None and single.has(part):
            with self.explained(part):
                read = single.network(part, class_of(kind)[1], config, dtype_of(self.precision))
                return self._ready(part, read, place, kind)
        autoencoder = kind.startswith("Autoencoder")
        overflows = autoencoder and self.precision == "float16" and config.get("force_upcast") is True
        dtype = torch.float32 if overflows else dtype_of(self.precision)
        source = _source(kind, place, config, dtype, self.precision, self.device)
        shared = self.shared if self.shelf is None and part.startswith("text_encoder") else None
        if shared is not None and (known := next((each for each in [*shared] if each.same(source)), None)) is not None:
            network = self.networks[part] = shared[known]
            return network
        with self.explained(part):
            network = self._ready(part, read_network(kind, place, what, dtype), place, kind)
        if shared is not None:
            shared[source] = network
        return network

    def _ready(self, part: str, network: Any, place: Path, kind: str) -> Any:
        """The network, of which nothing is learned, where it runs."""
        self.networks[part] = network
        autoencoder = kind.startswith("Autoencoder")
        if autoencoder and self.tile:
            tile(network, self.tile, f"{part} of {self.model}")
        self._put(network, place, autoencoder)
        return network

    def _put(self, network: Any, place: Path, autoencoder: bool) -> None:
        """On the device, or beside it until it is called."""
        if is_quantized(network):
            vars(network)[COMPUTES] = dtype_of(self.precision)
            if self.precision == "float8":
                raise BadInput(
                    f"The weights of {self.model} are quantised already: choose the precision in which it computes, "
                    "and not float8."
                )
        if is_quantized(network) and GGUF not in vars(network):
            return  # bitsandbytes puts its weights on the GPU itself
        files = weight_files(place) if self.shelf is not None and self.device == "cpu" else []
        source = from_files(network, files) if files else None
        if self.precision == "float8" and not autoencoder:
            store_float8(network)
        elif self.precision == "float16" and autoencoder:
            one_at_a_time(network)  # an autoencoder that overflows is float32 for a call
        if self.shelf is None and self.device != "cpu":  # where all are read
            network.to(self.device)
        elif self.shelf is not None and (source is not None or self.device != "cpu"):
            vars(network)[RUNS_ON] = torch.device(self.device)
            self.shelf.take(network, source)

    def tokenizer(self, part: str, vocabulary: int) -> Any:
        """The CLIP tokenizer `part`, for a text encoder that embeds `vocabulary` tokens."""
        self._check_kind(part, "CLIPTokenizer", "CLIPTokenizerFast")
        place = self._safe(part)
        from transformers import CLIPTokenizer

        with self.explained(part):
            tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=True)
        return check_tokenizer(tokenizer, vocabulary, f"{part} of {self.model}")

    def words(self, part: str, vocabulary: int, *accepted: str) -> Any:
        """The tokenizer `part`, of one of the `accepted` classes, for an encoder that embeds `vocabulary` tokens."""
        self._check_kind(part, *accepted)
        place, what = self._safe(part), f"{part} of {self.model}"
        pieces = next(iter(sorted(place.glob("*.model"))), None)
        if pieces is not None and not (place / "tokenizer.json").is_file() and find_spec("sentencepiece") is None:
            raise BadInput(
                f"The {what} is {pieces.name}, which sentencepiece reads and is not here: pip install sentencepiece."
            )
        from transformers import AutoTokenizer

        with self.explained(part):
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        words = tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys() - {*tokenizer.all_special_tokens}
        if len(words) < FEW:
            raise BadInput(f"The {what} knows no words: its tokenizer.json, vocabulary or spiece.model is missing.")
        if tokenizer.pad_token_id is None:
            raise BadInput(f"The {what} has no pad_token, with which texts are filled up: name it in its config.")
        return check_vocabulary(tokenizer, vocabulary, what)

    def processor(self, part: str, kind: str) -> Any:
        """The image processor `part` of a `kind` ("CLIP", "DPT"): PIL pictures -> what its network sees. Its Pillow
        class is used, which needs no torchvision."""
        names = (
            f"{kind}ImageProcessor",
            f"{kind}FeatureExtractor",
            f"{kind}ImageProcessorPil",
            f"{kind}ImageProcessorFast",
        )
        self._check_kind(part, *names)
        place = self._safe(part)
        import transformers

        with self.explained(part):
            return getattr(transformers, f"{kind}ImageProcessorPil").from_pretrained(place, local_files_only=True)

    def check_others(self, *known: str) -> None:
        """Raises BadInput for a part that is none of the known ones."""
        if others := [part for part in parts_of(self.folder) if part not in known]:
            raise BadInput(f"{self.model[0].upper()}{self.model[1:]} has parts that are not run: {', '.join(others)}.")

    def check_width(self, network: str, takes: int, width: int, part: str = "text_encoder") -> None:
        """Raises BadInput where a network takes texts of another width than those of `part`."""
        if width != takes:
            raise BadInput(f"The {network} of {self.model} takes texts {takes} wide, and its {part}'s are {width}.")

    def scheduler(self) -> dict[str, Any]:
        found = scheduler_of(self.folder)
        single = single_of(self.folder)
        if single is not None and "beta_schedule" in found and "prediction_type" not in found:
            raise single.unsaid()
        return found

    def explained(self, part: str) -> AbstractContextManager[None]:
        """Whatever goes wrong while a part is read, in one sentence."""
        return explained(f"{part} of {self.model}")

    def _check_kind(self, part: str, *accepted: str) -> None:
        found = parts_of(self.folder).get(part)
        if found is None and (single := single_of(self.folder)) is not None:
            raise single.lacks(part)
        if found is None:
            raise BadInput(
                f"{self.model[0].upper()}{self.model[1:]} names no {part} in model_index.json; it needs one."
            )
        if found == "Transformer2DModel":
            found = as_now(config_of(self.folder, part)).get("_class_name", found)
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


class PartSource(NamedTuple):
    """What a network was read from, and in what form: its class, config, number types and device, and its files of
    weights as (path, length, time of change)."""

    form: tuple[Any, ...]
    files: tuple[tuple[str, int, int], ...]

    def same(self, other: PartSource) -> bool:
        """Whether both are one network: of the same files, or of others with the same bytes."""
        if self.form != other.form or [size for _, size, _ in self.files] != [size for _, size, _ in other.files]:
            return False
        pairs = [(one, its) for one, its in zip(self.files, other.files, strict=True) if one != its]
        return not any(_changed(one) for one, _ in pairs) and all(
            filecmp.cmp(one[0], its[0], shallow=False) for one, its in pairs
        )


def _source(kind: str, place: Path, config: Mapping[str, Any], *form: Any) -> PartSource:
    said = {name: value for name, value in config.items() if name not in SAYS_NOTHING and not name.startswith("_")}
    files = ((str(path.resolve()), path.stat()) for path in sorted(weight_files(place)))
    stamps = tuple((path, each.st_size, each.st_mtime_ns) for path, each in files)
    return PartSource((kind, json.dumps(said, sort_keys=True), *form), stamps)


def _changed(file: tuple[str, int, int]) -> bool:
    """Whether a file is no longer what it was when it was read."""
    path = Path(file[0])
    return not path.is_file() or path.stat().st_mtime_ns != file[2]


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
    return check_vocabulary(tokenizer, vocabulary, what)


def check_vocabulary(tokenizer: Any, vocabulary: int, what: str) -> Any:
    """The tokenizer. Raises BadInput where its text encoder does not embed all of its tokens."""
    last = max(tokenizer.get_vocab().values())
    if last >= vocabulary:
        words = [word for word, index in tokenizer.get_vocab().items() if index >= vocabulary]
        raise BadInput(
            f"The {what} has {len(words)} tokens that its text encoder embeds none of "
            f"({printable(', '.join(sorted(words)[:SHOWN]), 100)}): they were added without it."
        )
    return tokenizer
