"""What the worker does to score one case for one task: how uncertain the weights in use are about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import CASE_SUFFIX
from liver_models.io.regions import region_path

from ..published import PublishedWeights

SCORED_TASKS = ("liver_roi", "fibrotic_nash", "nafld", "pdff")
"""Tasks whose cases can be scored."""


def score_case(source: Path, task: str, weights_folder: Path, *, progress: Callable[[int, int], None]) -> dict:
    """What strategies read of one case, JSON-ready: ``patient_id`` and those of probability, members, uncertainty and
    features that the task gives.

    Raises:
        UnsuitableInputError: the case cannot be used for this task.
    """
    progress(0, 1)
    found = {"liver_roi": _region, "fibrotic_nash": _nash, "nafld": _nafld, "pdff": _pdff}[task](source, weights_folder)
    progress(1, 1)
    return found


def _region(source: Path, weights_folder: Path) -> dict[str, Any]:
    import numpy as np
    from liver_models.segmentation.region_model import RegionModel
    from liver_models.segmentation.region_reading import read_region_case

    from ..region_job import ARCHITECTURE

    case = read_region_case(source)
    model = RegionModel(PublishedWeights(weights_folder, ARCHITECTURE).load())
    proposals = [model.propose(image, case.kind) for image in case.images if image.any()]
    sizes = np.array([max(int(one.region.sum()), 1) for one in proposals], float)
    share = sizes / sizes.sum()
    return {
        "patient_id": case.patient_id,
        "uncertainty": float(1 - share @ [one.quality for one in proposals]),
        "features": [round(float(v), 4) for v in share @ np.stack([one.features for one in proposals])],
    }


def _nash(source: Path, weights_folder: Path) -> dict[str, Any]:
    from liver_models.ultrasound.fusion import FusionModel, predict
    from liver_models.ultrasound.reading import read_subject

    from ..nash_job import ARCHITECTURE

    subject = read_subject(source)
    model = FusionModel(PublishedWeights(weights_folder, ARCHITECTURE).load())
    answer = predict(subject, model, with_grad_cam=False)
    features = [round(float(answer.contributions.get(name, 0.0)), 4) for name in _inputs(model)]
    return {**_doubt(subject.patient_id, answer.probability, model.card["calibration"]), "features": features}


def _nafld(source: Path, weights_folder: Path) -> dict[str, Any]:
    from liver_models.ultrasound.nafld import NafldModel, predict
    from liver_models.ultrasound.reading import read_subject

    from ..nafld_job import weights_in_use

    subject = read_subject(source, with_elastograms=False)
    model = NafldModel(weights_in_use(weights_folder))
    answer = predict(subject, model, with_maps=False)
    return _doubt(subject.patient_id, answer.probability, model.card["calibration"])


def _doubt(patient_id: str, probability: float, calibration: dict[str, Any]) -> dict[str, Any]:
    """A probability, and those that resampled calibration subjects would have given."""
    import numpy as np
    from scipy.special import expit, logit

    raw = logit(np.clip(probability, 1e-9, 1 - 1e-9)) * calibration["temperature"]
    members = expit(raw / np.array(calibration["bootstrap_temperatures"] or [calibration["temperature"]]))
    return {
        "patient_id": patient_id,
        "probability": [1 - probability, probability],
        "members": [round(float(v), 6) for v in members],
    }


def _inputs(model: Any) -> list[str]:
    from liver_models.io.clinical import CLINICAL_FEATURES

    return [*model.options.images, *CLINICAL_FEATURES, "swe_median_kpa"]


def read_for_pdff(source: Path) -> tuple[Path | None, Path | None]:
    """What the score of a case's PDFF is read from: the map of its standard deviation, and the liver."""
    case_id, studies = source.name.removesuffix(CASE_SUFFIX), source.parent
    region = region_path(studies, case_id) or region_path(studies, case_id, "liver_roi")
    return region_path(studies, case_id, "pdff_std_percent"), region


def _pdff(source: Path, weights_folder: Path) -> dict[str, Any]:
    import numpy as np
    from liver_models.io.case import load_case
    from liver_models.io.volumes import read_volume

    case_id = source.name.removesuffix(CASE_SUFFIX)
    spread, region = read_for_pdff(source)
    if spread is None or region is None:
        raise UnsuitableInputError(
            f"The PDFF of '{case_id}' can be scored once it was measured and its liver outlined or proposed. Ask "
            "/liver/infer/pdff and /liver/infer/liver_roi first."
        )
    values, mask = read_volume(spread)[0], read_volume(region)[0] > 0
    inside = values[mask & np.isfinite(values)] if values.shape == mask.shape else values[:0]
    if not inside.size:
        raise UnsuitableInputError(f"The liver of '{case_id}' holds no measured voxel. Outline it again.")
    patient = load_case(source).patient_id if source.name.endswith(CASE_SUFFIX) else None
    return {"patient_id": patient or case_id, "uncertainty": float(np.mean(inside.astype(float) ** 2))}
