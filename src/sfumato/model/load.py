"""From a name to a Pipe: a built-in miniature, a folder in Stable Diffusion's format, or a Hub id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfumato.condition import Condition
from sfumato.denoise import Preconditioned
from sfumato.engine import UNetBackbone
from sfumato.engine import engine as engine_of
from sfumato.model.pipe import Pipe, Stage
from sfumato.model.space import Latent
from sfumato.model.text import ClipText
from sfumato.picture import BadInput
from sfumato.recipe import Recipe
from sfumato.schedule import Discrete
from sfumato.zoo import INDEX, ZOO, built_ins

HUB_FILES = ["model_index.json", *(f"*/*.{kind}" for kind in ("json", "txt", "safetensors"))]
HUB_VARIANTS = ["*.fp16.*", "*.non_ema.*", "safety_checker/*"]
PARAMETERIZATIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}


def load(name: str | Path = "mini", *, engine: str = "eager", precision: str = "float32", device: str = "cpu") -> Pipe:
    """A `Pipe` of the model called `name`.

    name: a built-in miniature ("mini"), a folder in the format of Stable Diffusion 1 or 2 (`model_index.json` with
    unet, vae, text_encoder, tokenizer and scheduler), or a Hub id "owner/name", fetched once and cached.
    engine: "eager" or "exact" (see `sfumato.engine`). precision: "float32" or "bfloat16" weights.

    Raises `BadInput`, in one sentence, when there is no such model or when its files can't be read.
    """
    folder = find(name)
    index = _json(folder / INDEX)
    execute = engine_of(engine)
    load_part = _loader(folder, index, precision, device)

    unet = load_part("unet", _unet)
    space = Latent(load_part("vae", _autoencoder), execute)
    text = ClipText(load_part("text_encoder", _text_encoder), load_part("tokenizer", _tokenizer), execute)
    schedule, parameterization = _noise_schedule(_json(folder / "scheduler" / "scheduler_config.json"), folder)
    denoiser = Preconditioned(UNetBackbone(unet, execute), schedule, parameterization)

    cells = int(unet.config["sample_size"])
    multiple = space.factor * 2 ** (len(unet.config["block_out_channels"]) - 1)

    def encode(recipes: Sequence[Recipe]) -> Condition:
        return Condition((text([r.prompt for r in recipes], [r.negative for r in recipes]),))

    stage = Stage(name="picture", space=space, denoiser=denoiser, encode=encode)
    return Pipe(
        name=str(name),
        stages=(stage,),
        size=(cells * space.factor, cells * space.factor),
        multiple=multiple,
        engine=engine,
        precision=precision,
    )


def find(name: str | Path) -> Path:
    """The folder of a model; downloads it when `name` is a Hub id that is not in the cache yet."""
    if (built_in := ZOO / str(name) / INDEX).is_file():
        return built_in.parent
    folder = Path(name)
    if folder.is_dir():
        if not (folder / INDEX).is_file():
            raise BadInput(
                f"{folder} is no model folder: it has no model_index.json; give a folder in Stable Diffusion's "
                f"format, a Hub id (owner/name) or a built-in model ({', '.join(built_ins())})."
            )
        return folder
    if folder.is_file():
        raise BadInput(f"{folder} is a file; a model is a folder with a model_index.json, or a Hub id (owner/name).")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        return _from_hub(str(name))
    raise BadInput(
        f"There is no model called {str(name)!r}: it is no built-in model ({', '.join(built_ins())}), no folder, "
        "and no Hub id (owner/name)."
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, ignore_patterns=HUB_VARIANTS))
    except Exception as error:
        raise BadInput(
            f"{name} is not in the local cache and could not be fetched from the Hub "
            f"({type(error).__name__}); check the name and the network, or give a local folder."
        ) from error


def _loader(folder: Path, index: dict, precision: str, device: str) -> Callable[[str, Callable], Any]:
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in dtypes:
        raise BadInput(f"There is no precision called {precision!r}; choose one of {', '.join(dtypes)}.")

    def load_part(part: str, read: Callable) -> Any:
        if not index.get(part) or index[part][1] is None:
            raise BadInput(f"The model in {folder} names no {part} in model_index.json; this loader needs one.")
        expected = index[part][1]
        try:
            with _quiet():
                loaded = read(folder / part, dtypes[precision], expected)
        except BadInput:
            raise
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise BadInput(
                f"The {part} of the model in {folder} can't be read ({reason}); the file is damaged or incomplete: "
                "copy or download it again."
            ) from error
        return loaded.to(device).eval().requires_grad_(False) if isinstance(loaded, torch.nn.Module) else loaded

    return load_part


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of the libraries' own: reading takes a moment, and what long work is doing is said elsewhere."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        for library in (diffusers, transformers):
            library.utils.logging.enable_progress_bar()


def _accept(found: str, *accepted: str) -> None:
    if found not in accepted:
        raise BadInput(f"This model's network is a {found}; this loader accepts {' or '.join(accepted)}.")


def _unet(path: Path, dtype: Any, kind: str) -> Any:
    _accept(kind, "UNet2DConditionModel")
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(path, torch_dtype=dtype, local_files_only=True)


def _autoencoder(path: Path, dtype: Any, kind: str) -> Any:
    _accept(kind, "AutoencoderKL")
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(path, torch_dtype=dtype, local_files_only=True)


def _text_encoder(path: Path, dtype: Any, kind: str) -> Any:
    _accept(kind, "CLIPTextModel")
    from transformers import CLIPTextModel

    return CLIPTextModel.from_pretrained(path, dtype=dtype, local_files_only=True)


def _tokenizer(path: Path, dtype: Any, kind: str) -> Any:
    _accept(kind, "CLIPTokenizer", "CLIPTokenizerFast")
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(path, local_files_only=True)


def _noise_schedule(config: dict, folder: Path) -> tuple[Discrete, str]:
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PARAMETERIZATIONS:
        raise BadInput(
            f"The scheduler of the model in {folder} predicts {prediction!r}; "
            f"accepted are {', '.join(PARAMETERIZATIONS)}."
        )
    return Discrete.from_config(config), PARAMETERIZATIONS[prediction]


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read as JSON; the model folder is damaged or incomplete.") from error
