"""A single file as a model: `model.safetensors`, as CompVis, Stability and Black Forest Labs write them.

A file is read as the folder that it stands for: its configs are written into a folder that lives as long as the
process, and its networks' tensors come from the file (`Parts` asks `single_of`). So every family reads files as it
reads folders.

    model.safetensors                             the model; its family is found by the names and shapes of tensors
    model.safetensors?prediction=v                what the network predicts (v or epsilon), where the file doesn't say
    model.safetensors?vae=other.safetensors       another autoencoder; without it model.vae.safetensors, if it is there
    model.safetensors?base=FOLDER                 where parts that the file lacks, and its tokenizers, come from

CLIP's vocabulary is not part of such files: it is taken from a folder tokenizer/ beside the file, from the Hub's local
cache, or from the folder for the user's data.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.folder import LARGEST, parts_of, place_of, read_json
from sfumato.formats.key_names import laid_out, listed, read_tensors
from sfumato.formats.single_family import (
    PREDICTIONS,
    VAES,
    Placed,
    SingleFamily,
    family_of,
    naming_of,
    place_of_text,
    with_autoencoder,
)
from sfumato.formats.tensor_file import ENDINGS, TensorFile, open_tensors
from sfumato.formats.write import write_json
from sfumato.picture import BadInput, PictureWarning, home
from sfumato.picture.errors import name_of, printable
from sfumato.zoo import INDEX
from sfumato.zoo.find import FILES, file_of, pickles_allowed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

METADATA = "sfumato.folder"
"""Where a file that sfumato wrote keeps the small files of the folder that it was written from."""
CLIP_WORDS = ("vocab.json", "merges.txt")
OWN_CLIP = "openai/clip-vit-large-patch14"
T5_WORDS = ("spiece.model", "tokenizer.json")
SMALL = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?\.(json|txt|model)")
_LEFT_OUT = re.compile(
    r"model_ema\..*|(sqrt_|log_)?(one_minus_)?alphas_cumprod(_prev)?|betas|sqrt_recip\w*_alphas_cumprod|posterior_\w+|"
    r"logvar|lvlb_weights|global_step|v_pred|ztsnr|edm_\w+\..*|denoiser\.\w+|scale_factor|(.*\.)?loss\..*|"
    r".*position_ids|.*\.attn_mask|.*logit_scale|.*\.text_projection(\.weight)?|cond_stage_model\.model\.visual\..*|"
    r"embedding_manager\..*|depth_model\..*"
)
"""Names of what is no part of a network that is run: averages, tables of the process, losses."""
AVERAGED = "model_ema."


@dataclass(frozen=True)
class SingleFile:
    """A file and the folder that stands for it."""

    path: Path
    folder: Path
    family: SingleFamily
    averaged: int = 0  # tensors that are a running average of others

    def has(self, part: str) -> bool:
        return part in self.family.placed

    def empty(self, made: Any, config: dict[str, Any]) -> Any:
        """A network of the class `made`, without numbers."""
        from accelerate import init_empty_weights

        with init_empty_weights(include_buffers=False):
            return made(made.config_class(**config)) if hasattr(made, "config_class") else made.from_config(config)

    def tensors(self, part: str, network: Any) -> dict[str, Tensor]:
        """The tensors of `part`, as an empty network names them. Raises BadInput for those that are missing, strange
        or of other shapes, with their names in the file."""
        placed = self.family.placed[part]
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        self._check_strange(placed, shapes)
        return read_tensors(placed.file, placed.prefix, shapes, placed.naming)

    def network(self, part: str, made: Any, config: dict[str, Any], dtype: torch.dtype) -> Any:
        """The network `part`, of the class `made`."""
        import torch

        network = self.empty(made, config)
        state = self.tensors(part, network)
        turned = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        network.load_state_dict(turned, assign=True)
        for name, buffer in network.named_buffers():
            if buffer.dtype == torch.float32 and name not in turned and buffer.numel():
                buffer.data = buffer.data.to(dtype)
        return network

    def _check_strange(self, placed: Placed, shapes: dict[str, tuple[int, ...]]) -> None:
        used = {placed.prefix + key for key in laid_out(shapes, placed.naming)}
        strange = [
            name
            for name in placed.file.shapes
            if name.startswith(placed.prefix)
            and name not in used
            and not _LEFT_OUT.fullmatch(name)
            and not name.startswith(self.family.unread)
            and not (placed.prefix == "" and any(name.startswith(prefix) for prefix in VAES[:2]))
        ]
        if strange:
            raise BadInput(
                f"{name_of(placed.file.path)} holds {listed(strange)}, which no network of its family "
                f"({self.family.title}) has."
            )

    def lacks(self, part: str) -> BadInput:
        """What is said of a part that is neither in the file nor beside it."""
        name = name_of(self.path)
        if part.startswith("tokenizer") and part in self.family.tokenizers:
            if self.family.tokenizers[part] is None:
                return BadInput(
                    f"The words of {name} are read with T5's vocabulary, which is not here: put its spiece.model or "
                    f"tokenizer.json into a folder {part}/ beside the file, or name a model that has it "
                    f"({name}?base=FOLDER)."
                )
            return BadInput(
                f"The words of {name} are read with CLIP's vocabulary, which is not here: put its vocab.json and "
                f"merges.txt into a folder tokenizer/ beside the file or into {_own_words()}, or fetch them once with "
                f"`hf download {OWN_CLIP} vocab.json merges.txt`."
            )
        vae = f", or put it beside the file as {self.path.stem}.vae.safetensors" if part == "vae" else ""
        return BadInput(f"{name} holds no {part}: name a model that has one ({name}?base=FOLDER){vae}.")

    def unsaid(self) -> BadInput:
        return BadInput(
            f"{name_of(self.path)} doesn't say what its network predicts, and files of {self.family.title} may predict "
            f"either: write {self.path.name}?prediction=v (as those trained at 768 pixels do) or ?prediction=epsilon."
        )

    def files(self) -> list[Path]:
        """The files that its weights come from."""
        return list(dict.fromkeys([self.path, *(placed.file.path for placed in self.family.placed.values())]))


def single_of(folder: Path) -> SingleFile | None:
    """The single file that a folder stands for; None for a folder of its own."""
    return _laid.get(folder)


_laid: dict[Path, SingleFile] = {}


def folder_of(name: str | Path) -> Path:
    """The folder that stands for the single file `name`, with what is written behind it.

    Raises BadInput for a file that is damaged, of no known family, or a pickle that is not allowed.
    """
    path, options = file_of(name) or (Path(name), {})
    path = path.resolve()
    vae = options.get("vae")
    beside = Path(vae).expanduser() if vae else next((each for each in _beside(path) if each.is_file()), None)
    if vae and beside is not None and not beside.is_file():
        raise BadInput(f"There is no autoencoder {printable(vae, 200)}: name a .safetensors.")
    stamps = tuple((each, each.stat().st_mtime_ns, each.stat().st_size) for each in (path, beside) if each is not None)
    return _folder(stamps, options.get("prediction", ""), options.get("base", ""), pickles_allowed())


@lru_cache(maxsize=16)
def _folder(stamps: tuple[tuple[Path, int, int], ...], prediction: str, base: str, pickles: bool) -> Path:
    path = stamps[0][0]
    if prediction and prediction not in PREDICTIONS:
        raise BadInput(f"What a network predicts is {', '.join(PREDICTIONS)}, not {printable(prediction, 60)}.")
    file = open_tensors(path, pickles)
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem[:40]}-", dir=_room()))
    if METADATA in file.metadata:
        family = _written(file, folder)
    else:
        family = family_of(file, PREDICTIONS.get(prediction))
    if len(stamps) > 1:
        family = _other_autoencoder(family, open_tensors(stamps[1][0], pickles))
    _lay(folder, path, family, Path(base).expanduser() if base else None)
    averaged = sum(name.startswith(AVERAGED) for name in file.shapes)
    _laid[folder] = SingleFile(path, folder, family, averaged)
    _check_rest(file, family)
    if averaged:
        warnings.warn(
            f"{name_of(path)} also holds {averaged} averaged tensors ({AVERAGED}...), which are left out",
            PictureWarning,
            stacklevel=2,
        )
    return folder


@cache
def _room() -> str:
    """A folder that is there as long as the process is."""
    import atexit

    folder = tempfile.mkdtemp(prefix="sfumato-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _beside(path: Path) -> list[Path]:
    """Where an autoencoder of the file's own may lie, as A1111 has it."""
    return [path.with_name(f"{path.stem}.vae{ending}") for ending in ENDINGS]


def _other_autoencoder(family: SingleFamily, file: TensorFile) -> SingleFamily:
    found = with_autoencoder(family, file, sizes="XL" in family.title)
    if "vae" not in found.placed or found.placed["vae"].file is not file:
        raise BadInput(f"{name_of(file.path)} holds no autoencoder: it has no decoder.conv_in.weight.")
    return found


def _check_rest(file: TensorFile, family: SingleFamily) -> None:
    """Raises BadInput for tensors that stand in none of the parts."""
    prefixes = tuple(placed.prefix for placed in family.placed.values() if placed.file is file)
    if "" in prefixes:
        return
    known = (*prefixes, *family.unread, *(VAES[:2] if "vae" in family.placed else ()))
    strange = [name for name in file.shapes if not name.startswith(known) and not _LEFT_OUT.fullmatch(name)]
    if strange:
        raise BadInput(
            f"{name_of(file.path)} holds {listed(strange)}, which no file of its family ({family.title}) has."
        )


def _lay(folder: Path, path: Path, family: SingleFamily, base: Path | None) -> None:
    """Writes what the folder of such a model would hold, without its weights."""
    index: dict[str, Any] = {"_class_name": family.pipeline, **family.index}
    for part, placed in family.placed.items():
        library = "transformers" if placed.kind.startswith(("CLIP", "T5")) else "diffusers"
        index[part] = [library, placed.kind]
        write_json(folder / part / "config.json", family.configs[part])
    if not (folder / "scheduler").is_dir():
        write_json(folder / "scheduler" / "scheduler_config.json", family.scheduler)
    index["scheduler"] = ["diffusers", family.scheduler["_class_name"]]
    given = parts_of(base) if base is not None else {}
    for part, kind in given.items():
        if part not in index and base is not None and part != "scheduler":
            library = "transformers" if kind.startswith(("CLIP", "T5")) else "diffusers"
            index[part] = [library, kind]
            (folder / part).symlink_to(place_of(base, part).resolve())
    for part, pad in family.tokenizers.items():
        index[part] = index.get(part) or ["transformers", "CLIPTokenizer" if pad is not None else "T5TokenizerFast"]
        if not (folder / part).exists():
            _lay_words(folder / part, part, path, pad)
    if not (folder / INDEX).is_file():
        write_json(folder / INDEX, index)


def _lay_words(folder: Path, part: str, path: Path, pad: str | None) -> None:
    """Copies a vocabulary, where it is found; CLIP's is framed as every CLIP frames its texts."""
    wanted = CLIP_WORDS if pad is not None else T5_WORDS
    source = next((each for each in _words(path, part, pad is not None) if _holds(each, wanted, pad is None)), None)
    if source is None:
        return
    folder.mkdir()
    for name in wanted:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if pad is None:
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "T5TokenizerFast", "model_max_length": 512})
        return
    first, last = "<|startoftext|>", "<|endoftext|>"
    marks = {"bos_token": first, "eos_token": last, "unk_token": last, "pad_token": pad}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **marks})


def _holds(folder: Path, names: Iterable[str], one: bool) -> bool:
    return (any if one else all)((folder / name).is_file() for name in names)


def _own_words() -> Path:
    return home() / "tokenizers" / "clip"


def _words(path: Path, part: str, clip: bool) -> list[Path]:
    """The folders that may hold a vocabulary, nearest first."""
    beside = [path.with_suffix("") / part, path.parent / part, *([path.parent / "tokenizer"] if clip else [])]
    own = _own_words() if clip else home() / "tokenizers" / "t5"
    return [*beside, *_cached(OWN_CLIP if clip else "google/t5-v1_1-xxl"), own]


def _cached(name: str) -> list[Path]:
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(name, file) for file in (*CLIP_WORDS, *T5_WORDS)]
    return list(dict.fromkeys(Path(path).parent for path in found if isinstance(path, str)))


def _written(file: TensorFile, folder: Path) -> SingleFamily:
    """The family of a file that sfumato wrote, whose small files are unpacked into `folder`."""
    try:
        files = json.loads(file.metadata[METADATA])
        assert isinstance(files, dict) and all(isinstance(text, str) for text in files.values())
        assert all(SMALL.fullmatch(name) for name in files) and sum(map(len, files.values())) <= 4 * LARGEST
    except (ValueError, AssertionError, RecursionError):
        raise BadInput(f"{name_of(file.path)} is damaged: its {METADATA} is none. Write it again.") from None
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    placed, configs = {}, {}
    for part, kind in parts_of(folder).items():
        where = place_of(folder, part) / "config.json"
        if not where.is_file():
            continue
        config = configs[part] = read_json(where)
        found = _place(part, kind, config, file)
        if found is not None:
            placed[part] = found
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    index = read_json(folder / INDEX)
    return SingleFamily("a model of sfumato's own", str(index.get("_class_name")), placed, configs, scheduler, {})


def _place(part: str, kind: str, config: dict[str, Any], file: TensorFile) -> Placed | None:
    if part.startswith("text_encoder"):
        found = place_of_text(part, file)
        return None if found is None else Placed(kind, file, *found)
    naming, prefixes = naming_of(kind, config), VAES[:2] if part == "vae" else ("model.diffusion_model.", "")
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in file.shapes)), None)
    return None if naming is None or prefix is None else Placed(kind, file, prefix, naming)


def described(single: SingleFile) -> dict[str, dict[str, Any]]:
    """What is in a file, part by part: class, parameters, bytes and number types."""
    return {part: _described(placed) for part, placed in single.family.placed.items()}


def _described(placed: Placed) -> dict[str, Any]:
    from math import prod

    widths = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}
    names = [name for name in placed.file.shapes if name.startswith(placed.prefix) and not _LEFT_OUT.fullmatch(name)]
    sizes = [prod(placed.file.shapes[name]) for name in names]
    types = [placed.file.types[name] for name in names]
    weighed = sum(size * widths.get(kind, 1) for size, kind in zip(sizes, types, strict=True))
    return {"class": placed.kind, "parameters": sum(sizes), "bytes": weighed, "types": sorted(set(types))}


FILES.append(folder_of)
