"""A single file as a model: `model.safetensors`, as CompVis, Stability and Black Forest Labs write them.

A file is read as the folder that it stands for: its configs are written into a folder that lives as long as the
process, and its networks' tensors come from the file (`sfumato.formats.single_file`). So every family reads files as it
reads folders.

    model.safetensors                             the model; its family is found by the names and shapes of tensors
    model.safetensors?prediction=v                what the network predicts (v or epsilon), where the file doesn't say
    model.safetensors?vae=other.safetensors       another autoencoder; without it model.vae.safetensors, if it is there
    model.safetensors?text=clip_l.safetensors,t5xxl.gguf   text encoders in files of their own, as ComfyUI has them
    model.safetensors?base=FOLDER                 where parts that the file lacks, and its tokenizers, come from
    model.safetensors?without=text_encoder_3      without parts that the family can do without

What is said is joined by "&". A file that holds a transformer alone (as a .gguf does) and a base are that model with
another transformer: `load(base, transformer=file)`.

Vocabularies are not part of such files: CLIP's is taken from a folder tokenizer/ beside the file, from the Hub's local
cache, from the folder for the user's data, or from a package that is installed and brings it (open_clip, clip); T5's
from the same places, or from a .gguf of T5, which carries it.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from sfumato.formats.folder import LARGEST, config_of, index_of, parts_of, place_of, read_json
from sfumato.formats.gguf_file import open_gguf
from sfumato.formats.key_names import listed
from sfumato.formats.labels import write_labels
from sfumato.formats.scaled_float8 import unscaled
from sfumato.formats.single_family import (
    PREDICTIONS,
    VAES,
    family_of,
    naming_of,
    with_autoencoder,
)
from sfumato.formats.single_file import LEFT_OUT, SingleFile, laid
from sfumato.formats.single_placed import Placed, SingleFamily
from sfumato.formats.single_texts import place_of_text, with_text_files
from sfumato.formats.single_words import lay_words
from sfumato.formats.tensor_file import ENDINGS, TensorFile, open_tensors
from sfumato.formats.write import write_json
from sfumato.picture import BadInput, PictureWarning
from sfumato.picture.errors import name_of, printable
from sfumato.zoo import INDEX
from sfumato.zoo.borrowed import room
from sfumato.zoo.find import FILES, file_of, pickles_allowed
from sfumato.zoo.without import left_out

AVERAGED = "model_ema."
METADATA = "sfumato.folder"
"""Where a file that sfumato wrote keeps the small files of the folder that it was written from."""
SMALL = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?\.(json|txt|model)")


def folder_of(name: str | Path) -> Path:
    """The folder that stands for the single file `name`, with what is written behind it.

    Raises BadInput for a file that is damaged, of no known family, or a pickle that is not allowed.
    """
    path, options = file_of(name) or (Path(name), {})
    path = path.resolve()
    vae = options.get("vae")
    beside = _named(vae, "autoencoder") if vae else next((each for each in _beside(path) if each.is_file()), None)
    texts = [_named(each, "text encoder") for each in options.get("text", "").split(",") if each]
    stamps = [_stamp(each) for each in (path, *texts)]
    said = [options.get(name, "") for name in ("prediction", "base", "without")]
    return _folder(tuple(stamps), beside and _stamp(beside), *said, pickles_allowed())


Stamp = tuple[Path, int, int]


def _named(name: str, what: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise BadInput(f"There is no {what} {printable(name, 200)}: name a .safetensors.")
    return path


def _stamp(path: Path) -> Stamp:
    """A file, and by what it is seen that it is another."""
    return path, path.stat().st_mtime_ns, path.stat().st_size


@lru_cache(maxsize=16)
def _folder(
    stamps: tuple[Stamp, ...], vae: Stamp | None, prediction: str, base: str, parts: str, pickles: bool
) -> Path:
    path, *texts = (path for path, *_ in stamps)
    if prediction and prediction not in PREDICTIONS:
        raise BadInput(f"What a network predicts is {', '.join(PREDICTIONS)}, not {printable(prediction, 60)}.")
    file = opened(path, pickles)
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem[:40]}-", dir=room()))
    if METADATA in file.metadata:
        family = _written(file, folder)
    else:
        family = family_of(file, PREDICTIONS.get(prediction))
    if vae is not None:
        family = _other_autoencoder(family, opened(vae[0], pickles))
    family = with_text_files(family, (opened(each, pickles) for each in texts))
    _lay(folder, path, family, Path(base).expanduser() if base else None)
    if parts:
        (folder / INDEX).write_text(left_out(folder, tuple(parts.split(",")), name_of(path)), encoding="utf-8")
    averaged = sum(name.startswith(AVERAGED) for name in file.shapes)
    laid[folder] = SingleFile(path, folder, family, averaged)
    _check_rest(file, family)
    if averaged:
        warnings.warn(
            f"{name_of(path)} also holds {averaged} averaged tensors ({AVERAGED}...), which are left out",
            PictureWarning,
            stacklevel=2,
        )
    return folder


def opened(path: Path, pickles: bool) -> TensorFile:
    """The tensors of a file of any kind."""
    return open_gguf(path) if path.suffix.lower() == ".gguf" else unscaled(open_tensors(path, pickles))


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
    strange = [name for name in file.shapes if not name.startswith(known) and not LEFT_OUT.fullmatch(name)]
    if strange:
        raise BadInput(
            f"{name_of(file.path)} holds {listed(strange)}, which no file of its family ({family.title}) has."
        )


def _lay_base(folder: Path, path: Path, family: SingleFamily, base: Path) -> dict[str, Any]:
    """Lays the scheduler of the model `base`, whose transformer that of a file takes the place of, and its config.
    Gives the index of that model."""
    placed, kind = family.placed["transformer"], parts_of(base).get("transformer")
    if kind != placed.kind:
        raise BadInput(
            f"{name_of(path)} holds a {placed.kind}, and the transformer of {name_of(base)} is a "
            f"{printable(kind or 'part that is not there', 60)}: name the folder of a model of the same family."
        )
    ours = family.configs["transformer"]
    counted = {name: ours[name] for name in COUNTED if name in ours}
    write_json(folder / "transformer" / "config.json", {**config_of(base, "transformer"), **counted})
    (folder / "scheduler").symlink_to(place_of(base, "scheduler").resolve())
    return {name: value for name, value in index_of(base).items() if not isinstance(value, list) or name == "scheduler"}


COUNTED = ("num_layers", "num_single_layers", "n_layers", "guidance_embeds")
"""Fields of configs that a file's own tensors say."""


def _lay(folder: Path, path: Path, family: SingleFamily, base: Path | None) -> None:
    """Writes what the folder of such a model would hold, without its weights."""
    index: dict[str, Any] = {"_class_name": family.pipeline, **family.index}
    if base is not None and {part for part, each in family.placed.items() if each.file.path == path} == {"transformer"}:
        index = _lay_base(folder, path, family, base)
    for part, placed in family.placed.items():
        library = "transformers" if placed.kind.startswith(("CLIP", "T5")) else "diffusers"
        index[part] = [library, placed.kind]
        if not (folder / part).exists():
            write_json(folder / part / "config.json", family.configs[part])
    if not (folder / "scheduler").is_dir() and family.scheduler:
        write_json(folder / "scheduler" / "scheduler_config.json", family.scheduler)
    index.setdefault("scheduler", ["diffusers", family.scheduler["_class_name"]])
    given = parts_of(base) if base is not None else {}
    for part, kind in given.items():
        if part not in index and base is not None and part != "scheduler":
            library = "transformers" if kind.startswith(("CLIP", "T5")) else "diffusers"
            index[part] = [library, kind]
            (folder / part).symlink_to(place_of(base, part).resolve())
    if family.classes:
        embedding = opened(path, pickles_allowed())[family.classes]
        write_labels(folder, [str(index) for index in range(len(embedding) - 1)], "token", embedding)
    for part, pad in family.tokenizers.items():
        index[part] = index.get(part) or ["transformers", "CLIPTokenizer" if pad is not None else "T5TokenizerFast"]
        if not (folder / part).exists():
            encoder = family.placed[part.replace("tokenizer", "text_encoder")].file.path
            lay_words(folder / part, part, path, pad, encoder)
    if not (folder / INDEX).is_file():
        write_json(folder / INDEX, index)


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


FILES.append(folder_of)
