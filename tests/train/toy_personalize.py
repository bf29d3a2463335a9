"""A personalization to kill: python toy_personalize.py FOLDER OVERRIDES..."""

from __future__ import annotations

import sys
from pathlib import Path

from sfumato import train

if __name__ == "__main__":
    train.run("personalize", out=Path(sys.argv[1]), overrides=sys.argv[2:])
