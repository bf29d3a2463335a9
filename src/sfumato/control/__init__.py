"""Controls: pictures that say where things are to be, and the networks that obey them. One file a control.

A control is a map x a network x a weight x an interval of t x a mask, as `ControlNet("map.png", "folder") * 0.8`.
Several act at once, on top of any start, hold, guidance and sampler. The map is a picture, or made of one in the same
call: `ControlNet("photo.jpg", "folder", map="canny")` (`sfumato.control.maps`).

| control | what it is shown | what it does |
|---|---|---|
| `ControlNet` | a map: edges, depth, a pose, ... | adds to the skips, from x, t and text (Zhang et al. 2023) |
| `T2IAdapter` | a map | adds to what the downward blocks hand on, the same at all times (Mou et al. 2023) |
| `FaceID` | a face's embedding | the same, of whom a picture shows |
| `IPAdapter` | any picture | attention looks at the picture as it looks at the text (Ye et al. 2023); Redux |
"""

from sfumato.control.control import Control, Mapped
from sfumato.control.controlnet import ControlNet
from sfumato.control.face_id import FaceID
from sfumato.control.ip_adapter import IPAdapter
from sfumato.control.maps import ControlMap, make_map
from sfumato.control.t2i_adapter import T2IAdapter
from sfumato.element.define import rebuilt

__all__ = ["Control", "ControlMap", "ControlNet", "FaceID", "IPAdapter", "T2IAdapter", "make_map"]


def _renew() -> None:
    """Controls that are shown a map take a kind of map that has been registered since."""
    for made in {Mapped, *Control.registry.classes.values()}:
        if issubclass(made, Mapped):
            rebuilt(made)


ControlMap.registry.watchers.append(_renew)
