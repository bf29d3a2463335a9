"""From a recipe's path to a run: dry runs, fresh starts, resuming."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import torch

from sfumato.data.lock import Locked, lock
from sfumato.data.world import World
from sfumato.picture import BadInput
from sfumato.picture.files import write_atomically
from sfumato.progress import say
from sfumato.train import checkpoint, rng
from sfumato.train import recipe as r
from sfumato.train.hyperparameters import Common
from sfumato.train.loop import Loop, Stopped
from sfumato.train.machine import accelerator
from sfumato.train.task import TASKS, Place
from sfumato.zoo import place

LOCK = ".lock"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def start(path: Path, *, out: Path | None, dry_run: bool, resume: bool, overrides: list[str]) -> None:
    """See `sfumato.train.run`."""
    recipe = r.load(path, overrides)
    if dry_run:
        estimate(recipe)
        return
    folder = out or Path("runs") / recipe.name
    try:
        with _alone(folder):
            there = _settle(recipe, folder, resume)
            loop = _loop(recipe, folder)
            if loop.main:
                write_atomically(folder / "recipe.yaml", r.resolved(recipe).encode())
            for sentence in loop.task.about() if loop.main else ():
                say(sentence)
            if loop.task.rehearses and there is None:
                told = loop.foretold(loop.rehearsed())
                if loop.main:
                    say(told)
            if loop.restore(there) and loop.main:
                say(f"{recipe.name}: going on from step {loop.step} in {folder}")
            figures = loop.run()
    except BadInput:
        _leave_nothing(folder)
        raise
    except Stopped as stop:
        if _first():
            say(str(stop))
        raise
    except KeyboardInterrupt:
        say(f"{recipe.name}: stopped; what was computed is kept: the same command goes on")
        raise Stopped("interrupted", 130) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        sentence = f"{recipe.name}: stopped, there is no room left for {folder} ({error.strerror})"
        say(f"{sentence}; make room and start the same command again")
        raise Stopped(sentence, 1) from error
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        sentence = f"{recipe.name}: stopped, there is not enough memory for a step of this recipe"
        say(f"{sentence}: take a smaller batch (and optimizer.accumulate to make up for it) or a smaller network")
        raise Stopped(sentence, 1) from error
    if loop.main:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        say(f"{recipe.name}: done after {loop.step} steps, exported to {folder / 'export'}; {shown}")
        for sentence in loop.task.conclusion():
            say(sentence)


def _loop(recipe: Common, folder: Path) -> Loop:
    machine = accelerator(recipe)
    torch.manual_seed(rng.key(recipe.seed, "weights"))
    place = Place(folder, folder.parent / "cache", machine.device, machine.mixed_precision == "bf16")
    with machine.main_process_first():
        task = TASKS[recipe.task](recipe, place)
    return Loop(recipe, task, folder, machine)


def _alone(folder: Path) -> AbstractContextManager[Any]:
    """Inside, no other training is at work in the run's folder. The first process of a run speaks for all."""
    held = ExitStack()
    if _first():
        try:
            held.enter_context(lock(folder / LOCK))
        except Locked as error:
            who = f" (process {error.process})" if error.process else ""
            raise BadInput(
                f"another training{who} is at work in {folder}: wait for it, or choose another folder with --output"
            ) from None
        except OSError as error:
            if error.errno in FULL:
                raise
            raise BadInput(
                f"the folder {folder} can't be written ({error.strerror}): choose another with --output"
            ) from error
    return held


def _leave_nothing(folder: Path) -> None:
    """Remove the folder of a run that was refused before it began, in which the lock alone is."""
    if folder.is_dir() and [path.name for path in folder.iterdir()] == [LOCK]:
        (folder / LOCK).unlink()
        folder.rmdir()


def _first() -> bool:
    return not os.environ.get("RANK", "0").strip("0")


def _out_of_memory(error: BaseException) -> bool:
    said = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said


def _settle(recipe: Common, folder: Path, resume: bool) -> Path | None:
    """Refuse to mix two runs in one folder. Answers the checkpoint that the run goes on from, if there is one."""
    there = checkpoint.newest(folder / "checkpoints")
    if there is not None:
        if not resume:
            raise BadInput(
                f"{folder} holds a run at {there.name}: let it resume, or choose another folder with --output"
            )
        if changed := r.differences(_begun(there, folder, recipe), recipe):
            raise BadInput(
                f"{folder} holds a run of another recipe (different: {', '.join(changed)}): choose another --output"
            )
    return there


def _begun(there: Path, folder: Path, recipe: Common) -> Common:
    """The recipe that the run in `folder` began with: its checkpoint says it, or else recipe.yaml."""
    said = checkpoint.info(there).get("recipe")
    if said is not None:
        return r.validate(said, f"the recipe in {there}")
    try:
        return r.load(folder / "recipe.yaml")
    except BadInput as error:
        say(f"{error}: it is taken to be that of this run")
        return recipe


def estimate(recipe: Common, steps: int = 4) -> None:
    """Print the resolved recipe, parameter counts, steps, pictures, and the time that a few timed steps promise."""
    ready, prior = _with_parts(recipe), getattr(recipe, "prior", None)
    small = _small(ready)
    if prior is not None:
        small = small.model_copy(update={"prior": prior.model_copy(update={"count": 1})})
    with tempfile.TemporaryDirectory() as folder:
        loop = _loop(small, Path(folder) / "run")
        times = []
        for _ in range(steps):
            start = time.monotonic()
            loop.advance()
            times.append(time.monotonic() - start)
        second = sorted(times)[len(times) // 2 - 1]
    parameters = sum(w.numel() for w in loop.network.parameters())
    pictures = recipe.steps * recipe.batch * recipe.optimizer.accumulate
    print(r.resolved(recipe).rstrip())
    if ready is not recipe:
        print("# its parts aren't trained yet: measured with those of the built-in miniature")
    for sentence in loop.task.about():
        print(f"# {sentence}")
    print(f"# parameters: {parameters:,}")
    print(f"# steps: {recipe.steps:,} of {recipe.batch * recipe.optimizer.accumulate} pictures: {pictures:,} pictures")
    print(f"# {loop.foretold(second)}")
    if prior is not None:
        minutes = loop.asking(2 * prior.count * prior.steps, second) / 60
        print(f"# before it {prior.count} pictures of the class are painted, about {minutes:.1f} minutes, and kept")


def _with_parts(recipe: Common) -> Common:
    """For an estimate, the built-in miniature's autoencoder and text encoder stand in for those not trained yet, and
    the network begins anew where what it would begin as isn't there."""
    begin = getattr(recipe, "begin", None)
    if begin is not None and not (begin.exists() or place(begin).is_dir()):
        recipe = recipe.model_copy(update={"begin": None})
    parts = {name: path for name in ("autoencoder", "text_encoder") if (path := getattr(recipe, name, None))}
    missing = [name for name, path in parts.items() if not (path.exists() or place(path).is_dir())]
    return recipe.model_copy(update=dict.fromkeys(missing, Path("mini"))) if missing else recipe


def _small(recipe: Common) -> Common:
    """The recipe on as few drawn pictures as a few steps need."""
    if not isinstance(recipe.data, World):
        return recipe
    count = min(recipe.data.count, max(2 * recipe.batch, 64))
    changes: dict[str, object] = {"data": recipe.data.model_copy(update={"count": count}), "workers": 1}
    if hasattr(recipe, "held_back"):
        changes["held_back"] = 8
    return recipe.model_copy(update=changes)
