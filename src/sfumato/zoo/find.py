"""From a model's name to its folder: a built-in miniature, a folder here, or a Hub id. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sfumato.picture.errors import BadInput, name_of, printable
from sfumato.zoo import INDEX, built_ins, place, shelves
from sfumato.zoo.borrowed import whole
from sfumato.zoo.without import without

HUB_FILES = [
    *("model_index.json", "config.json", "scheduler_config.json"),
    *("diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
    *(f"*/*.{kind}" for kind in ("json", "txt", "model", "safetensors")),
]
HUB_VARIANTS = ["*.fp16[.-]*", "*.non_ema[.-]*", "safety_checker/*"]
WEIGHED = ("unet", "vae", "text_encoder", ".")
"""Where a model's weights lie: in folders of its parts, or beside the index."""

ENDINGS = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth")
"""Of single files."""
SAID = ("prediction", "vae", "text", "base", "without")
"""What may be said of one behind its name: `sfumato.formats.single_folder`."""
PATHS = ("vae", "text", "base")
"""Those of them that are paths."""
FILES: list[Callable[[str | Path], Path]] = []
"""What turns the name of a single file into the folder that stands for it: `sfumato.formats.single_folder` is here once
it is imported."""
MORE = ' Further built-in models come with pip install "sfumato[zoo]".'
_allowed: list[bool] = []


def allow_pickles() -> None:
    """From now on single files that are pickles (.ckpt) are read, of which tensors alone are taken."""
    _allowed.append(True)


def pickles_allowed() -> bool:
    return bool(_allowed)


def file_of(name: str | Path) -> tuple[Path, dict[str, str]] | None:
    """The single file that `name` says, and the options behind it (model.safetensors?vae=other.safetensors); None where
    it says no file that is here."""
    whole, _, options = str(name).partition("?")
    path = Path(whole).expanduser()
    if not whole.lower().endswith(ENDINGS) or not path.is_file():
        return None
    pairs = [each.partition("=") for each in options.split("&") if each]
    said = {name: value for name, _, value in pairs}
    if others := [each for each in said if each not in SAID]:
        raise BadInput(
            f"{printable(others[0], 60)} is nothing that can be said of a single file: accepted are "
            f"{', '.join(SAID[:-1])} and {SAID[-1]}."
        )
    return path, said


def parted(name: str | Path) -> tuple[str, tuple[str, ...]]:
    """What a model that is no single file is called, and the parts that its name leaves out behind "?without="."""
    model, _, parts = str(name).partition("?without=")
    return (model, tuple(parts.split(","))) if parts and not model.lower().endswith(ENDINGS) else (str(name), ())


def joined(name: str | Path) -> list[str | Path]:
    """The models that a name joins: "A + B" is A's stages and then B's. A folder or a file of that name is itself."""
    if " + " not in str(name) or here(name) is not None:
        return [name]
    return [each.strip() for each in str(name).split(" + ")]


def with_transformer(name: str | Path, file: str | Path) -> str:
    """What a model is called in which a single file's transformer takes the place of its own."""
    path = Path(file).expanduser()
    if not path.is_file() or not path.name.lower().endswith(ENDINGS):
        raise BadInput(
            f"There is no transformer {printable(str(file), 200)}: give the path of a file, .gguf or .safetensors."
        )
    return f"{path.resolve()}?base={find(name).resolve()}"


def here(name: str | Path) -> Path | None:
    """The folder of a model that is built in or that `name` is the path of, or that stands for a single file of that
    name; None for any other, as for a Hub id. Without the parts that the name leaves out."""
    model, parts = parted(name)
    if parts:
        return None if (all_parts := here(model)) is None else without(all_parts, parts)
    if (built_in := place(name) / INDEX).is_file():
        return whole(built_in.parent)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    return FILES[0](name) if FILES and file_of(name) is not None else None


def would_be_fetched(name: str) -> bool:
    """Whether finding `name` would ask the Hub: it reads as a Hub id, and neither a folder nor the cache has it."""
    if len(several := joined(name)) > 1:
        return any(would_be_fetched(str(each)) for each in several)
    name, _ = parted(name)
    if not is_hub_id(name) or file_of(name) is not None or here(name) is not None:
        return False
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return not any(isinstance(try_to_load_from_cache(name, file), str) for file in (INDEX, "config.json"))
    except HFValidationError:  # no name that the Hub could have
        return False


def is_hub_id(name: str) -> bool:
    """Whether a name reads as owner/name."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def find(name: str | Path) -> Path:
    """The folder of a model, without the parts that the name leaves out ("NAME?without=PART,PART"); downloads it when
    `name` is a Hub id that is not in the cache yet."""
    model, parts = parted(name)
    if parts:
        return without(find(model), parts)
    folder = here(name)
    if folder is not None and not (folder / INDEX).is_file():
        raise BadInput(
            f"{folder} is no model folder: it has no model_index.json; give a folder in diffusers' format, "
            f"a Hub id (owner/name) or a built-in model ({', '.join(built_ins())})."
        )
    if folder is not None:
        return folder
    if Path(name).is_file():
        raise BadInput(
            f"{name} is a file; a model is a folder with a model_index.json, a single file ({', '.join(ENDINGS)}) or "
            "a Hub id (owner/name)."
        )
    if is_hub_id(str(name)):
        return _from_hub(str(name))
    raise BadInput(
        f"There is no model called {str(name)!r}: it is no built-in model ({', '.join(built_ins())}), no folder, "
        f"and no Hub id (owner/name).{MORE if len(shelves()) == 1 else ''}"
    )


def fetched(source: str, patterns: Sequence[str], what: str) -> Path:
    """The folder of a network in transformers' format: a folder here, or the files of a Hub id that match `patterns`.

    what: how it is called in sentences, as "the captioner". Raises BadInput where it is neither, or not to be had."""
    folder = Path(source).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or not is_hub_id(source):
        raise BadInput(f"{name_of(source)} is no folder with a config.json and no Hub id: give one of the two.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=list(patterns)))
    except Exception as error:
        raise BadInput(
            f"{what[0].upper()}{what[1:]} {source} is not in the local cache and could not be fetched from the Hub "
            f"({type(error).__name__}): check the name and the network, or give a folder."
        ) from error


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=HUB_FILES, ignore_patterns=HUB_VARIANTS))
        if _weightless(folder):  # there is nothing but a variant
            snapshot_download(name, allow_patterns=[f"{part}/*.fp16.*" for part in WEIGHED])
        return folder
    except Exception as error:
        raise BadInput(
            f"{name} is not in the local cache and could not be fetched from the Hub "
            f"({type(error).__name__}); check the name and the network, or give a local folder."
        ) from error


def _weightless(folder: Path) -> bool:
    """Whether a part that has a config has no weights."""
    parts = (folder / part for part in WEIGHED if (folder / part / "config.json").is_file())
    return any(not any(part.glob("*.safetensors")) for part in parts)
