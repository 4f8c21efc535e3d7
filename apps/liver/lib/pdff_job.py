"""What the worker does for one ``pdff`` request: read, estimate, write the maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .published import PublishedWeights

ARCHITECTURE = "ai_deal"
"""The network that is trained at a site."""
SITE_TRAINED = ("ai_deal", "ai_deal_one_shot")
"""The methods that use it."""


def prepare() -> None:
    """Import what :func:`estimate_pdff` needs, before the first request waits for it."""
    from liver_models.io import reading, volumes  # noqa: F401
    from liver_models.mri import pdff, pdff_files  # noqa: F401


def estimate_pdff(
    source: Path,
    roi: Path | None,
    params: Mapping[str, Any],
    folder: Path,
    weights_folder: Path,
    *,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Measure one study and leave its maps in a folder.

    Args:
        source: A case or the files of one.
        roi: Mask of the regions to be summarised, in the study's geometry; None: no table.
        params: ``method`` and the settings of :class:`liver_models.mri.pdff.PdffOptions`.
        folder: Where ``<map>.nii.gz`` of each map is written.
        weights_folder: Where weights trained at this site are published; those in use now are taken.
        progress: Called with steps done and steps in all.
    Returns:
        The result as ``result.json`` holds it.
    Raises:
        UnsuitableInputError: the study, the mask, a parameter or the published weights cannot be used.
    """
    from liver_models.io.reading import read_study
    from liver_models.io.volumes import read_mask, write_volume
    from liver_models.mri.maps import VOLUME_FIELDS
    from liver_models.mri.pdff import METHODS, PdffOptions, estimate
    from liver_models.mri.pdff_files import result_json

    settings = dict(params)
    chosen = {"method": settings.pop("method", METHODS[0])}
    options = PdffOptions.from_request(settings)
    if chosen["method"] in SITE_TRAINED:
        chosen["network"] = PublishedWeights(weights_folder, ARCHITECTURE).load()
    study = read_study(source)
    rois = read_mask(roi, study.signal.shape[1:], study.affine) if roi is not None else {}
    maps = estimate(study, options=options, progress=progress, **chosen)
    for name in VOLUME_FIELDS:
        write_volume(folder / f"{name}.nii.gz", getattr(maps, name), study.affine)
    return result_json(study, maps, rois)
