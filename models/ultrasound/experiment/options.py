"""What the experiment compares, and what the paper reports of the same."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UnsuitableInputError
from ..fusion_options import MODELS, FusionOptions

LABELS = {
    "combined": "Combined (ResHy-Net)",
    "b_mode_swe": "B-mode + SWE",
    "b_mode": "B-mode",
    "swe": "SWE image",
    "clinical": "Clinical values",
    "swe_value": "SWE value",
}
"""Model -> its name in headings."""
SINGLE_MODELS = ("b_mode", "swe", "clinical", "swe_value")
"""Models of one kind of input, with which the combined one is compared."""
PAPER_FIGURES = {
    "combined": {"accuracy": "0.880 ± 0.037", "auc": "0.879 ± 0.032"},
    "b_mode_swe": {"accuracy": "0.770 ± 0.027", "auc": "0.787 ± 0.103"},
    "b_mode": {"accuracy": "0.776 ± 0.014", "auc": "0.736 ± 0.053"},
    "swe": {"accuracy": "0.776 ± 0.014", "auc": "0.776 ± 0.066"},
    "clinical": {"accuracy": "0.782 ± 0.139", "auc": "0.727 ± 0.059"},
    "swe_value": {"accuracy": "0.746 ± 0.133", "auc": "0.515 ± 0.217"},
}
"""Test figures of Tables 3 and 4 (mean ± SD of three folds of 87 rats), from data that are not public."""
PAPER_SOURCE = "Xia F et al., Ultrasound and SWE-based transfer learning for predicting fibrotic NASH"
MODES = ("default", "paper")
"""Ours, and the paper's own way, which stops training on the fold it reports."""


@dataclass(frozen=True)
class NashExperimentOptions:
    """What is computed.

    Raises:
        UnsuitableInputError: a value that is not known or out of range, naming those that are.
    """

    models: tuple[str, ...] = MODELS
    """Models in the order of the tables."""
    with_paper_mode: bool = False
    """Also train each model as the paper does, and show both side by side."""
    size: str = "small"
    """Of the networks: "small" or "full"."""
    n_folds: int = 3
    """Of the cross-validation by patient."""
    seed: int = 0
    """Of folds, training and resampling."""
    epochs: int | None = None
    """Of each training; None: the model's own."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    n_resamples: int = 2000
    """Of patients, for intervals."""

    def __post_init__(self):
        for model in self.models:
            if model not in MODELS:
                raise UnsuitableInputError(
                    f"An experiment needs models among {', '.join(MODELS)}; found {model!r}. Correct --models."
                )
        if not self.models or len(set(self.models)) < len(self.models):
            raise UnsuitableInputError(
                f"An experiment needs each model once, and at least one; found {', '.join(self.models) or 'none'}."
            )
        if not 2 <= self.n_folds <= 20 or self.seed < 0 or self.n_resamples < 1:
            raise UnsuitableInputError(
                "An experiment needs 2 to 20 folds, a seed of 0 or above and at least one resample; found "
                f"{self.n_folds}, {self.seed} and {self.n_resamples}."
            )
        self.fusion(self.models[0], "default")

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that are trained."""
        return MODES if self.with_paper_mode else MODES[:1]

    def fusion(self, model: str, mode: str) -> FusionOptions:
        """The options of one training."""
        return FusionOptions(
            model=model, mode=mode, size=self.size, epochs=self.epochs, seed=self.seed, device=self.device
        )
