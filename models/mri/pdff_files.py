"""A PDFF result as files: maps, ``result.json`` and ``report.html``, all of them or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np

from ..errors import UnsuitableInputError
from ..io.files import cannot_write
from ..io.study import MultiEchoStudy
from ..reports.notice import result_head
from .fat_spectra import SPECTRA
from .maps import VOLUME_FIELDS, PdffMaps
from .roi_stats import roi_table

RESULT_SCHEMA = "liverlabel.pdff-result.v1"
"""Name and version of what :func:`result_json` returns; its JSON Schema is :func:`result_schema`."""
MAP_UNITS = {
    "pdff_percent": "%",
    "pdff_std_percent": "percentage points",
    "r2_star_per_s": "1/s",
    "r2_star_std_per_s": "1/s",
    "field_map_hz": "Hz",
    "field_map_std_hz": "Hz",
    "water": "units of the input",
    "fat": "units of the input",
    "swap_probability": "probability, 0 to 1",
    "valid_mask": "1: estimated, 0: not",
}
"""Unit of each written map."""
RESULT_NAMES = (*(f"{name}.nii.gz" for name in VOLUME_FIELDS), "result.json", "report.html")
"""Every file of a result folder."""


def result_schema() -> dict:
    """The JSON Schema that every ``result.json`` satisfies."""
    return json.loads(resources.files(__package__).joinpath("resources/result.schema.json").read_text("utf-8"))


def result_json(study: MultiEchoStudy, maps: PdffMaps, rois: Mapping[str, np.ndarray]) -> dict:
    """Everything a reader needs to trust and repeat the numbers; no pixels, no time of day.

    Args:
        study: What was measured.
        maps: What was found.
        rois: Name of a region -> bool mask of shape (x, y, z).
    Returns:
        JSON-ready; numbers that are not finite are None.
    Raises:
        UnsuitableInputError: a region is empty or of another shape.
    """
    rows = roi_table(maps, rois, study.affine)
    spectrum = SPECTRA.get(maps.spectrum)
    left_out = tuple(
        f"{row.n_excluded} of {row.n_excluded + row.n_voxels} voxels of the region {row.name!r} hold no estimate and "
        "are left out of its numbers."
        for row in rows
        if row.n_excluded
    )
    return _json_ready(
        {
            **result_head(RESULT_SCHEMA),
            "is_simulated": study.is_simulated,
            "case_id": study.case_id,
            "method": maps.method,
            "spectrum": {
                "name": maps.spectrum,
                "doi": spectrum.doi if spectrum else None,
                "shifts_ppm": spectrum.shifts_ppm if spectrum else None,
                "amplitudes": spectrum.amplitudes if spectrum else None,
            },
            "settings": maps.settings,
            "acquisition": {
                "field_strength_t": study.field_strength_t,
                "echo_times_ms": [round(float(t) * 1e3, 6) for t in study.echo_times_s],
                "shape": study.signal.shape[1:],
                "voxel_size_mm": [round(float(s), 6) for s in np.linalg.norm(study.affine[:3, :3], axis=0)],
                "is_magnitude_only": study.is_magnitude_only,
                "is_bipolar": study.is_bipolar,
                "precession": study.precession,
            },
            "inputs": [{"name": source.name, "sha256": source.sha256} for source in study.sources],
            "n_voxels": int(maps.valid_mask.size),
            "n_valid_voxels": int(maps.valid_mask.sum()),
            "maps": [{"name": name, "file": f"{name}.nii.gz", "unit": MAP_UNITS[name]} for name in VOLUME_FIELDS],
            "rois": [row.as_json() for row in rows],
            "warnings": [*study.warnings, *maps.warnings, *left_out],
        }
    )


def write_result(
    out_dir: str | Path,
    study: MultiEchoStudy,
    maps: PdffMaps,
    rois: Mapping[str, np.ndarray],
    *,
    overwrite: bool = False,
) -> dict:
    """Write every map, ``result.json`` and ``report.html`` into a folder of their own.

    They are written into a hidden folder beside it, which takes its name when all is there: whatever happens, the
    folder holds a whole result, the former one, or does not exist.

    Args:
        out_dir: The folder; new, empty, or with ``overwrite`` one that holds a former result and nothing else.
        study: What was measured.
        maps: What was found.
        rois: Name of a region -> bool mask of shape (x, y, z).
        overwrite: Replace a former result.
    Returns:
        What ``result.json`` holds.
    Raises:
        UnsuitableInputError: the folder holds something already, or a region is unsuitable.
        OSError: the disk is full or the folder cannot be written.
    """
    from ..io.volumes import write_volume
    from .pdff_report import report_html

    out = Path(out_dir)
    check_out_dir(out, overwrite=overwrite)
    result = result_json(study, maps, rois)
    with whole_folder(out) as partial:
        for name in VOLUME_FIELDS:
            write_volume(partial / f"{name}.nii.gz", getattr(maps, name), study.affine)
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        (partial / "result.json").write_text(text + "\n", encoding="utf-8")
        (partial / "report.html").write_text(report_html(study, maps, rois, result), encoding="utf-8")
    return result


def check_out_dir(out_dir: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that a result would mix with; asked before the computation, so that nobody waits in vain.

    Raises:
        UnsuitableInputError: it holds a result and ``overwrite`` is not set, or holds other files, or is a file, or
        lies where nothing can be written.
    """
    out = Path(out_dir)
    _check_parent(out)
    if out.exists() and not out.is_dir():
        raise UnsuitableInputError(f"The output needs to be a folder; {out} is a file. Choose another name.")
    found = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    foreign = [name for name in found if name not in RESULT_NAMES]
    if foreign:
        raise UnsuitableInputError(
            f"The output needs a folder of its own; {out} also holds {foreign[0]}. Choose a new folder."
        )
    if found and not overwrite:
        raise UnsuitableInputError(
            f"The output needs a new folder; {out} already holds a result. Choose another, or allow it to be "
            "overwritten (--overwrite)."
        )


def _check_parent(out: Path) -> None:
    """Refuse an output folder that could not be made beside or below what is there."""
    parent = next(folder for folder in out.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        found = "which cannot be written" if parent.is_dir() else "which is a file"
        raise UnsuitableInputError(
            f"The output needs a folder in which files can be made; {out} would lie in {parent}, {found}. Choose "
            "another."
        )
    if out.is_mount():
        raise UnsuitableInputError(
            f"The output needs a folder that can be made whole beside its place; {out} is a mounted disk. Choose a "
            "folder inside it."
        )


@contextmanager
def whole_folder(out_dir: str | Path) -> Iterator[Path]:
    """A folder that appears under its name only when the block has ended well.

    Args:
        out_dir: Its name; a folder of that name is replaced.
    Returns:
        The folder to write into, hidden beside it meanwhile.
    Raises:
        UnsuitableInputError: it lies where nothing can be written.
    """
    out = Path(out_dir).absolute()
    _check_parent(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        partial.chmod(0o755)
        yield partial
        _take_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_place(partial: Path, out: Path) -> None:
    if not out.exists() or not any(out.iterdir()):
        os.replace(partial, out)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".former", dir=out.parent))
    os.replace(out, former)
    try:
        os.replace(partial, out)
    except OSError:
        os.replace(former, out)
        raise
    shutil.rmtree(former)


def _json_ready(value):
    """Plain Python for JSON; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _json_ready(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    if isinstance(value, np.generic):
        return _json_ready(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
