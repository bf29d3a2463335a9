"""diffusers' `T2IAdapter` as an engine runs it (Mou et al. 2023)."""

from __future__ import annotations

from typing import Any

from sfumato.network.spec import Input, NetworkSpec


def spec(network: Any) -> NetworkSpec:
    """The map; answers its features, from the finest level to the coarsest."""
    channels = int(network.config["in_channels"])
    return NetworkSpec({"map": Input(("rows", channels, "pixels", "pixels"))}, lambda network, map: network(map))
