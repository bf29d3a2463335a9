"""The command line. `main` is the one place where errors meet the user: a sentence on stderr, never a traceback."""

from sfumato.cli.main import app, main

__all__ = ["app", "main"]
