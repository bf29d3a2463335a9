"""Pages that need nothing else: one HTML file each, with its style and its pictures inside; everything is escaped."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")


def render(template: Path, **values: Any) -> str:
    """The page that `template` makes of `values`. It may extend base.html and take macros from parts.html, which give
    all pages one look; bytes of a PNG become a picture by the filter `data_uri`."""
    pages = Environment(
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["data_uri"] = data_uri
    return pages.get_template(template.name).render(**values)


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
