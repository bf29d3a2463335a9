"""The training loop: every step a function of (recipe, step), so that a resumed run is the same run."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sfumato.picture.files import write_atomically
from sfumato.progress import progress, say
from sfumato.train import checkpoint, report, rng
from sfumato.train.ema import Ema
from sfumato.train.hyperparameters import Common
from sfumato.train.machine import memory_taken
from sfumato.train.optimizer import adamw, learning_rate
from sfumato.train.task import Task


class Stopped(SystemExit):
    """A run that ended before its time: one sentence, and the exit code of the process."""

    def __init__(self, sentence: str, code: int):
        super().__init__(code)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Loop:
    """One run of `recipe` in `folder`. `run()` goes from the newest checkpoint to the end."""

    def __init__(self, recipe: Common, task: Task, folder: Path, machine: Any):
        self.recipe, self.folder, self.machine = recipe, folder, machine
        self.network = task.network
        self.step, self.seconds = 0, 0.0
        self.task = task.to(machine.device)
        self.ema = Ema(self.network, recipe.ema.decay)
        self.wrapped, self.optimizer = machine.prepare(self.task, adamw(self.network, recipe.optimizer))

    @property
    def main(self) -> bool:
        return self.machine.is_main_process

    @property
    def done(self) -> float:
        """How much of the run is behind, 0 to 1: by steps, or by the clock where `minutes` is set and ends first."""
        by_clock = self.seconds / 60 / self.recipe.minutes if self.recipe.minutes else 0.0
        return max(self.step / self.recipe.steps, by_clock)

    def restore(self, path: Path | None = None) -> bool:
        """Goes on from the checkpoint at `path`, by default the newest whole one, if there is any; says what makes it
        another run than it was."""
        path = path or checkpoint.newest(self.folder / "checkpoints")
        if path is None:
            return False
        state = checkpoint.read(path)
        self.network.load_state_dict(state.network)
        self.ema.load(state.ema)
        self.optimizer.load_state_dict(state.optimizer)
        memory = self.task.memory()
        for name, saved in state.memory.items():
            memory[name].copy_(saved)
        self.step, self.seconds = state.step, float(state.info["seconds"])
        if self.main:
            self._tell_differences(state.info)
        return True

    def surroundings(self) -> dict[str, Any]:
        """What the bits of a run depend on besides its recipe."""
        machine = self.machine
        return {
            "processes": machine.num_processes,
            "threads": torch.get_num_threads(),
            "precision": machine.mixed_precision,
            "device": machine.device.type,
            "torch": str(torch.__version__),
        }

    def _tell_differences(self, info: dict[str, Any]) -> None:
        now = self.surroundings()
        if changed := [f"{k} {info[k]} -> {v}" for k, v in now.items() if k in info and info[k] != v]:
            say(f"this run goes on in other surroundings ({', '.join(changed)}): not to the same bits as before")
        old = info.get("recipe", {})
        ends = [key for key in ("steps", "minutes") if key in old and old[key] != getattr(self.recipe, key)]
        if ends and self.recipe.optimizer.schedule == "cosine":
            said = ", ".join(f"{key} {old[key]} -> {getattr(self.recipe, key)}" for key in ends)
            say(f"the end of this run has moved ({said}), and with it the cosine that its learning rate follows")
        if info.get("inputs") != self.task.inputs():
            say("the pictures or the parts that this run began with have changed: it goes on with the new ones")

    def state(self) -> checkpoint.State:
        info = {"seconds": self.seconds, **self.surroundings(), "inputs": self.task.inputs()}
        info["recipe"] = self.recipe.model_dump(mode="json")
        optimizer = self.optimizer.state_dict()
        network, memory = self.network.state_dict(), self.task.memory()
        return checkpoint.State(self.step, network, self.ema.state(), optimizer, info, memory)

    def save(self, name: str | None = None) -> Path | None:
        if not self.main:
            return None
        folder = self.folder / "checkpoints" if name is None else self.folder
        try:
            return checkpoint.write(folder, self.state(), self.recipe.keep, name)
        except checkpoint.CheckpointError as error:
            raise Stopped(
                f"stopped at step {self.step}: {error}; make room and start the same command again", 1
            ) from error

    def advance(self) -> dict[str, float]:
        """One optimizer step: gradients of `accumulate` batches, clipping, AdamW, EMA. Raises Stopped on NaN."""
        recipe, o, machine = self.recipe, self.recipe.optimizer, self.machine
        torch.manual_seed(rng.key(recipe.seed, "step", self.step, machine.process_index))
        self.task.train()
        self.optimizer.zero_grad()
        logs: dict[str, float] = {}
        seen = []
        for part in range(o.accumulate):
            number = (self.step * o.accumulate + part) * machine.num_processes + machine.process_index
            indices = self.task.batch(recipe.seed, number, recipe.batch)
            seen.append(indices)
            noise = rng.generator(recipe.seed, "noise", self.step, part, machine.process_index)
            loss, extra = self.wrapped(indices, self.step, noise)
            machine.backward(loss / o.accumulate)
            for name, value in {"loss": loss, **extra}.items():
                logs[name] = logs.get(name, 0.0) + float(value.detach()) / o.accumulate
        norm = float(machine.clip_grad_norm_(self.wrapped.parameters(), o.clip))
        if not (math.isfinite(logs["loss"]) and math.isfinite(norm)):
            self._diverged(logs["loss"], norm, np.concatenate(seen))
        rate = learning_rate(o, self.step, self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.ema.update(self.network, self.step)
        self.step += 1
        return {**logs, "lr": rate, "grad_norm": norm}

    def rehearsed(self) -> float:
        """Seconds of a step, by one that is computed and not taken; where a step is short the second of two."""
        for _ in range(2):
            start = time.monotonic()
            indices = self.task.batch(self.recipe.seed, 0, self.recipe.batch)
            loss, _ = self.wrapped(indices, 0, rng.generator(self.recipe.seed, "rehearsal"))
            self.machine.backward(loss)
            self.optimizer.zero_grad()
            took = (time.monotonic() - start) * self.recipe.optimizer.accumulate
            if self._anyone(took > 5):
                break
        return took

    def asking(self, rows: int, second: float) -> float:
        """Seconds in which the network is asked about so many rows, where a step takes `second`s: forwards and back
        costs three times forwards."""
        return rows * second / (3 * self.recipe.batch * self.recipe.optimizer.accumulate)

    def foretold(self, second: float) -> str:
        """How long the run takes where a step takes `second`s, with its sample grids, and the memory that it has taken
        so far."""
        recipe = self.recipe
        grids = 2 + (recipe.steps - 1) // recipe.every.sample if self.task.passes() else 0
        drawing = self.asking(self.task.passes(), second)
        minutes = (recipe.steps * second + grids * drawing) / 60
        clock = f", ended by the clock after {recipe.minutes:g}" if recipe.minutes and recipe.minutes < minutes else ""
        drawn = f" and {grids} sample grids of {drawing:.1f} s" if grids else ""
        return (
            f"time: about {minutes:.1f} minutes at {second:.3f} s a step{drawn} on {self.machine.device}{clock}"
            f"{memory_taken(self.machine.device)}"
        )

    def _diverged(self, loss: float, norm: float, indices: np.ndarray) -> None:
        """Keep the state from before the step that went wrong, with what it was fed."""
        path = self.save(f"diverged-{self.step:08d}")
        where = {"step": self.step, "loss": str(loss), "grad_norm": str(norm), "indices": indices.tolist()}
        write_atomically(self.folder / "diverged.json", json.dumps(where, indent=1).encode())
        few = ", ".join(map(str, indices[:8])) + (", ..." if len(indices) > 8 else "")
        raise Stopped(
            f"stopped at step {self.step}: the loss is {loss}, the gradient's norm {norm}; batch indices {few} are in "
            f"{self.folder / 'diverged.json'}, the state before the step in {path}; try a lower optimizer.lr or clip",
            1,
        )

    def run(self) -> dict[str, float]:
        """Train to the end, export, and answer the figures. Raises Stopped after SIGINT or SIGTERM, or on NaN."""
        recipe, every = self.recipe, self.recipe.every
        journal = report.Journal(self.folder, self.step) if self.main else None
        with _signals() as caught, progress(recipe.name, recipe.steps, self.step, self.main) as bar:
            if self.step == 0:
                self.sample(journal)
            before = time.monotonic()
            while self.done < 1:
                start = time.monotonic()
                logs = self.advance()
                now = time.monotonic()
                self._clock(now - before)
                before = now
                images = recipe.batch * recipe.optimizer.accumulate * self.machine.num_processes / (now - start)
                bar(1, f"loss {logs['loss']:.4f} {images:.0f} img/s {self.done:.0%}")
                if journal and self.step % every.log == 0:
                    journal.scalars(self.step, {**logs, "images_per_second": images, "done": self.done})
                if self._anyone(bool(caught)):
                    self.save()
                    raise Stopped(
                        f"stopped by {caught[0] if caught else 'a signal'} after step {self.step}, which is saved: "
                        f"the same command goes on from there",
                        128 + (caught[0] if caught else signal.SIGTERM),
                    )
                if self.step % every.sample == 0 and self.done < 1:
                    self.sample(journal)
                if self.step % every.save == 0 or self.done >= 1:
                    self.save()
        self.sample(journal)
        figures = self._finish()
        if journal:
            journal.close()
        self._part()
        return figures

    def _part(self) -> None:
        """Processes leave together: one that goes while another still talks to it is killed, and fails the run."""
        if self.machine.num_processes > 1:
            self.machine.wait_for_everyone()
            self.wrapped = self.task  # what still holds the group would keep its threads until the interpreter ends
            self.machine.free_memory()
            torch.distributed.destroy_process_group()

    def sample(self, journal: report.Journal | None) -> None:
        if journal:
            with self.averaged():
                journal.pictures(self.step, self.task.grids())
                if measured := self.task.measured():
                    journal.scalars(self.step, measured)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights, in evaluation mode, without gradients."""
        self.task.eval()
        with self.ema.applied(self.network), torch.no_grad():
            yield

    def _finish(self) -> dict[str, float]:
        if not self.main:
            return {}
        with self.averaged():
            figures = checkpoint.export(self.folder / "export", self.task.finish)
        processes = self.machine.num_processes
        pictures = self.step * self.recipe.batch * self.recipe.optimizer.accumulate * processes
        told = {"steps": self.step, "pictures": pictures, "hours": self.seconds / 3600}
        told |= {"processes": processes, "threads": torch.get_num_threads()}
        write_atomically(self.folder / "figures.json", json.dumps({**told, **figures}, indent=1).encode())
        return figures

    def _clock(self, took: float) -> None:
        """Rank 0's clock is everybody's, or ranks would end at different steps."""
        if self.machine.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            took = float(broadcast_object_list([took])[0])
        self.seconds += took

    def _anyone(self, here: bool) -> bool:
        """Whether it is so in any of the processes; all of them ask at once."""
        if self.machine.num_processes == 1:
            return here
        flag = torch.tensor(float(here), device=self.machine.device)
        return bool(self.machine.reduce(flag, "sum") > 0)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Catches SIGINT and SIGTERM while inside: the list gets their numbers, the step in hand is finished first."""
    caught: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if len(caught) >= 2:
            os._exit(128 + number)
        caught.append(number)

    try:
        old = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are the caller's affair
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
