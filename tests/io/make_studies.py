"""Small studies whose every voxel is known, on grids that hide no mistake, and edits of the files written from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from scipy.spatial.transform import Rotation

from liver_models.io.study import MultiEchoStudy

ECHO_TIMES_S = (0.00121, 0.00318, 0.0052, 0.00717, 0.0092, 0.01123)


def affine_of(sides_mm=(1.3, 1.9, 6.5), angles_deg=(24.0, -13.0, 37.0), origin_mm=(-81.5, 40.25, 12.0)) -> np.ndarray:
    """An oblique, anisotropic affine."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() * sides_mm
    affine[:3, 3] = origin_mm
    return affine


def sagittal_affine() -> np.ndarray:
    """Columns run to posterior, rows to inferior, slices to the left."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = -1.1, -1.7, -4.0, 1.0
    affine[:3, 3] = 30.0, 60.0, -20.0
    return affine


GEOMETRIES = {
    "oblique": ((9, 7, 4), affine_of()),
    "one slice": ((8, 5, 1), affine_of()),
    "swapped axes": ((6, 9, 5), sagittal_affine()),
    "left-handed": ((6, 7, 3), affine_of() @ np.diag([1, 1, -1, 1])),
}


def make_study(shape=(9, 7, 4), affine=None, echo_times_s=ECHO_TIMES_S, seed=0, **fields) -> MultiEchoStudy:
    """A study of random complex signal: no two voxels and no two echoes are equal."""
    rng = np.random.default_rng(seed)
    size = (len(echo_times_s), *shape)
    signal = 900 * (rng.normal(size=size) + 1j * rng.normal(size=size))
    fields = {"field_strength_t": 2.89, "is_simulated": True, "patient_id": "P7", **fields}
    affine = affine_of() if affine is None else affine
    return MultiEchoStudy.from_echoes(signal, np.array(echo_times_s), affine=affine, **fields)


def at_same_places(study: MultiEchoStudy, original: MultiEchoStudy) -> np.ndarray:
    """The study's signal at the world position of each voxel of the original; fails if the grids differ."""
    shape = original.signal.shape[1:]
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(3, -1)
    to_index = np.linalg.inv(study.affine) @ original.affine
    found = to_index[:3, :3] @ indices + to_index[:3, 3:]
    assert np.abs(found - np.round(found)).max() < 1e-3
    i, j, k = np.round(found).astype(int)
    assert min(i.min(), j.min(), k.min()) >= 0
    return study.signal[:, i, j, k].reshape(-1, *shape)


def edit_dicom(folder: Path, change: Callable[[pydicom.Dataset], bool | None]) -> None:
    """Change every file of a folder; a file for which ``change`` returns False is removed."""
    for path in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        if change(dataset) is False:
            path.unlink()
        else:
            dataset.save_as(path)


def stored_pixels(dataset: pydicom.Dataset, values: np.ndarray) -> None:
    """Replace the pixels of a dataset by 16-bit integers."""
    values = np.round(values)
    dataset.PixelRepresentation = int(values.min() < 0)
    dataset.PixelData = values.astype("<i2" if values.min() < 0 else "<u2").tobytes()


def everything_under(folder: Path) -> list[str]:
    """Names of all files and folders, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
