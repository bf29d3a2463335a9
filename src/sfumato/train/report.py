"""What a run leaves to look at: a journal of scalars, TensorBoard, sample grids as PNG."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfumato.picture.files import encode_png, write_atomically
from sfumato.progress import say
from sfumato.train import rng
from sfumato.train.task import batches


class Journal:
    """Scalars as TensorBoard events and as JSON lines in the run folder; sample grids as images and PNG files."""

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        path = folder / "scalars.jsonl"
        if path.exists():
            write_atomically(path, "".join(_told(path, step)).encode())
        self.file = path.open("a", encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except ImportError:
            self.board = None
            say("TensorBoard isn't installed (pip install 'sfumato[train]'): scalars go to scalars.jsonl alone")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        self.file.flush()
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def pictures(self, step: int, grids: dict[str, np.ndarray]) -> None:
        """Grids: uint8 (H, W, 3) arrays by name."""
        for name, grid in grids.items():
            path = self.folder / "samples" / f"{name}-{step:08d}.png"
            write_atomically(path, encode_png(Image.fromarray(grid)))
            if self.board:
                self.board.add_image(name, grid, step, dataformats="HWC")

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()


def _told(path: Path, step: int) -> Iterator[str]:
    """The journal's whole lines up to `step`; what comes after is told again by the run that goes on from there."""
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            if json.loads(line)["step"] <= step:
                yield line + "\n"
        except (ValueError, KeyError, TypeError):
            continue


def by_noise(losses: Tensor, t: Tensor) -> dict[str, Tensor]:
    """The mean loss of the rows beyond t = 1/2, and that of the others."""
    late = (t > 0.5).to(losses.device)
    parts = {"loss_noisy": losses[late], "loss_clean": losses[~late]}
    return {name: part.detach().mean() for name, part in parts.items() if len(part)}


def by_quarter(losses: Callable[[np.ndarray, int, torch.Generator], Tensor], count: int) -> dict[str, float]:
    """The mean loss of `count` examples in each quarter of time: losses(rows, quarter, generator) answers one a row."""
    return {f"loss_t{quarter}": float(found.mean()) for quarter, found in enumerate(each_by_quarter(losses, count))}


@torch.no_grad()
def each_by_quarter(losses: Callable[[np.ndarray, int, torch.Generator], Tensor], count: int) -> np.ndarray:
    """The loss of each of `count` examples in each quarter of time, (4, count), as `by_quarter` takes it: the noise of
    an example depends on its number alone, so that two networks or conditions can be compared pair by pair."""
    found = np.empty((4, count))
    for quarter in range(4):
        generator = rng.generator("measure", quarter)
        for rows in batches(count):
            found[quarter, rows] = losses(rows, quarter, generator).double().cpu().numpy()
    return found


def times_in(quarter: int, n: int, generator: torch.Generator) -> Tensor:
    """n times, uniform in a quarter of [0, 1], float64."""
    return (quarter + torch.rand(n, generator=generator, dtype=torch.float64)) / 4


def grid(pictures: np.ndarray, columns: int, zoom: int = 1) -> np.ndarray:
    """Pictures uint8 (N, H, W, 3) side by side, `columns` in a row, each enlarged by repeating pixels."""
    n, h, w, c = pictures.shape
    rows = -(-n // columns)
    padded = np.concatenate([pictures, np.full((rows * columns - n, h, w, c), 255, np.uint8)])
    sheet = padded.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
    return sheet.repeat(zoom, 0).repeat(zoom, 1)
