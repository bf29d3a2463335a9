"""The commands put together, and what their failures look like."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any

import typer

from sfumato.cli.caption import caption
from sfumato.cli.control import control
from sfumato.cli.convert import convert
from sfumato.cli.derived_help import DerivedHelp
from sfumato.cli.edit import edit
from sfumato.cli.evaluate import evaluate
from sfumato.cli.extract import extract
from sfumato.cli.generate import generate
from sfumato.cli.inspect import inspect
from sfumato.cli.look_attention import look_attention
from sfumato.cli.merge import merge
from sfumato.cli.models import models
from sfumato.cli.personalize import personalize
from sfumato.cli.redo import redo
from sfumato.cli.store import store
from sfumato.cli.study import study
from sfumato.cli.train import train
from sfumato.cli.vignettes import vignettes

_MENDABLE = {  # the disk or a path, not the program
    errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip

app = typer.Typer(
    name="sfumato",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    generate,
    edit,
    redo,
    inspect,
    look_attention,
    models,
    control,
    convert,
    store,
    train,
    caption,
    personalize,
    merge,
    extract,
    vignettes,
    evaluate,
    study,
):
    app.command(cls=DerivedHelp)(command)


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Turn noise, sketches, masks and words into pictures.

    Results go to stdout (paths, or one JSON object); progress and notes to stderr.
    Exit status: 0 done, 2 the input must change, 130 interrupted, 1 anything else.
    """
    if version:
        from sfumato import __version__

        typer.echo(f"sfumato {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@cache
def _commands() -> Callable[..., object]:
    """What typer makes of the functions above, once a process: it reads all their options for every one."""
    return typer.main.get_command(app)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; whatever goes wrong becomes one sentence on stderr."""
    _quiet_libraries()
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are no text
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding == "utf-8" else "backslashreplace")
    try:
        status = _commands()(args=arguments, prog_name="sfumato", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of stdout has left, as in `sfumato models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.Abort:
        status = 130
    except Exception as error:
        return _explain(error)
    if status == 130:  # Ctrl-C
        _say("interrupted: nothing half-written is left behind")
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    from sfumato.picture.errors import BadInput, printable

    if isinstance(error, BadInput):
        _say(printable(error, 1000))
        return 2
    if hasattr(error, "format_message"):  # a usage error: an unknown option, a missing argument, a word for a number
        _say(printable(error.format_message(), 1000))  # type: ignore[attr-defined]
        return 2
    if isinstance(error, OSError) and error.errno in _MENDABLE:
        _say(printable(f"{error.filename or 'writing'}: {error.strerror}", 1000))
        return 2
    if os.environ.get("SFUMATO_DEBUG"):
        traceback.print_exception(error)
        return 1
    reason = printable(error, 300).strip() or "no reason given"
    _say(f"unexpected {type(error).__name__}: {reason} (run again with SFUMATO_DEBUG=1 to see where)")
    return 1


def _say(sentence: str) -> None:
    print(f"sfumato: {sentence}", file=sys.stderr)


def _quiet_libraries() -> None:
    """Only our own notes reach the user; SFUMATO_DEBUG lets everything through."""
    if os.environ.get("SFUMATO_DEBUG"):
        return
    for library in ("TRANSFORMERS", "DIFFUSERS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    shown = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
        if category.__name__ == "PictureWarning":
            _say(f"note: {message}")
        elif not issubclass(category, Warning):
            shown(message, category, *rest, **named)

    warnings.simplefilter("always")
    warnings.showwarning = show
