"""Training recipes: the YAML that says everything one training run depends on, validated by pydantic."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from sfumato.element import nearest
from sfumato.element.section import Section
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.train.hyperparameters import Common
from sfumato.train.task import TASKS

MOST = 1_000_000  # bytes of a recipe
DEEPEST = 20  # levels of a recipe's brackets
_HARMLESS = {"steps", "minutes", "every", "keep", "workers", "threads", "preview", "export", "name"}


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("sfumato.train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> Path:
    """A recipe's file, from its path or from the name of a shipped one."""
    path, names = Path(source), shipped()
    if path.is_file():
        return path
    if str(source) in names:
        return names[str(source)]
    raise BadInput(
        f"there is no recipe '{source}'{nearest(str(source), names)}: give the path of a YAML file or the name of a "
        f"shipped recipe, {', '.join(names)}"
    )


def load(source: str | Path, overrides: Iterable[str] = ()) -> Common:
    """Read and validate a recipe. Overrides are `optimizer.lr=1e-3`, the value being YAML.

    Raises BadInput with one sentence that names the file, the key and what is accepted.
    """
    path = find(source)
    try:
        if path.stat().st_size > MOST:
            raise BadInput(f"{path} has {path.stat().st_size:,} bytes, and a recipe at most {MOST:,}: is it one?")
        values = _yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} can't be read as text ({error}): a recipe is a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path} is not valid YAML{where}: {getattr(error, 'problem', error)}") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no keys: a recipe begins with 'task: ', one of {_names(TASKS)}")
    values.setdefault("name", path.stem)
    for override in overrides:
        _override(values, override)
    return validate(values, f"the recipe {path.stem}" if path in shipped().values() else str(path))


def validate(values: dict[str, Any], origin: str = "the recipe") -> Common:
    """The recipe that `values` say: a section of the type that their task has."""
    name = values.get("task")
    if name not in TASKS:
        hint = nearest(name, TASKS) if isinstance(name, str) else ""
        raise BadInput(f"{origin}: task must be one of {_names(TASKS)}{hint}")
    section = TASKS[str(name)].section
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise BadInput(f"{origin}: {_sentence(error, section)}") from error


def resolved(recipe: Common) -> str:
    """The recipe with every default written out, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def differences(old: Common, new: Common) -> list[str]:
    """Keys that change what a run computes: a run can't be resumed when one of them differs. `threads` is none of them:
    another number of them is another machine, which changes roundings, and the run says so."""
    a, b = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [key for key in {**a, **b} if key not in _HARMLESS and a.get(key) != b.get(key)]


class _Loader(yaml.SafeLoader):
    """Plain YAML: what a few bytes can blow up is refused (aliases of aliases, brackets in brackets, huge numbers)."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refused("aliases (*name) are not accepted")
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._refused(f"more than {DEEPEST} levels of brackets")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refused(self, problem: str) -> yaml.YAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > 20:
            raise yaml.MarkedYAMLError(problem="a number of more than 20 digits", problem_mark=node.start_mark)
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (
        ValueError,
        RecursionError,
        TypeError,
        OverflowError,
    ) as error:  # dates that are none, keys that can't be keys
        raise yaml.YAMLError(str(error).splitlines()[0]) from error


def _names(things: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in things)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    override = printable(override, 80)
    if not equals or not key.strip():
        raise BadInput(f"the override '{override}' is not of the form key=value, such as optimizer.lr=1e-3")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise BadInput(f"the override '{override}' goes through '{parent}', which has no keys")
    try:
        values[last] = _yaml(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise BadInput(f"the value of the override '{override}' is not valid YAML: {problem}") from error


def _sentence(error: ValidationError, section: type[Section]) -> str:
    first = error.errors(include_url=False)[0]
    where, tags = _place(first["loc"], section)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"].startswith("union_tag"):
        return f"{where}.kind must be one of {_names(tags)}"
    given = "" if first["type"] == "value_error" else f" (given: {printable(repr(first['input']), 60)})"
    return f"{where}: {message}{given}" if where else f"{message}{given}"


def _place(loc: tuple[int | str, ...], section: Any) -> tuple[str, dict[str, type[Section]]]:
    """The keys of the YAML that lead to an error, and, where they end at one of several sections, those by kind.

    Of a section that is one of several, pydantic's place has the kind too.
    """
    keys, choices = [], {}
    for part in loc:
        if choices:
            section, choices = choices.get(str(part)), {}
            continue
        keys.append(str(part))
        field = getattr(section, "model_fields", {}).get(part)
        section = None if field is None else field.annotation
        if field is not None and field.discriminator:
            choices = {
                kind: each for each in get_args(section) for kind in get_args(each.model_fields["kind"].annotation)
            }
    return ".".join(keys), choices
