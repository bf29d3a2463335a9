import pytest

from sfumato.study import style


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Figures of few pixels: most of a small study's time would go into writing them."""
    monkeypatch.setitem(style.HOUSE, "savefig.dpi", 30)
