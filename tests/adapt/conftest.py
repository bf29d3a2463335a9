from __future__ import annotations

from typing import Any

import pytest
from adapter_files import make_encoder, make_unet


@pytest.fixture(scope="session")
def networks() -> dict[str, Any]:
    return {"unet": make_unet(), "text_encoder": make_encoder()}
