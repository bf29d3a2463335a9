"""An autoencoder in a file of its own, in the place of a model's: of the same shape and scale, with other weights."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from sfumato.formats.folder import read_json
from sfumato.formats.key_names import NamedPiece, left_over, listed, read_tensors
from sfumato.formats.ldm_names import autoencoder_names
from sfumato.formats.read_network import STEMS, class_of, without_weights
from sfumato.formats.single_family import VAES
from sfumato.formats.single_file import LEFT_OUT
from sfumato.formats.tensor_file import open_tensors
from sfumato.formats.write import write_json
from sfumato.network.writing import save_tensors
from sfumato.picture.errors import BadInput, name_of
from sfumato.zoo.borrowed import room
from sfumato.zoo.find import pickles_allowed


def folder_of_autoencoder(path: Path, own: Path) -> Path:
    """A folder in diffusers' format with the weights in a file and the config of the model's own autoencoder, which is
    there as long as the process is. The file has its makers' names or diffusers'.

    Raises BadInput for a file that holds none, one of another shape, or more.
    """
    return _folder(path, path.stat().st_mtime_ns, own, pickles_allowed())


@lru_cache(maxsize=8)
def _folder(path: Path, stamp: int, own: Path, pickles: bool) -> Path:
    config, file = read_json(own / "config.json"), open_tensors(path, pickles)
    if config.get("_class_name") != "AutoencoderKL":
        raise BadInput(f"{name_of(path)} can't take the place of the model's autoencoder, which is of another kind.")
    prefix = next((each for each in VAES if f"{each}decoder.conv_in.weight" in file.shapes), None)
    if prefix is None:
        raise BadInput(f"{name_of(path)} holds no autoencoder: it has no decoder.conv_in.weight.")
    network = without_weights(class_of("AutoencoderKL")[1], config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    ours = f"{prefix}decoder.up_blocks.0.resnets.0.conv1.weight" in file.shapes
    naming = NamedPiece if ours else autoencoder_names(len(config["block_out_channels"]))
    if strange := [name for name in left_over(file, prefix, shapes, naming) if not LEFT_OUT.fullmatch(name)]:
        raise BadInput(f"{name_of(path)} holds {listed(strange)}, which the model's autoencoder has no place for.")
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem[:40]}-", dir=room()))
    save_tensors(read_tensors(file, prefix, shapes, naming), folder / f"{STEMS['diffusers']}.safetensors")
    write_json(folder / "config.json", config)
    return folder
