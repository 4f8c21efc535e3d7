"""Fatty liver (NAFLD) of a subject: probability of each frame and of the patient, interval, and where it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
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
from .frames import FrameSet, centre_cut, frame_box, prepare_frame, sides_of
from .fusion_data import Box
from .nafld_networks import NafldNetwork
from .nafld_options import NafldOptions
from .nafld_training import ARCHITECTURE, EVALUATED
from .subject import UltrasoundSubject

THRESHOLD = 0.5
"""Probability from which fatty liver is called."""
N_SHAP_SAMPLES = 50
"""Points between baseline and frame at which the gradient is taken."""

CUT_OFF = 0.01
"""Share of the strongest pixels of a map that are cut off, else a few would leave the others invisible."""


@dataclass(frozen=True)
class FrameAnswer:
    """What a model says of one frame."""

    name: str
    """Of the frame in its case."""
    probability: float
    """Calibrated probability of fatty liver from this frame alone."""
    grad_cam: np.ndarray | None = field(default=None, compare=False)
    """Where the last maps spoke for it, shape of the B-mode image, float32 in [0, 1]; None: not asked for."""
    gradient_shap: np.ndarray | None = field(default=None, compare=False)
    """What each place added to the log-odds against the mean training frame, same shape, float32, signed, scaled to
    [-1, 1] with the strongest 1 % of what was read cut off; None: not asked for."""


@dataclass(frozen=True)
class NafldAnswer:
    """What a model says of one patient."""

    probability: float
    """Calibrated probability of fatty liver: of the mean log-odds over the frames."""
    probability_low: float
    """Lower end of its 95 % interval: resampled frames and calibration patients; not the training itself."""
    probability_high: float
    """Upper end."""
    threshold: float
    """From which fatty liver is called."""
    is_fatty: bool
    """Whether the probability reaches it."""
    conformal_answers: tuple[bool, ...]
    """Answers that stay possible at 90 % coverage; not exactly one: the model abstains."""
    coverage_is_per_class: bool
    """Whether the 90 % hold in each class, or over both, as with fewer than nine calibration patients of one."""
    is_calibrated: bool
    """False: nobody calibrated the model, as in ``paper`` mode."""
    n_frames: int
    """Frames that were read."""
    frames: tuple[FrameAnswer, ...]
    """Of each, in the order of the case."""
    model: str
    """Of :data:`.nafld_options.MODELS`."""
    version: str
    """Of the weights."""
    trained_on: str
    """What the card says."""
    is_trained_on_simulated_data: bool
    """Whether any of it was simulated."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the maps, JSON-ready."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "frames"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()} | {
            "is_abstention": is_abstention(frozenset(self.conformal_answers)),
            "frames": [{"name": one.name, "probability": one.probability} for one in self.frames],
            "has_maps": any(one.grad_cam is not None for one in self.frames),
        }


class NafldModel:
    """Trained weights, ready to be asked.

    Args:
        weights: Of :data:`.nafld_training.ARCHITECTURE`; None: those of the package.
        device: "cpu" or "cuda".
    Raises:
        UnsuitableInputError: weights of another architecture, or a card or tensors that do not fit it.
    """

    def __init__(self, weights: Weights | None = None, device: str = "cpu"):
        self.weights = weights or _pretrained()
        self.card, self.device = self.weights.card, device
        if self.card["architecture"] != ARCHITECTURE:
            raise UnsuitableInputError(
                f"Fatty liver needs weights of the architecture '{ARCHITECTURE}'; these are of "
                f"'{self.card['architecture']}'. Give others, or leave them out."
            )
        config = self.card["config"]
        try:
            self.options = NafldOptions(model=config["model"], mode=config["mode"], size=config["size"])
            self.calibration = AnswerCalibration.from_card(self.card["calibration"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnsuitableInputError(
                f"The card of a model of fatty liver needs its config and calibration; {error} is missing or wrong. "
                "Train again."
            ) from error
        self.prepared, self.side = sides_of(self.options.size)
        self.network = NafldNetwork(self.options.model)
        shapes = {name: tuple(value.shape) for name, value in self.network.state_dict().items()}
        check_shapes(self.weights, shapes | {"mean_frame": (self.side, self.side)})
        tensors = {name: torch.from_numpy(np.array(self.weights.tensors[name])) for name in shapes}
        self.network.load_state_dict(tensors)
        self.network.eval().requires_grad_(False).to(device)

    def raw_logits(self, images: np.ndarray) -> np.ndarray:
        """Log-odds of frames, before temperature and after the prior.

        Args:
            images: Of the prepared side, or the side that networks see, shape (n, side, side), uint8.
        Returns:
            Shape (n,).
        """
        found = [np.empty(0)]
        with torch.inference_mode():
            for k in range(0, len(images), EVALUATED):
                found.append(self.network(self.scaled(images[k : k + EVALUATED])).double().cpu().numpy())
        return self.calibration.corrected(np.concatenate(found))

    def scaled(self, images: np.ndarray) -> torch.Tensor:
        """Frames as the network reads them, shape (n, 1, side, side)."""
        cut = torch.from_numpy(np.ascontiguousarray(centre_cut(images, self.side)))
        return cut.to(self.device).float()[:, None] / 127.5 - 1

    def maps(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Grad-CAM and gradient SHAP of frames, both of the side that networks see.

        Args:
            images: As :meth:`raw_logits`.
        Returns:
            For each frame Grad-CAM within [0, 1], and what each pixel adds to the calibrated log-odds against the mean
            training frame: expected gradients at random points between the two, the same points each time.
        Source: Selvaraju RR et al., ICCV 2017, 10.1109/ICCV.2017.74; Lundberg SM, Lee SI, NeurIPS 2017,
            10.48550/arXiv.1705.07874; Erion G et al., Nat Mach Intell 2021, 10.1038/s42256-021-00343-w.
        """
        from captum.attr import GradientShap

        shap = GradientShap(self.network)
        baseline = self.scaled(self.weights.tensors["mean_frame"][None])
        found = []
        for k in range(len(images)):
            x = self.scaled(images[k : k + 1])
            last = self.network.encode(x).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.network.decide(last).sum(), last)
            cam = grad_cam(last[0].detach().cpu().numpy(), gradient[0].cpu().numpy())
            with torch.random.fork_rng(), _numpy_seed(0):
                torch.manual_seed(0)
                added = shap.attribute(x, baseline, n_samples=N_SHAP_SAMPLES, stdevs=0.0)
            found.append((cam, added[0, 0].detach().cpu().numpy() / self.calibration.temperature))
        return found


@contextmanager
def _numpy_seed(seed: int):
    """Captum draws from numpy's global generator; what the caller drew from it before stays as it was."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


@lru_cache(maxsize=1)
def _pretrained() -> Weights:
    return load_weights(pretrained_path(ARCHITECTURE), ARCHITECTURE)


def predict_logits(frames: FrameSet, weights: Weights | NafldModel | None = None) -> np.ndarray:
    """Calibrated log-odds of frames.

    Args:
        frames: Of the model's prepared side, or of the side that networks see.
        weights: Of a model; None: those of the package.
    Returns:
        Shape (n_frames,).
    Raises:
        UnsuitableInputError: frames of another side, or weights of something else.
    """
    model = weights if isinstance(weights, NafldModel) else NafldModel(weights)
    if frames.side not in (model.prepared, model.side):
        raise UnsuitableInputError(
            f"The model reads frames of {model.prepared} or {model.side} pixels; found {frames.side}. Prepare them at "
            f"the size '{model.options.size}'."
        )
    return model.calibration.calibrated(model.raw_logits(frames.images))


def by_patient(frames: FrameSet, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Mean log-odds over the frames of each patient.

    Args:
        frames: Those the log-odds are of.
        logits: Shape (n_frames,).
    Returns:
        Log-odds and answer of each patient, shape (n_patients,), and the patients, sorted.
    """
    patients, index = np.unique(np.array(frames.patient_ids), return_inverse=True)
    n = np.bincount(index)
    is_fatty = np.bincount(index, np.asarray(frames.is_fatty, float)) / n >= 0.5
    return np.bincount(index, np.asarray(logits, float)) / n, is_fatty, tuple(str(one) for one in patients)


def predict(
    source: UltrasoundSubject | FrameSet,
    weights: Weights | NafldModel | None = None,
    *,
    threshold: float = THRESHOLD,
    with_maps: bool = True,
) -> NafldAnswer:
    """Ask a model about one patient.

    Args:
        source: A subject with a B-mode image, or prepared frames of one patient.
        weights: Of a model; None: those of the package.
        threshold: From which fatty liver is called.
        with_maps: Whether Grad-CAM and gradient SHAP of each frame are made.
    Raises:
        UnsuitableInputError: no B-mode image, a black one, a threshold that is none, or other weights.
    """
    if not 0 < threshold < 1:
        raise UnsuitableInputError(f"A threshold needs to lie between 0 and 1; found {threshold:g}.")
    model = weights if isinstance(weights, NafldModel) else NafldModel(weights)
    names, images, places = _frames(source, model)
    raw = model.raw_logits(images)
    calibration = model.calibration
    logit = float(calibration.calibrated(raw.mean()))
    low, high = calibration.interval(raw)
    answers, is_per_class = calibration.possible(logit)
    maps = [None] * len(names)
    if with_maps:
        maps = [
            tuple(laid_on(one, box, shape) for one in both)
            for both, (box, shape) in zip(model.maps(images), places, strict=True)
        ]
    return NafldAnswer(
        probability=float(probability_of(logit)),
        probability_low=float(probability_of(low)),
        probability_high=float(probability_of(high)),
        threshold=float(threshold),
        is_fatty=bool(probability_of(logit) >= threshold),
        conformal_answers=answers,
        coverage_is_per_class=is_per_class,
        is_calibrated=bool(calibration.logits),
        n_frames=len(names),
        frames=tuple(
            FrameAnswer(name, float(probability_of(one)), *(_bounded(both) if both else (None, None)))
            for name, one, both in zip(names, calibration.calibrated(raw), maps, strict=True)
        ),
        model=model.options.model,
        version=str(model.card.get("version", "")),
        trained_on=str(model.card.get("trained_on", "")),
        is_trained_on_simulated_data=bool(model.card.get("is_trained_on_simulated_data", True)),
    )


def _frames(source, model) -> tuple[Sequence[str], np.ndarray, Sequence[tuple[Box, tuple[int, int]]]]:
    """Names, prepared frames, and where each lies in its image of which shape."""
    if isinstance(source, FrameSet):
        if len(source.patients) != 1:
            raise UnsuitableInputError(
                f"An answer needs frames of one patient; found {len(source.patients)}. Ask about one after the other."
            )
        whole = (Box(0, 0, source.side, source.side), (source.side, source.side))
        return source.names, source.images, [whole] * len(source)
    found = [pair for pair in source.pairs if pair.b_mode is not None]
    if not found:
        raise UnsuitableInputError(
            f"Fatty liver is asked of B-mode images; case '{source.case_id}' has none. Add them, or choose another "
            "model."
        )
    images, places = [], []
    for pair in found:
        try:
            images.append(prepare_frame(pair.b_mode, model.prepared))
            places.append((frame_box(pair.b_mode), pair.b_mode.shape))
        except UnsuitableInputError as error:
            raise UnsuitableInputError(f"Case '{source.case_id}', image '{pair.name}': {error}") from error
    return [pair.name or str(k) for k, pair in enumerate(found)], np.stack(images), places


def _bounded(both: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Grad-CAM within [0, 1] and gradient SHAP within [-1, 1]."""
    cam, shap = both
    read = np.abs(shap[shap != 0])
    strong = float(np.quantile(read, 1 - CUT_OFF)) if read.size else 1.0
    return np.clip(cam, 0, 1), np.clip(shap / strong, -1, 1)
