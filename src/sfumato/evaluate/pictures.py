"""Sets of pictures to measure: a folder, tars, an array in a .npz, or the built-in world."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sfumato.data import vignettes, webdataset
from sfumato.data.array_cache import digest
from sfumato.data.folder import entries
from sfumato.data.vignettes.scene import SPLITS
from sfumato.data.world import world_version
from sfumato.picture import BadInput, PictureWarning, open_picture
from sfumato.picture.errors import name_of, printable

VIGNETTES = "vignettes"
Size = tuple[int, int]


@dataclass(frozen=True)
class Pictures:
    """`count` pictures of one size (width, height), drawn or read when they are asked for.

    key: 16 hexadecimal digits of what they are made from; the same key, the same pixels. words: the caption of picture
    i, or "". names: the file of each, where pictures are files.
    """

    name: str
    count: int
    size: Size
    key: str
    read: Callable[[int], Image.Image]
    words: Callable[[int], str] = lambda i: ""
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return self.count

    def batch(self, rows: Sequence[int] | range) -> Tensor:
        """Pictures as float32 (B, 3, H, W) in [-1, 1]."""
        pixels = np.stack([np.asarray(self.read(i).convert("RGB")) for i in rows])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def picture_set(source: str, size: Size | None, most: int, seed: int = 0, split: str = "seen") -> Pictures:
    """The pictures that `source` names, fitted to `size` (their middle, Lanczos), by default the first one's own.

    source: "vignettes", the first `most` of the world `seed`; a folder of pictures, with captions in metadata.jsonl or
    .txt files, or of webdataset tars; FILE.npz, or FILE.npz:NAME for one of several arrays. At most `most` pictures
    are taken, evenly spread over the set. Raises BadInput for anything else.
    """
    if source == VIGNETTES:
        return world(size or (64, 64), most, seed, split)
    path, colon, name = source.partition(".npz:")
    if colon or source.lower().endswith(".npz"):
        return array(Path(path + ".npz" if colon else source).expanduser(), name, size, most)
    return folder(Path(source).expanduser(), size, most)


def world(size: Size, count: int, seed: int, split: str) -> Pictures:
    """Vignettes 0 .. count - 1 of the world `seed`, drawn at the longer side of `size` and fitted."""
    if split not in SPLITS:
        raise BadInput(f"There is no split {printable(split)!r} of vignettes: accepted are {', '.join(SPLITS)}.")

    def draw(index: int) -> Image.Image:
        image = vignettes.draw(vignettes.scene(seed, index, split), max(size), truth=False).image  # pyright: ignore
        return fitted(Image.fromarray(image), size)

    def words(index: int) -> str:
        return vignettes.scene(seed, index, split).captions[0]  # pyright: ignore

    key = digest(VIGNETTES, seed, split, count, size, world_version())
    return Pictures(f"{VIGNETTES} (world {seed}, {split})", count, size, key, draw, words)


def folder(path: Path, size: Size | None, most: int) -> Pictures:
    """The pictures of a folder and below it, in the order of their names, or those of its tars."""
    if not path.is_dir():
        raise BadInput(f"There is no folder {name_of(path)}: give a folder of pictures, a FILE.npz, or {VIGNETTES}.")
    if any(path.glob("*.tar")):
        samples = webdataset.samples(path)
        stamps = [(s.name, s.offset, s.size) for s in samples] + [
            (t.name, t.stat().st_mtime_ns) for t in webdataset.listing(path)
        ]
        reads = [partial(_opened, sample.read, sample.name) for sample in samples]
        said = [str(sample.said.get("text", "")) for sample in samples]
        names = [sample.name for sample in samples]
    else:
        found = entries(path)
        files = [entry.path for entry in found]
        names = [file.relative_to(path).as_posix() if file.is_relative_to(path) else str(file) for file in files]
        stamps = [(name, file.stat().st_size, file.stat().st_mtime_ns) for name, file in zip(names, files, strict=True)]
        reads = [partial(_opened, lambda file=file: file, str(file)) for file in files]
        said = [entry.captions("text")[0] for entry in found]
    return _listed(str(path), reads, said, names, stamps, size, most)


def array(path: Path, name: str, size: Size | None, most: int) -> Pictures:
    """The uint8 array `name` (N, H, W), (N, H, W, 1) or (N, H, W, 3) of a .npz, by default its only one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in ([name] if name in file.files else file.files)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{name_of(path)} can't be read as .npz: give a file of arrays.") from error
    fit = {key: x for key, x in found.items() if x.dtype == np.uint8 and _is_pictures(x.shape)}
    if name and name not in fit:
        raise BadInput(f"{name_of(path)} holds no pictures {printable(name)!r}: it holds {_shown(found)}.")
    if len(fit) != 1:
        several = f"several arrays of pictures, {_shown(fit)}: name one, as {name_of(path)}:{next(iter(fit), '')}."
        none = f"no array of pictures, uint8 (N, H, W) or (N, H, W, 3): it holds {_shown(found)}."
        raise BadInput(f"{name_of(path)} holds {several if fit else none}")
    key, x = next(iter(fit.items()))
    x = x if x.ndim == 3 or x.shape[3] == 3 else x[..., 0]
    stamps = (key, path.stat().st_size, path.stat().st_mtime_ns)
    reads = [partial(Image.fromarray, row) for row in x]
    return _listed(f"{path}:{key}", reads, [""] * len(x), (), stamps, size, most)


def levels(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] at the nearest of their 256 levels."""
    return x.add(1).mul(127.5).round().div(127.5).sub(1)


def fitted(image: Image.Image, size: Size) -> Image.Image:
    """The picture's middle of the proportions of `size`, at that size."""
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def _listed(name: str, reads, said, names, stamps, size: Size | None, most: int) -> Pictures:
    count = min(most, len(reads))
    rows = [i * len(reads) // count for i in range(count)]
    size = size or reads[rows[0]]().size
    return Pictures(
        name,
        count,
        size,
        digest(name, stamps, size, count),
        lambda i: fitted(reads[rows[i]]().convert("RGB"), size),
        lambda i: said[rows[i]],
        [names[row] for row in rows] if names else (),
    )


def _opened(where: Callable[[], bytes | Path], name: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)  # drawn pictures are laid on white, all of them
        try:
            return open_picture(where())
        except BadInput as error:
            raise error if name in str(error) else BadInput(f"{name}: {error}") from error


def _is_pictures(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))


def _shown(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{printable(key, 40)} {x.dtype} {x.shape}" for key, x in arrays.items()) or "nothing"
