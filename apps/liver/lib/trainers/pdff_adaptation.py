"""What the training process does for ``pdff``: read the site's studies and adapt the network to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError
from liver_models.weights import Weights, load_weights, pretrained_path

from ..pdff_job import ARCHITECTURE
from .job import Progress, Trained, TrainingRequest
from .site_cases import usable

if TYPE_CHECKING:
    from liver_models.io.study import MultiEchoStudy


def settle(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of an adaptation where some are named.

    Raises:
        UnsuitableInputError: a value out of its range.
    """
    from liver_models.mri.adaptation import AdaptOptions

    return asdict(AdaptOptions(**options))


def adapt_to_site(request: TrainingRequest, progress: Progress) -> Trained:
    """Adapt the network to the stored cases.

    Raises:
        UnsuitableInputError: no case, a named case or the weights to start from cannot be used.
    """
    from liver_models.mri.adaptation import METRIC, AdaptOptions, adapt

    start = load_weights(request.start or pretrained_path(ARCHITECTURE), ARCHITECTURE)
    studies = site_studies(request.sources, request.is_every_case_needed, progress)
    found = adapt(
        studies,
        start=start,
        folder=request.folder,
        options=AdaptOptions(**request.options),
        progress=lambda told: progress(asdict(told)),
    )
    facts = {
        "n_cases": len(studies),
        "is_simulated": any(study.is_simulated for study in studies),
        "n_training_slices": found.n_training_slices,
        "n_validation_slices": found.n_validation_slices,
    }
    card = {**found.weights.card, "started_from": start.card.get("version")}
    weights = Weights(found.weights.tensors, card)
    return Trained(weights, METRIC, found.validation_before, found.validation_after, found.is_better, facts)


def site_studies(
    sources: tuple[Path, ...], is_every_case_needed: bool, progress: Callable[[dict], None]
) -> list[MultiEchoStudy]:
    """Read the cases that can be trained on.

    Of all stored cases, those that are no complex multi-echo study are left out, and so are simulated ones where
    measured ones exist. Of named cases each is needed.

    Raises:
        UnsuitableInputError: a named case cannot be used, or there is none.
    """
    from liver_models.io.reading import read_study

    def read(source: Path) -> list[MultiEchoStudy]:
        study = read_study(source)
        if study.is_magnitude_only:
            raise UnsuitableInputError(f"Training needs complex images; '{source.name}' holds magnitudes only.")
        return [study]

    what, advice = "a stored case of complex multi-echo MRI", "Import one: liverlabel import."
    return usable(sources, is_every_case_needed, progress, read, what, advice)
