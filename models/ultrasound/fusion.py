"""Fibrotic NASH of a subject: probability, interval, what was used and what it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.calibrated_answer import AnswerCalibration, probability_of
from ..learning.conformal import is_abstention
from ..learning.explain import grad_cam
from ..weights import Weights, check_shapes, load_weights, pretrained_path
from .answer_maps import laid_on
from .fusion_data import Standard, box_of, features_of, has_image, prepare_pairs
from .fusion_networks import FusionNetwork
from .fusion_options import IMAGE_SIZES, VALUE_MODELS, FusionOptions
from .fusion_training import ARCHITECTURE, EVALUATED
from .subject import UltrasoundSubject

THRESHOLD = 0.5
"""Probability from which fibrotic NASH is called; the paper's."""
INPUT_NAMES = {"b_mode": "B-mode image", "swe": "shear-wave elastogram"}
"""Kind of image -> its name in sentences."""


@dataclass(frozen=True)
class NashAnswer:
    """What a model says of one subject."""

    probability: float
    """Calibrated probability of fibrotic NASH."""
    probability_low: float
    """Lower end of its 95 % interval: resampled image pairs and calibration subjects; not the training itself."""
    probability_high: float
    """Upper end."""
    threshold: float
    """From which fibrotic NASH is called."""
    is_fibrotic_nash: bool
    """Whether the probability reaches it."""
    conformal_answers: tuple[bool, ...]
    """Answers that stay possible at 90 % coverage; not exactly one: the model abstains."""
    coverage_is_per_class: bool
    """Whether the 90 % hold in each class, or over both, as with fewer than nine calibration subjects of one."""
    inputs_used: tuple[str, ...]
    """Kinds of images and names of values."""
    inputs_missing: tuple[str, ...]
    """What the model reads and this subject lacks."""
    contributions: dict[str, float]
    """Input -> log-odds less those without it (values: at the training median); they need not add up."""
    n_pairs: int
    """Image pairs that were read."""
    model: str
    """Of :data:`.fusion_options.MODELS`."""
    version: str
    """Of the weights."""
    trained_on: str
    """What the card says."""
    is_trained_on_simulated_data: bool
    """Whether any of it was simulated."""
    grad_cam: np.ndarray | None = field(default=None, compare=False)
    """Where the B-mode image spoke for it, shape of the first such image, float32 in [0, 1]; None without one."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the map, JSON-ready."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "grad_cam"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()} | {
            "is_abstention": is_abstention(frozenset(self.conformal_answers)),
            "has_grad_cam": self.grad_cam is not None,
        }


class FusionModel:
    """Trained weights, ready to be asked.

    Args:
        weights: Of :data:`.fusion_training.ARCHITECTURE`; None: those of the package.
    Raises:
        UnsuitableInputError: weights of another architecture, or a card or tensors that do not fit it.
    """

    def __init__(self, weights: Weights | None = None):
        self.weights = weights or _pretrained()
        self.card = self.weights.card
        if self.card["architecture"] != ARCHITECTURE:
            raise UnsuitableInputError(
                f"Fibrotic NASH needs weights of the architecture '{ARCHITECTURE}'; these are of "
                f"'{self.card['architecture']}'. Give others, or leave them out."
            )
        config = self.card["config"]
        try:
            self.options = FusionOptions(model=config["model"], mode=config["mode"], size=config["size"])
            self.names = tuple(config["features"])
            self.standard = Standard(*(np.array(config[name], float) for name in ("median", "mean", "std")))
            self.calibration = AnswerCalibration.from_card(self.card["calibration"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnsuitableInputError(
                f"The card of a model of fibrotic NASH needs its config and calibration; {error} is missing or "
                "wrong. Train "
                "again."
            ) from error
        self.network = None
        if self.options.model not in VALUE_MODELS:
            self.network = FusionNetwork(self.options, len(self.names))
            check_shapes(self.weights, {n: tuple(v.shape) for n, v in self.network.state_dict().items()})
            self.network.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in self.weights.tensors.items()})
            self.network.eval()
        else:
            check_shapes(self.weights, {"coefficient": (2 * len(self.names),), "intercept": (1,)})

    def raw_logits(self, subject: UltrasoundSubject) -> np.ndarray:
        """Log-odds of each image pair (one, without images), before temperature and after the prior."""
        return self._decided(*self._encoded(subject)[:2])

    def _decided(self, maps, values) -> np.ndarray:
        if self.network is None:
            found = values.numpy() @ self.weights.tensors["coefficient"] + self.weights.tensors["intercept"]
        else:
            found = self.network.decide(maps, values).detach().numpy()
        return self.calibration.corrected(found.astype(float))

    def _encoded(self, subject: UltrasoundSubject, keeps_gradient: bool = False):
        """Last maps of each kind of image of each pair, the values of each pair, and which images there are."""
        values = torch.from_numpy(self.standard.apply(features_of([subject], self.names))) if self.names else None
        if self.network is None:
            return None, values, {}
        size, is_paper = IMAGE_SIZES[self.options.size], self.options.mode == "paper"
        pairs = prepare_pairs([subject], self.options.images, size, is_paper)
        images = {kind: torch.from_numpy(v).float() for kind, v in pairs.images.items()}
        present = {kind: torch.from_numpy(v) for kind, v in pairs.present.items()}
        with torch.set_grad_enabled(False):
            parts = [
                self.network.encode(
                    {kind: v[k] for kind, v in images.items()}, {kind: v[k] for kind, v in present.items()}
                )
                for k in torch.arange(len(pairs)).split(EVALUATED)
            ]
        maps = {kind: torch.cat([part[kind] for part in parts]) for kind in self.options.images}
        return maps, None if values is None else values.expand(len(pairs), -1), present


@lru_cache(maxsize=1)
def _pretrained() -> Weights:
    return load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)


def predict_logits(
    subjects: Sequence[UltrasoundSubject], weights: Weights | None = None, per_image: bool = False
) -> np.ndarray | tuple[np.ndarray, list[list[float]]]:
    """Calibrated log-odds of subjects: the mean over their image pairs.

    Args:
        subjects: Read one by one.
        weights: Of a model; None: those of the package.
        per_image: Also those of each image pair.
    Returns:
        Shape (n_subjects,); with ``per_image`` also one list a subject, empty for models that read no image.
    Raises:
        UnsuitableInputError: as :func:`predict`.
    """
    model = FusionModel(weights)
    rows = []
    for subject in subjects:
        _check_inputs(model, subject)
        rows.append(model.calibration.calibrated(model.raw_logits(subject)))
    means = np.array([row.mean() for row in rows])
    if not per_image:
        return means
    return means, [[] if model.network is None else row.tolist() for row in rows]


def predict(
    subject: UltrasoundSubject,
    weights: Weights | FusionModel | None = None,
    *,
    threshold: float = THRESHOLD,
    with_grad_cam: bool = True,
) -> NashAnswer:
    """Ask a model about one subject.

    Args:
        subject: Any of the model's inputs may be missing, not all.
        weights: Of a model; None: those of the package.
        threshold: From which fibrotic NASH is called.
        with_grad_cam: Whether the map is made.
    Raises:
        UnsuitableInputError: nothing that the model reads is there, a threshold that is none, or other weights.
    """
    if not 0 < threshold < 1:
        raise UnsuitableInputError(f"A threshold needs to lie between 0 and 1; found {threshold:g}.")
    model = weights if isinstance(weights, FusionModel) else FusionModel(weights)
    used, missing = _check_inputs(model, subject)
    maps, values, present = model._encoded(subject)
    raw = model._decided(maps, values)
    logit = float(model.calibration.calibrated(raw.mean()))
    low, high = model.calibration.interval(raw)
    answers, is_per_class = model.calibration.possible(logit)
    return NashAnswer(
        probability=float(probability_of(logit)),
        probability_low=float(probability_of(low)),
        probability_high=float(probability_of(high)),
        threshold=float(threshold),
        is_fibrotic_nash=bool(probability_of(logit) >= threshold),
        conformal_answers=answers,
        coverage_is_per_class=is_per_class,
        inputs_used=used,
        inputs_missing=missing,
        contributions=_contributions(model, maps, values, used, logit),
        n_pairs=0 if model.network is None else len(raw),
        model=model.options.model,
        version=str(model.card.get("version", "")),
        trained_on=str(model.card.get("trained_on", "")),
        is_trained_on_simulated_data=bool(model.card.get("is_trained_on_simulated_data", True)),
        grad_cam=_grad_cam(model, subject, maps, values, present) if with_grad_cam else None,
    )


def _check_inputs(model: FusionModel, subject: UltrasoundSubject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is used and what is missing."""
    is_paper, used, missing = model.options.mode == "paper", [], []
    for kind in model.options.images:
        has = any(has_image(pair, kind, is_paper) for pair in subject.pairs)
        (used if has else missing).append(kind)
    if is_paper and missing and len(model.options.images) > 1:
        names = ", ".join(INPUT_NAMES[name] for name in missing)
        raise UnsuitableInputError(
            f"A model of the paper mode needs every image that it reads: it never learnt to do without. The case "
            f"'{subject.case_id}' lacks: {names}. Add it, or take a model of the default mode."
        )
    known = features_of([subject], model.names)[0] if model.names else ()
    for name, value in zip(model.names, known, strict=True):
        (used if np.isfinite(value) else missing).append(name)
    if not used:
        names = ", ".join(INPUT_NAMES.get(name, name) for name in missing)
        raise UnsuitableInputError(
            f"The model '{model.options.model}' needs at least one of: {names}; case '{subject.case_id}' has none. "
            "Add them, "
            "or choose another model."
        )
    return tuple(used), tuple(missing)


def _contributions(model: FusionModel, maps, values, used, logit) -> dict[str, float]:
    found = {}
    with torch.no_grad():
        for name in used:
            if name in model.options.images:
                without = {**maps, name: model.network.absent[name].expand_as(maps[name])}
                other = model._decided(without, values)
            else:
                k = model.names.index(name)
                median = (model.standard.median[k] - model.standard.mean[k]) / model.standard.std[k]
                changed = values.clone()
                changed[:, k], changed[:, k + len(model.names)] = float(median), 1.0
                other = model._decided(maps, changed)
            found[name] = float(logit - model.calibration.calibrated(other.mean()))
    return found


def _grad_cam(model: FusionModel, subject, maps, values, present) -> np.ndarray | None:
    """Of the first pair with a B-mode image, laid on that image."""
    if model.network is None or "b_mode" not in model.options.images or not bool(present["b_mode"].any()):
        return None
    k = int(torch.nonzero(present["b_mode"])[0, 0])
    one = {kind: value[k : k + 1].clone() for kind, value in maps.items()}
    one["b_mode"].requires_grad_(True)
    answer = model.network.decide(one, None if values is None else values[k : k + 1])
    (gradient,) = torch.autograd.grad(answer.sum(), one["b_mode"])
    small = grad_cam(one["b_mode"][0].detach().numpy(), gradient[0].numpy())
    is_paper = model.options.mode == "paper"
    shown = [p for p in subject.pairs if any(has_image(p, kind, is_paper) for kind in model.options.images)][k]
    box = box_of(shown, "b_mode")
    return np.clip(laid_on(small, box, shown.b_mode.shape), 0, 1)
