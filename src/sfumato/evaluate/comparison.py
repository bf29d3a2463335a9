"""What a comparison of two sets of pictures found, as values: what was compared, by which features, every number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from sfumato.evaluate.features import Extractor
from sfumato.evaluate.metric import Metric
from sfumato.evaluate.pictures import Pictures
from sfumato.evaluate.statistics import Figure


@dataclass(frozen=True)
class Measurement:
    """One number: the metric, its figure with the interval, and the features that it was read from."""

    name: str
    metric: Metric
    figure: Figure
    features: str

    def to_dict(self) -> dict[str, Any]:
        metric = self.metric
        about = {"title": metric.title, "better": metric.better, "source": metric.source, "features": self.features}
        return {"name": self.name, **about, **self.figure.to_dict()}


@dataclass(frozen=True)
class Comparison:
    """What was compared and measured. neighbours: of the first generated pictures, the nearest real ones."""

    generated: Pictures
    real: Pictures
    settings: dict[str, Any]
    extractors: Sequence[Extractor]
    measurements: Sequence[Measurement]
    neighbours: Sequence[Sequence[int]]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "pictures": {"name": self.generated.name, "count": len(self.generated), "size": list(self.generated.size)},
            "against": {"name": self.real.name, "count": len(self.real)},
            "settings": self.settings,
            "features": [
                {"name": e.name, "preprocessing": e.preprocessing, "fingerprint": e.fingerprint}
                for e in self.extractors
            ],
            "metrics": [measurement.to_dict() for measurement in self.measurements],
            "seconds": round(self.seconds, 1),
            "versions": {name: version(name) for name in ("sfumato", "torch", "numpy", "scipy")},
        }
