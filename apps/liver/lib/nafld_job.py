"""What the worker does for one ``nafld`` request: read, ask the model, write the maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from liver_models.errors import UnsuitableInputError
from liver_models.weights import PRETRAINED_FOLDER, SUFFIX, Weights, load_weights

from .job_params import refuse_unknown, threshold_in
from .published import PublishedWeights

ARCHITECTURE = "nafld"
"""The network that is trained at a site."""
GRAD_CAM, GRADIENT_SHAP = MAPS = ("nafld_grad_cam", "nafld_gradient_shap")
"""The maps; their names are tags, and ``grad_cam`` is that of ``fibrotic_nash``."""
KNOWN_PARAMS = ("threshold",)
"""Settings of a request."""


def predict_nafld(
    source: Path,
    roi: Path | None,
    params: Mapping[str, Any],
    folder: Path,
    weights_folder: Path,
    *,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Ask about one patient and leave the maps of the first B-mode image in a folder.

    Args:
        source: A case, or the files of one subject.
        roi: Not used: the method reads the whole frame, as liver and kidney are compared in it.
        params: ``threshold``.
        folder: Where ``nafld_grad_cam.nii.gz`` and ``nafld_gradient_shap.nii.gz`` are written.
        weights_folder: Where weights trained at this site are published; those in use now are taken.
        progress: Called with steps done and steps in all.
    Returns:
        The result as ``result.json`` holds it.
    Raises:
        UnsuitableInputError: the subject, a parameter or the published weights cannot be used, or there are none.
    """
    from liver_models.io.picture_file import PICTURE_AFFINE
    from liver_models.io.volumes import write_volume
    from liver_models.ultrasound.nafld import NafldModel, predict
    from liver_models.ultrasound.nafld_files import result_json
    from liver_models.ultrasound.reading import read_subject

    refuse_unknown("nafld", params, KNOWN_PARAMS)
    threshold = threshold_in(params)
    progress(0, 3)
    weights = weights_in_use(weights_folder)
    subject = read_subject(source, with_elastograms=False)
    progress(1, 3)
    model = NafldModel(weights)
    answer = predict(subject, model, threshold=threshold, with_maps=False)
    first = next(pair for pair in subject.pairs if pair.b_mode is not None)
    (shown,) = predict(replace(subject, pairs=(first,)), model).frames
    progress(2, 3)
    for name, values in ((GRAD_CAM, shown.grad_cam), (GRADIENT_SHAP, shown.gradient_shap)):
        write_volume(folder / f"{name}.nii.gz", values.T[:, :, None], PICTURE_AFFINE)
    progress(3, 3)
    return {**result_json(subject, answer), "has_maps": True}


def weights_in_use(weights_folder: Path) -> Weights:
    """The weights published at this site, else those of the package.

    Raises:
        UnsuitableInputError: those that are published were damaged, or there are none.
    """
    weights = PublishedWeights(weights_folder, ARCHITECTURE).load() or weights_in_package()
    if weights is None:
        raise UnsuitableInputError(
            "The task nafld needs trained weights; none come with this installation, and none were published here. "
            "Store answers to nafld and train: POST /liver/train/nafld."
        )
    return weights


def weights_in_package() -> Weights | None:
    """The weights that come with the package; None where it has none."""
    path = PRETRAINED_FOLDER / f"{ARCHITECTURE}{SUFFIX}"
    return load_weights(path, ARCHITECTURE) if path.is_file() else None
