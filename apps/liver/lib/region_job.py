"""What the worker does for one ``liver_roi`` request: read the images, outline the liver, write label volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liver_models.errors import UnsuitableInputError

from .published import PublishedWeights
from .job_params import refuse_unknown

if TYPE_CHECKING:
    import numpy as np
    from liver_models.segmentation.region_reading import RegionCase

ARCHITECTURE = "liver_roi"
"""The networks that are trained at a site."""
REGION, MEASUREMENT_ROIS = "liver_roi", "measurement_rois"
"""The maps: the liver, and one disc a lobe where PDFF is read (MRI)."""
RESULT_SCHEMA = "liverlabel.liver-roi.v1"
"""Name and version of the result."""
MARKS = ("foreground", "background", "contour")
"""Settings of a request: each a list of voxels [i, j, k] of the label volume, as 3D Slicer sends clicks."""


def prepare() -> None:
    """Import what :func:`outline_liver` needs and read its networks, before the first click waits for it."""
    from liver_models.segmentation import measurement_rois, region_reading  # noqa: F401
    from liver_models.segmentation.region_model import RegionModel

    RegionModel()


def outline_liver(
    source: Path,
    roi: Path | None,
    params: Mapping[str, Any],
    folder: Path,
    weights_folder: Path,
    *,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Propose the liver's region, or refine it where the reader clicked.

    Args:
        source: A case, or the files of one.
        roi: The region so far; with clicks, slices without any are kept from it.
        params: See :data:`MARKS`; ``device`` is one of :data:`liver_models.learning.device.DEVICES`, "cpu" by default.
        folder: Where the label volumes are written.
        weights_folder: Where weights trained at this site are published; those in use now are taken.
        progress: Called with slices done and slices in all.
    Returns:
        The result as the reply holds it.
    Raises:
        UnsuitableInputError: the case, the region, a click, the device or the published weights cannot be used.
    """
    import numpy as np
    from liver_models.io.volumes import write_volume
    from liver_models.learning.device import choose_device
    from liver_models.reports.notice import result_head
    from liver_models.segmentation.measurement_rois import LOBES, place_rois
    from liver_models.segmentation.region_model import RegionModel
    from liver_models.segmentation.region_reading import read_region, read_region_case

    refuse_unknown("liver_roi", params, (*MARKS, "device"))
    device = choose_device(params.get("device", "cpu"))
    case = read_region_case(source)
    clicks = clicks_by_image(params, case)
    kept = read_region(roi, case) if roi is not None and clicks else None
    kept = None if kept is None else case.images_of(kept)
    model = RegionModel(PublishedWeights(weights_folder, ARCHITECTURE).load(), device)
    regions, rows = [], []
    for k, image in enumerate(case.images):
        progress(k, len(case.images))
        if kept is not None and k not in clicks:
            regions.append(kept[k])
        elif not image.any():
            regions.append(np.zeros(image.shape, bool))
        else:
            proposal = model.propose(image, case.kind, clicks.get(k))
            regions.append(proposal.region)
            rows.append((k, proposal))
    progress(len(case.images), len(case.images))
    liver = case.volume(regions)
    write_volume(folder / f"{REGION}.nii.gz", liver, case.affine)
    lobes = []
    if case.kind == "mri" and liver.any():
        rois = place_rois(liver, case.volume(list(case.images)), case.affine)
        write_volume(folder / f"{MEASUREMENT_ROIS}.nii.gz", rois, case.affine)
        lobes = [name for number, name in LOBES.items() if (rois == number).any()]
    return {
        **result_head(RESULT_SCHEMA),
        "case_id": case.case_id,
        "is_simulated": case.is_simulated,
        "kind": case.kind,
        **_quality(rows, model.knows_quality(case.kind, case.is_simulated)),
        "n_pixels": int(liver.sum()),
        "volume_ml": _volume_ml(case, liver),
        "is_refined": bool(clicks),
        "measurement_rois": lobes,
        "version": str(model.card.get("version", "")),
        "trained_on": str(model.card.get("trained_on", "")),
        "is_trained_on_simulated_data": bool(model.card.get("is_trained_on_simulated_data", True)),
    }


def _quality(rows: list, is_known: bool) -> dict[str, Any]:
    """Expected Dice over the slices that were outlined, each by its size, and what each contributed.

    It is null where it is not known: networks that saw simulated images only are sure of wrong outlines on measured
    ones.
    """
    sized = [(k, one, int(one.region.sum())) for k, one in rows]
    total = sum(n for _, _, n in sized)

    def mean(name: str) -> float | None:
        return sum(getattr(one, name) * n for _, one, n in sized) / total if total else None

    images = [{"index": k, "n_pixels": n, "quality": one.quality if is_known else None} for k, one, n in sized if n]
    return {
        **{name: mean(name) if is_known else None for name in ("quality", "quality_low", "quality_high")},
        "is_quality_known": is_known,
        "disagreement": mean("disagreement"),
        "images": images,
    }


def _volume_ml(case: RegionCase, liver: np.ndarray) -> float | None:
    import numpy as np

    if case.kind != "mri":
        return None
    return float(liver.sum() * abs(np.linalg.det(case.affine[:3, :3])) / 1000)


def clicks_by_image(params: Mapping[str, Any], case: RegionCase) -> dict[int, Any]:
    """The reader's marks on each image: number of the image -> clicks in its rows and columns.

    Raises:
        UnsuitableInputError: no lists of [i, j, k], or voxels outside the volume.
    """
    from liver_models.segmentation.clicks import Clicks

    found: dict[int, dict[str, list]] = {}
    for name in MARKS:
        points = params.get(name) or []
        if not isinstance(points, list):
            raise UnsuitableInputError(f"'{name}' needs a list of voxels [i, j, k]; found something else.")
        for point in points:
            is_voxel = isinstance(point, list) and len(point) == 3
            if not is_voxel or any(isinstance(v, bool) or not isinstance(v, int | float) for v in point):
                raise UnsuitableInputError(
                    f"'{name}' needs voxels [i, j, k] of the label volume; found {str(point)[:60]!r}."
                )
            image = round(point[2])
            if not 0 <= image < len(case.images):
                raise UnsuitableInputError(
                    f"Clicks need to lie in the volume of {len(case.images)} slices; '{name}' holds slice {image}."
                )
            found.setdefault(image, {}).setdefault(name, []).append(case.row_and_column(point[0], point[1]))
    return {image: Clicks.from_json(form, case.images[image].shape) for image, form in found.items()}
