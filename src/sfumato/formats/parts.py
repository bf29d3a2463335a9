"""How each part of a model's folder is read, and what is said when it can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sfumato.picture import BadInput
from sfumato.schedule import Discrete
from sfumato.zoo.folder import parts_of, read_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PARAMETERIZATIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}


@dataclass(frozen=True)
class Parts:
    """The parts of the folder of a model, each read when it is asked for, as an instance of its class."""

    folder: Path
    precision: str
    device: str

    def __post_init__(self) -> None:
        if self.precision not in DTYPES:
            raise BadInput(f"There is no precision called {self.precision!r}; choose one of {', '.join(DTYPES)}.")

    def load(self, part: str, *accepted: str) -> Any:
        """The part of that name, which must be of one of the `accepted` classes of diffusers or transformers."""
        found = parts_of(self.folder).get(part)
        if found is None:
            raise BadInput(f"The model in {self.folder} names no {part} in model_index.json; this loader needs one.")
        if found not in accepted:
            raise BadInput(f"This model's {part} is a {found}; this loader accepts {' or '.join(accepted)}.")
        with self.explained(part):
            read = _read(accepted[0], self.folder / part, DTYPES[self.precision])
            return read.to(self.device).eval().requires_grad_(False) if isinstance(read, torch.nn.Module) else read

    @contextmanager
    def explained(self, part: str) -> Iterator[None]:
        """Whatever goes wrong while a part is read, in one sentence; the libraries' own progress bars are hushed."""
        try:
            with _quiet():
                yield
        except BadInput:
            raise
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise BadInput(
                f"The {part} of the model in {self.folder} can't be read ({reason}); the file is damaged or "
                "incomplete: copy or download it again."
            ) from error

    def scheduler(self) -> dict[str, Any]:
        return read_json(self.folder / "scheduler" / "scheduler_config.json")

    def schedule(self) -> tuple[Discrete, str]:
        """The table that the network was trained with, and its parameterization."""
        config = self.scheduler()
        with self.explained("scheduler"):
            return noise_schedule(config, self.folder)


def noise_schedule(config: Mapping[str, Any], folder: Path) -> tuple[Discrete, str]:
    """The table of betas of a diffusers `scheduler_config.json`, and the name of what the network predicts."""
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PARAMETERIZATIONS:
        raise BadInput(
            f"The scheduler of the model in {folder} predicts {prediction!r}; "
            f"accepted are {', '.join(PARAMETERIZATIONS)}."
        )
    return Discrete.from_config(config), PARAMETERIZATIONS[prediction]


def _read(kind: str, path: Path, dtype: torch.dtype) -> Any:
    import diffusers
    import transformers

    if kind in ("CLIPTextModel", "CLIPTokenizer"):
        options = {"dtype": dtype} if kind == "CLIPTextModel" else {}
        return getattr(transformers, kind).from_pretrained(path, local_files_only=True, **options)
    return getattr(diffusers, kind).from_pretrained(path, torch_dtype=dtype, local_files_only=True)


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
