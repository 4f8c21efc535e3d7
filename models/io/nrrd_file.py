"""NRRD volumes, as 3D Slicer saves regions: one file, its place in LPS or RAS."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from ..errors import UnsuitableInputError

SUFFIX = ".nrrd"
_TO_RAS = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
"""Value of ``space`` -> signs that turn its axes to RAS+."""


def load_nrrd(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A volume and its place from the bytes of a NRRD file.

    Args:
        data: The file's bytes.
        name: As said to the user.
    Returns:
        The array, shape (x, y, z), and its affine, index to world millimetres, RAS+.
    Raises:
        UnsuitableInputError: cut short, no NRRD, its voxels in another file, several layers, or no place in space.
    """
    import nrrd

    stream = BytesIO(data)
    try:
        header = nrrd.read_header(stream)
        is_detached = "data file" in header or "datafile" in header
        # A file that names another one would let a sender read what lies on the server.
        array = None if is_detached else nrrd.read_data(header, stream)
    except MemoryError:
        raise
    except Exception as error:
        raise UnsuitableInputError(
            f"A whole NRRD file is needed; '{name}' is cut short, damaged or no NRRD. Save it again."
        ) from error
    if array is None:
        raise UnsuitableInputError(
            f"A NRRD file needs its voxels in itself; '{name}' names another file for them. Save it as one .nrrd file."
        )
    space = str(header.get("space", "")).lower()
    directions = np.atleast_2d(np.asarray(header.get("space directions", np.nan), dtype=np.float64))
    spatial = np.isfinite(directions).all(axis=1)
    origin = np.asarray(header.get("space origin", np.nan), dtype=np.float64)
    is_placed = space in _TO_RAS and directions.shape == (array.ndim, 3) and spatial.sum() == 3
    if not is_placed or origin.shape != (3,) or not np.isfinite(origin).all():
        raise UnsuitableInputError(
            f"A NRRD volume needs its space (LPS or RAS), three directions and an origin; '{name}' lacks one of them. "
            "Save it as a label volume."
        )
    layers = [axis for axis in range(array.ndim) if not spatial[axis]]
    if any(array.shape[axis] != 1 for axis in layers):
        raise UnsuitableInputError(
            f"One volume (x, y, z) is needed; '{name}' has the shape {array.shape}, so its segments overlap or it has "
            "several components. Save it as a label volume."
        )
    affine = np.eye(4)
    affine[:3, :3] = directions[spatial].T
    affine[:3, 3] = origin
    return np.squeeze(array, tuple(layers)), np.diag([*_TO_RAS[space], 1.0]) @ affine
