"""sfumato extract"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli import options


def extract(
    tuned: Annotated[str, typer.Argument(help="A model that was fine-tuned; or a LoRA (LoHa, LoKr, DoRA) to resize.")],
    target: Annotated[Path, typer.Argument(help="The LoRA to write, a name ending in .safetensors.")],
    base: Annotated[str, typer.Option("--model", "-m", help="The model that it was made of.")] = "mini",
    rank: Annotated[int, typer.Option(min=1, max=1024, help="The rank of each layer's change.")] = 16,
    allow_pickle: options.AllowPickle = False,
    json: options.Json = False,
) -> None:
    """Write what fine-tuning changed as a LoRA, the nearest of its rank (by singular values)."""
    from sfumato.adapt.file import check_new
    from sfumato.adapt.svd import extract as differences
    from sfumato.adapt.svd import resize
    from sfumato.cli.common import note, print_json, silent_stderr
    from sfumato.model.load import load
    from sfumato.recipe import written

    check_new(target)
    with silent_stderr():
        networks = load(base, precision="float32").stage.networks
        if Path(tuned).is_file():
            found = resize(written.lora(tuned, allow_pickle).bind(networks).changes, networks, rank, target)
        else:
            found = differences(networks, load(tuned, precision="float32").stage.networks, rank, target)
    if json:
        print_json({"path": str(target), "layers": found.layers, "kept": found.kept, "other": list(found.other)})
        return
    note(f"{found.layers} layers; rank {rank} holds {found.kept:.1%} of the squared difference")
    if found.other:
        note(f"{len(found.other)} weights that no LoRA holds differ too (norms, biases, tables of tokens): left out")
    print(target)
