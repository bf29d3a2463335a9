"""What studies of controls share: which networks obey which maps, as `--net KIND=FOLDER` names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.control import Control, ControlMap, ControlNet, T2IAdapter
from sfumato.formats.folder import read_json
from sfumato.formats.single_control import control_of
from sfumato.formats.tensor_file import open_tensors
from sfumato.model.networks import place_of
from sfumato.picture import BadInput
from sfumato.picture.errors import printable
from sfumato.study.study import Model, stamp
from sfumato.zoo import place
from sfumato.zoo.find import pickles_allowed

UNION = "mini-controlnet"
"""The built-in network of several maps, which is taken where none is named."""


@dataclass(frozen=True)
class Net:
    """A network that obeys a kind of map: its name, a stamp of its files, whether it is a ControlNet or a T2I-Adapter,
    and in a union of ControlNets the number of the map."""

    name: str
    stamp: str
    kind: str
    mode: int | None = None

    def shown(self, map_: Any, weight: float = 1.0) -> Control:
        """The control that shows it a map."""
        if self.kind == "T2IAdapter":
            return T2IAdapter(map_, self.name, weight)
        return ControlNet(map_, self.name, weight, mode=self.mode)


def nets_for(kinds: Sequence[str], said: Sequence[str], model: Model) -> dict[str, Net]:
    """The networks of those kinds of maps, by kind: as `said`, KIND=FOLDER or KIND=FILE each, or the FOLDER of a union;
    where nothing is said for the miniature, the built-in ones that there are. Kinds without a network are left out.

    Raises BadInput for a kind that is none, and for a folder or file that holds no network of a control.
    """
    found: dict[str, Net] = {}
    for each in said:
        kind, equals, name = each.partition("=")
        if not equals:
            union = _union(each)
            if not union:
                raise BadInput(
                    f"--net {printable(each)!r} does not say of which map it is: give KIND=FOLDER, as "
                    f"{kinds[0]}={printable(each)}; a folder alone is that of a union, which has a maps.json."
                )
            found |= {name: net for name, net in union.items() if name in kinds}
            continue
        ControlMap.registry[kind]  # refuses by name
        if kind not in kinds:
            raise BadInput(f"--net {printable(each)!r}: this study shows {', '.join(kinds)}, not {kind}.")
        found[kind] = _union(name).get(kind) or _one(name)
    if not said and model.name == "mini":
        union = _union(UNION) if (place(UNION) / "config.json").is_file() else {}
        found = {kind: net for kind, net in union.items() if kind in kinds}
    return {kind: found[kind] for kind in kinds if kind in found}


def how_to_train(kinds: Sequence[str]) -> str:
    """The sentence for maps that no network obeys."""
    return (
        f"No trained network of {', '.join(kinds)} was given, and none is built in: train one with sfumato train "
        f"mini-controlnet --set map={kinds[0]}, and give its export as --net {kinds[0]}=FOLDER."
    )


def _path(name: str) -> Path:
    adapter = (Path(name).expanduser() / "t2i_adapter" / "config.json").is_file()
    return place_of(name, "t2i_adapter" if adapter else "controlnet")


def _one(name: str) -> Net:
    path = _path(name)
    if path.is_file():
        return Net(name, stamp(path), control_of(open_tensors(path, pickles_allowed())).kind)
    return Net(name, stamp(path), str(read_json(path / "config.json").get("_class_name", "")))


def _union(name: str) -> dict[str, Net]:
    """The networks of a union by their maps' names; nothing of another network."""
    folder = _path(name)
    if not (folder / "maps.json").is_file():
        return {}
    one = _one(name)
    return {
        str(kind): Net(name, one.stamp, one.kind, int(mode)) for mode, kind in read_json(folder / "maps.json").items()
    }
