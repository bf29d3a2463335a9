"""Classifier guidance: Dhariwal & Nichol 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field

from sfumato.condition import Condition, Label
from sfumato.denoise import GaussianMixture, Prediction
from sfumato.element import Class, Interval, ModelName, Real, element
from sfumato.guide.gradient import Gradient, carried
from sfumato.guide.guidance import ALWAYS, Guidance, check_interval
from sfumato.lazy import Tensor, torch
from sfumato.picture import BadInput
from sfumato.schedule import Schedule


class NoisyClassifier(Protocol):
    """A classifier of noisy pictures, trained on the noise of `schedule`.

    `logits(x, t)` are those of p(y | x_t), (B, classes), for x (B, C, H, W) and a time t in [0, 1]; they must let
    gradients through to x. Any object with these members will do, so a network of one's own needs no class of
    ours.
    """

    @property
    def schedule(self) -> Schedule: ...

    @property
    def classes(self) -> int: ...

    def logits(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, classes) from x (B, ...) at t (B,), differentiable in x."""
        ...


@element("classifier")
class ClassifierGuidance(Guidance):
    """eps - sigma scale grad log p(label|x_t), for t in `interval` (Dhariwal & Nichol 2021): see `ClassifierGradient`.

    scale: 0 means off, 1 is Bayes' rule, more is sharper. classifier: the folder (or built-in name) of a classifier of
    noisy pictures, as `sfumato train fashion-classifier` exports it; "" is classifier/ in the model's own folder.
    label: None is the recipe's own; another one guides a model that is told nothing, or another class.
    Near t = 1 a trained network's gradient is noise, which sigma^2/alpha makes large in x0: `interval` ends before.
    """

    scale: Real = Field(default=1.0, ge=0, le=1000, description="a number from 0 (off) to 1000")
    classifier: ModelName = Field(
        default="", description="a folder's path or a built-in network's name, or '' for the one in the model's folder"
    )
    interval: Interval = (0.0, 0.9)
    label: Class | None = Field(default=None, description="a class's name or its index, or nothing for the recipe's")

    def bind(self, batch: Any) -> ClassifierGradient:
        """Raises `BadInput` where the classifier reads other pictures, or knows other classes, than the model's."""
        classifier, space = batch.network(self.classifier, "classifier"), batch.stage.space
        channels, own = classifier.config["channels"], space.channels
        if channels != own or space.factor != 1:
            drawn = f"{own} channels" if space.factor == 1 else "latents"
            raise BadInput(
                f"The classifier reads pixels of {channels} channels and this model draws {drawn}: give another."
            )
        if self.label is not None:
            return ClassifierGradient(classifier, self.scale, self.interval, batch.class_index(self.label, classifier))
        if batch.stage.capabilities.classes != classifier.names:
            raise BadInput(
                f"The classifier's classes ({', '.join(classifier.names)}) are not this model's: give the guidance a "
                "label of its own, or a classifier of the same classes."
            )
        if all(recipe.label is None for recipe in batch.recipes):
            raise BadInput("Classifier guidance needs a class: give the recipe a label, or the guidance its own.")
        return ClassifierGradient(classifier, self.scale, self.interval)


@dataclass(frozen=True, eq=False)
class ClassifierGradient(Gradient):
    """eps - sigma scale grad log p(y|x_t); an ancestral sampler's mean moves by Sigma scale grad log p(y|x_t) instead.

    Dhariwal & Nichol 2021, algorithms 2 and 1; seed 000, algorithms 4 and 3; seed 004, eq. 3.4.

    classifier: any `NoisyClassifier`; its schedule need not be the denoiser's, nor does the parameterization matter.
    scale: 0 is off and costs nothing. 1 is Bayes' rule: with a perfect classifier it turns an unconditional denoiser
        into the conditional one. Above 1 sharpens p(y|x_t)^scale. On a conditional denoiser it comes on top, as if the
        class counted 1 + scale times.
    interval: it acts where t lies in it, both ends included.
    label: the class y. None takes each row's from the condition's `Label`; a row whose label is "none" is left as it
        is. A number is for a network that has no classes, or that is to see "none".

    Algorithm 1 is Bayes' rule in the limit of many steps. At few, Sigma = beta tilde shifts too little (the class is
    right in 0.70 of samples where algorithm 2 gets 0.95: 20 steps on the oracle); DDPM's "large" comes near, 0.89.

    Costs no row of the network, but one pass through the classifier forward and back. A threshold is written before
    it: one that clips what the gradient did leaves an ancestral sampler a `shift` that is no longer inside x0.

    Raises BadInput where there is no class, or one that the classifier does not know.
    """

    classifier: NoisyClassifier
    scale: float = 1.0
    interval: tuple[float, float] = ALWAYS
    label: int | None = None

    def __post_init__(self) -> None:
        check_interval(self.interval)

    def log_likelihood(self, current: Prediction, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        ids, known = self._classes(condition)
        logits = self.classifier.logits(*carried(x, current, t, self.classifier.schedule))
        ids, known = ids.to(logits.device), known.to(logits.device)
        log_p = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
        return torch.where(known, log_p, 0.0)

    def _classes(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """The class of each row (B,), and whether it has one."""
        if self.label is not None:
            ids = torch.full((condition.rows,), self.label)
            known = torch.ones_like(ids, dtype=torch.bool)
        else:
            part = condition.get(Label)
            if part is None:
                raise BadInput("Classifier guidance needs a class: give the recipe a label, or the guidance its own.")
            known = part.ids != part.none
            ids = torch.where(known, part.ids, 0)
        if not bool(((ids >= 0) & (ids < self.classifier.classes)).all()):
            raise BadInput(
                f"The classifier knows the classes 0 to {self.classifier.classes - 1}, not {int(ids.max())}: "
                "choose one of these, or a classifier trained on the model's own classes."
            )
        return ids, known


class MixtureClassifier:
    """The exact classifier of a labelled `GaussianMixture`: logits log p(x_t, y), so that their softmax is p(y|x_t)."""

    def __init__(self, mixture: GaussianMixture) -> None:
        if mixture.labels is None:
            raise ValueError("A classifier of a mixture needs one with labels.")
        self.mixture, self.schedule = mixture, mixture.schedule
        self.classes = int(mixture.labels.max()) + 1

    def logits(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.stack([self._log_joint(x, t, y) for y in range(self.classes)], -1)

    def _log_joint(self, x: Tensor, t: Tensor, y: int) -> Tensor:
        members = self.mixture.labels == y
        prior = torch.where(members, self.mixture.log_weights, -torch.inf).logsumexp(0)
        label = Label(torch.full((len(x),), y), none=-1)
        return prior + self.mixture.log_density(x, t, Condition((label,)))
