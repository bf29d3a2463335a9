"""Programs in processes of their own that don't pay for their imports.

Of the seconds that `python -m sfumato generate` takes with a small model, nearly all are spent on importing torch,
diffusers and transformers. Here one server a test worker imports them once (multiprocessing's fork server), and every
program runs in a fork of it: a real process, with its own arguments, folder, environment, output, signals and exit
status. What is the server's: hash randomization, PYTHONPATH and the plugins found on it, and whatever else is read from
the environment at an import. Tests of those, and of imports, start an interpreter by `subprocess` instead.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "accelerate",
        "cv2",
        "scipy.ndimage",
        "diffusers.models.autoencoders.autoencoder_kl",
        "diffusers.models.unets.unet_2d_condition",
        "transformers.models.clip.modeling_clip",
        "transformers.models.clip.tokenization_clip",
        "sfumato.cli.app",
        "sfumato.cli.paint",
        "sfumato.formats.stable_diffusion",
        "sfumato.model.load",
        "sfumato.network.clip_text_model",
        "sfumato.network.unet2d_condition",
        "sfumato.provenance",
        "sfumato.recipe.intent.starts",
        "sfumato.recipe.written",
        "tests.preloaded",  # the last: it freezes what is there; found from the folder that pytest runs in
    ]
)


def _become(command: list[str], place: Path, environment: dict[str, str], outputs: tuple[str, str]) -> None:
    """Be `python COMMAND` from here on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    if command[0] == "-m":
        sys.argv = command[1:]
        sys.path[0] = str(place)
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path[0] = str(Path(command[0]).resolve().parent)
        runpy.run_path(command[0], run_name="__main__")


class Program:
    """A program that runs; its output is kept in files, to be read at any time."""

    def __init__(self, command: list[str], cwd: Path | None, env: Mapping[str, str] | None, kept: Path):
        self.command, self._files = command, (kept / "stdout", kept / "stderr")
        for file in self._files:
            file.touch()
        place = Path.cwd() if cwd is None else Path(cwd)
        told = dict(os.environ if env is None else env)
        self._process = SERVER.Process(target=_become, args=(command, place, told, tuple(map(str, self._files))))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def out(self) -> str:
        return self._files[0].read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._files[1].read_text(encoding="utf-8")

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.exitcode

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 280) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"{self.command} still runs after {timeout} seconds: {self.err}"
        return self._process.exitcode

    def until(self, said: str, timeout: float = 120) -> None:
        """Wait until its output has these words."""
        end = time.monotonic() + timeout
        while said not in self.out + self.err:
            assert self.poll() is None, f"{self.command} ended and never said {said!r}: {self.err}"
            assert time.monotonic() < end, f"{self.command} never said {said!r}: {self.err}"
            time.sleep(0.01)


@contextmanager
def start(*command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """with start("-m", "sfumato", "models") as program: ...; what still runs at the end is killed."""
    with tempfile.TemporaryDirectory() as kept:
        program = Program([str(part) for part in command], cwd, env, Path(kept))
        try:
            yield program
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()


def run(*command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """`python COMMAND`, run to its end."""
    with start(*command, cwd=cwd, env=env) as program:
        status = program.wait()
        return CompletedProcess(program.command, status, program.out, program.err)
