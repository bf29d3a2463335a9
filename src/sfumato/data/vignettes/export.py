"""Vignettes on disk: an imagefolder with metadata and ground-truth maps, and contact sheets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.picture import BadInput, write_atomically
from sfumato.picture.files import encode_png

from .draw import Vignette, draw
from .scene import Split, scene

MAPS = ("instance", "semantic", "depth", "normals")


def export(
    folder: Path, count: int, *, seed: int = 0, size: int = 128, split: Split = "seen", truth: bool = True,
    start: int = 0, progress: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """Writes scenes start .. start + count - 1 as an imagefolder.

    NNNNNN.png and `metadata.jsonl`, whose lines hold file_name, text, captions, attributes, seed, index, split, size
    and, with `truth`, keypoints and boxes; the maps go into subfolders of the same file names: instance/ and semantic/
    (8-bit), depth/ (16-bit, 65535 far), normals/ (8-bit RGB, 127.5 (n + 1)).
    Files that are there and whole are kept, so a broken run goes on where it stopped; every file is written whole or
    not at all. `progress` hears the number of pictures done. BadInput for a count below 1, a folder that
    can't be written to, or whose metadata speak of another seed, size or split.
    """
    if count < 1:
        raise BadInput(f"count must be 1 or more, not {count}")
    folder = Path(folder)
    try:
        known = _known(folder, seed, size, split)
        for name in (".", *MAPS) if truth else (".",):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for done, index in enumerate(range(start, start + count), 1):
            if index not in known or (truth and "boxes" not in known[index]) or not _whole(folder, index, size, truth):
                known[index] = _write(folder, draw(scene(seed, index, split), size, truth), index, truth)
                known[index] |= {"seed": seed, "index": index, "split": split, "size": size}
                if done % 256 == 0:
                    _write_metadata(folder, known)
            if progress is not None:
                progress(done)
        _write_metadata(folder, known)
    except OSError as error:
        raise BadInput(f"can't write vignettes to {folder}: {error.strerror or error}") from error


def _known(folder: Path, seed: int, size: int, split: str) -> dict[int, dict]:
    """The lines already in the folder's metadata, by index."""
    path = folder / "metadata.jsonl"
    if not path.exists():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        known = {line["index"]: line for line in lines}
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no metadata of vignettes: move it away or choose another folder") from error
    for line in known.values():
        for name, value in (("seed", seed), ("size", size), ("split", split)):
            if line.get(name) != value:
                raise BadInput(
                    f"{folder} holds vignettes of {name} {line.get(name)}, not {value}: choose another folder"
                )
    return known


def _whole(folder: Path, index: int, size: int, truth: bool) -> bool:
    names = [f"{index:06d}.png", *(f"{m}/{index:06d}.png" for m in (MAPS if truth else ()))]
    for name in names:
        try:
            with Image.open(folder / name) as picture:
                if picture.size != (size, size):
                    return False
                picture.load()
        except (OSError, SyntaxError):
            return False
    return True


def _write(folder: Path, vignette: Vignette, index: int, truth: bool) -> dict:
    name = f"{index:06d}.png"
    line: dict = {"file_name": name, "text": vignette.caption, "captions": vignette.captions,
                  "attributes": vignette.attributes}  # fmt: skip
    if truth:
        assert vignette.depth is not None
        assert vignette.normals is not None
        _save(vignette.instance, folder / "instance" / name)
        _save(vignette.semantic, folder / "semantic" / name)
        _save(np.round(vignette.depth * 65535).astype(np.uint16), folder / "depth" / name)
        _save(np.round(127.5 * (vignette.normals + 1)).astype(np.uint8), folder / "normals" / name)
        line |= {"keypoints": vignette.keypoints, "boxes": vignette.boxes}
    _save(vignette.image, folder / name)
    return line


def _save(array: np.ndarray | None, path: Path) -> None:
    write_atomically(path, encode_png(Image.fromarray(array)))  # type: ignore[arg-type]


def _write_metadata(folder: Path, known: dict[int, dict]) -> None:
    lines = (json.dumps(known[index], ensure_ascii=False) + "\n" for index in sorted(known))
    write_atomically(folder / "metadata.jsonl", "".join(lines).encode())


def sheet(count: int, *, seed: int = 0, size: int = 128, split: Split = "seen", columns: int = 8) -> Image.Image:
    """The first `count` scenes side by side, `columns` in a row, on a warm white ground."""
    if count < 1 or columns < 1:
        raise BadInput(f"a sheet needs at least 1 picture and 1 column, not {count} and {columns}")
    columns, gap = min(columns, count), max(2, size // 32)
    rows = -(-count // columns)
    page = Image.new("RGB", (gap + columns * (size + gap), gap + rows * (size + gap)), (250, 247, 240))
    for k in range(count):
        picture = Image.fromarray(draw(scene(seed, k, split), size, truth=False).image)
        page.paste(picture, (gap + (k % columns) * (size + gap), gap + (k // columns) * (size + gap)))
    return page
