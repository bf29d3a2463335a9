"""What every room's tests may use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("sfumato", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sfumato")  # nothing is timed in tests: a busy machine is no reason to fail

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first: at the end no worker waits for another's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory):
    """Input pictures are kept in a folder of the tests' own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SFUMATO_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights for 32-pixel pictures, in Stable Diffusion's folder format."""
    from random_model import TINY, build

    return build(tmp_path_factory.mktemp("tiny"), shape=TINY)


@pytest.fixture(scope="session")
def pixel_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """pixel_model(how="channels", channels=1, ...): a model of random weights for pictures of 16 x 16 pixels, of the
    classes boat, cat and Tree."""
    from random_model import build_pixels

    built: dict[str, Path] = {}

    def build(**options: Any) -> Path:
        if (key := repr(options)) not in built:
            built[key] = build_pixels(tmp_path_factory.mktemp("pixels"), **options)
        return built[key]

    return build
