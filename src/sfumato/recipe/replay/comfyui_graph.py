"""ComfyUI's graph: nodes, each of a kind, whose inputs are values or links to other nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.picture.errors import BadInput, printable

CHECKPOINTS = ("CheckpointLoaderSimple", "CheckpointLoader")
NETWORKS = (*CHECKPOINTS, "UNETLoader", "UnetLoaderGGUF")
ENCODERS = ("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "CLIPLoaderGGUF", "DualCLIPLoaderGGUF")
LORAS = ("LoraLoader", "LoraLoaderModelOnly")
SHIFTS = ("ModelSamplingSD3", "ModelSamplingAuraFlow", "ModelSamplingFlux")
LATENTS = ("EmptyLatentImage", "EmptySD3LatentImage")
UPSCALES = ("LatentUpscale", "LatentUpscaleBy")
ADVANCED = "KSamplerAdvanced"
SAMPLERS = ("KSampler", ADVANCED, "SamplerCustom", "SamplerCustomAdvanced")
PARTS = ("RandomNoise", "KSamplerSelect", "BasicScheduler", "BasicGuider", "CFGGuider")
XL, XL_REFINER, FLUX = "CLIPTextEncodeSDXL", "CLIPTextEncodeSDXLRefiner", "CLIPTextEncodeFlux"
TEXTS = ("CLIPTextEncode", XL, XL_REFINER, FLUX)
SHOWN = ("VAEDecode", "SaveImage", "PreviewImage", "VAELoader", "Note", "MarkdownNote")
PLAIN = (
    *("CLIPSetLastLayer", "FluxGuidance", "ConditioningZeroOut"),
    *(*NETWORKS, *ENCODERS, *LORAS, *SHIFTS, *LATENTS, *UPSCALES, *SAMPLERS, *PARTS, *TEXTS, *SHOWN),
)
"""The kinds of nodes that are read; any other makes another picture."""
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes by their names: the kind of each, and its inputs."""

    by_name: Mapping[str, tuple[str, Node]]

    def kind(self, link: Any) -> str:
        """The kind of the node that a link leads to, or "nothing"."""
        return self.by_name.get(str(link[0]) if isinstance(link, list) and link else "", ("nothing", {}))[0]

    def at(self, link: Any, *kinds: str) -> Node:
        """The inputs of the node that a link leads to. Raises BadInput where it is none of those kinds."""
        if (kind := self.kind(link)) not in kinds:
            raise BadInput(f"its ComfyUI graph has {printable(kind, 60)} where {' or '.join(kinds)} is read")
        return self.by_name[str(link[0])][1]

    def all(self, *kinds: str) -> list[tuple[str, Node]]:
        """The nodes of those kinds."""
        return [(kind, inputs) for kind, inputs in self.by_name.values() if kind in kinds]

    def chain(self, link: Any, along: str, passed: tuple[str, ...], ends: tuple[str, ...]) -> list[tuple[str, Node]]:
        """The nodes on the way from a link, against the inputs called `along`, to one of `ends`, with that one."""
        found = []
        for _ in range(len(self.by_name)):
            inputs = self.at(link, *passed, *ends)
            found.append((self.kind(link), inputs))
            if self.kind(link) in ends:
                return found
            link = inputs.get(along)
        raise BadInput("its ComfyUI graph goes round in circles")


def nodes_of(text: str) -> Nodes:
    """Raises BadInput for a text that holds no graph, and for one with nodes that are not read."""
    try:
        said: dict[str, Any] = json.loads(text)
        nodes = {str(key): (str(node["class_type"]), dict(node["inputs"])) for key, node in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput("its ComfyUI graph can't be read") from None
    if strange := sorted({kind for kind, _ in nodes.values() if kind not in PLAIN}):
        raise BadInput(f"its ComfyUI graph has {printable(', '.join(strange), 200)}: plain graphs alone are replayed")
    return Nodes(nodes)
