import pytest

from sfumato.study import style


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Figures of few pixels: most of a small study's time would go into writing them."""
    monkeypatch.setitem(style.HOUSE, "savefig.dpi", 30)


@pytest.fixture
def few_steps(monkeypatch):
    """Every picture takes 2 steps, whatever a study asks for."""
    from sfumato.model import Pipe

    recipes = Pipe.recipes
    few = {"steps": 2}
    monkeypatch.setattr(Pipe, "recipes", lambda pipe, *said, **options: recipes(pipe, *said, **{**options, **few}))
