"""What the worker does for one ``fibrotic_nash`` request: read, ask the model, write the map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError

from .job_params import refuse_unknown, threshold_in
from .published import PublishedWeights

if TYPE_CHECKING:
    from liver_models.ultrasound.subject import UltrasoundSubject

ARCHITECTURE = "reshy_net"
"""The network that is trained at a site."""
GRAD_CAM = "grad_cam"
"""The map: where the B-mode image spoke for the answer."""
KNOWN_PARAMS = ("threshold", "clinical")
"""Settings of a request."""


def predict_nash(
    source: Path,
    roi: Path | None,
    params: Mapping[str, Any],
    folder: Path,
    weights_folder: Path,
    *,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Ask about one subject and leave the map in a folder.

    Args:
        source: A case, or the files of one subject.
        roi: The reader's region of the first B-mode image; it cuts the image out.
        params: ``threshold``, and ``clinical``: values by name that stand in for those of the case.
        folder: Where ``grad_cam.nii.gz`` is written, if there is such a map.
        weights_folder: Where weights trained at this site are published; those in use now are taken.
        progress: Called with steps done and steps in all.
    Returns:
        The result as ``result.json`` holds it.
    Raises:
        UnsuitableInputError: the subject, the region, a parameter or the published weights cannot be used.
    """
    from liver_models.io.picture_file import PICTURE_AFFINE
    from liver_models.io.volumes import write_volume
    from liver_models.ultrasound.fusion import FusionModel, predict
    from liver_models.ultrasound.nash_files import result_json
    from liver_models.ultrasound.reading import read_subject

    refuse_unknown("fibrotic_nash", params, KNOWN_PARAMS)
    threshold = threshold_in(params)
    progress(0, 3)
    subject = read_subject(source)
    subject = with_clinical(subject, params.get("clinical", {}))
    if roi is not None:
        subject = with_region(subject, roi)
    progress(1, 3)
    model = FusionModel(PublishedWeights(weights_folder, ARCHITECTURE).load())
    answer = predict(subject, model, threshold=threshold)
    progress(2, 3)
    if answer.grad_cam is not None:
        write_volume(folder / f"{GRAD_CAM}.nii.gz", answer.grad_cam.T[:, :, None], PICTURE_AFFINE)
    progress(3, 3)
    return result_json(subject, answer)


def with_clinical(subject: UltrasoundSubject, values: Any) -> UltrasoundSubject:
    """The subject with other clinical values in place of its own.

    Raises:
        UnsuitableInputError: an unknown name, or no positive number.
    """
    from liver_models.io.clinical import CLINICAL_FEATURES

    if not isinstance(values, Mapping):
        raise UnsuitableInputError("'clinical' needs a JSON object such as {\"alt_u_per_l\": 40}; found other JSON.")
    for name, value in values.items():
        if name not in CLINICAL_FEATURES:
            raise UnsuitableInputError(
                f"The clinical values are {', '.join(CLINICAL_FEATURES)}; found {str(name)[:60]!r}. The unit is in "
                "the name."
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise UnsuitableInputError(f"The clinical value {name} needs a positive number; found {str(value)[:40]!r}.")
    return replace(subject, clinical={**subject.clinical, **{name: float(v) for name, v in values.items()}})


def with_region(subject: UltrasoundSubject, roi: Path) -> UltrasoundSubject:
    """The subject with the reader's region on its first B-mode image.

    Raises:
        UnsuitableInputError: no B-mode image, an empty region, or one of another size.
    """
    from liver_models.ultrasound.reading import read_picture_region

    k = next((k for k, pair in enumerate(subject.pairs) if pair.b_mode is not None), None)
    if k is None:
        raise UnsuitableInputError("A region needs a B-mode image to lie on; this case has none. Leave the region out.")
    pairs = list(subject.pairs)
    pairs[k] = replace(pairs[k], roi=read_picture_region(roi, pairs[k].b_mode.shape))
    return replace(subject, pairs=tuple(pairs))
