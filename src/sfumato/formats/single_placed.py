"""What was found in a single file: its family, and where the networks of its model stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sfumato.formats.key_names import Naming
from sfumato.formats.single_configs import Config
from sfumato.formats.tensor_file import TensorFile


@dataclass(frozen=True)
class Placed:
    """A network in a file: its class, the beginning of its tensors' names and what they are called there."""

    kind: str
    file: TensorFile
    prefix: str
    naming: Naming


@dataclass(frozen=True)
class SingleFamily:
    """A single file as a model.

    pipeline: the class of diffusers' pipeline whose folder it stands for. placed: its networks. configs: theirs.
    tokenizers: with what each fills up a text, None for T5's. unread: beginnings of names that the family leaves out.
    """

    title: str
    pipeline: str
    placed: dict[str, Placed]
    configs: dict[str, Config]
    scheduler: Config
    tokenizers: dict[str, str | None]
    unread: tuple[str, ...] = ()
    classes: str = ""
    index: dict[str, Any] = field(default_factory=dict)
