"""Fatty liver (NAFLD) of a subject: probability of each frame and of the patient, interval, and where it was seen."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from ..errors import UnsuitableInputError
from ..learning.calibrated_answer import AnswerCalibration
from ..weights import Weights, check_shapes, load_weights, pretrained_path
from .frames import FrameSet, centre_cut, sides_of
from .nafld_networks import NafldNetwork
from .nafld_options import NafldOptions
from .nafld_training import ARCHITECTURE, EVALUATED


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
