"""Where things lie: RAS, LPS and voxel indices, planes of images, curves and masks, regions cut out.

Index (i, j, k) is the centre of a voxel, which reaches half an index to each side. Points have shape (n, 3).
"""

from __future__ import annotations

import itertools

import numpy as np

from .errors import UnsuitableInputError

SAME_PLACE = 0.01
"""How far a voxel may lie from that of another image, fraction of the smallest voxel side."""
_ON_PLANE = 0.5
"""How far a curve's points may lie from the middle of one slice, slices."""
_SUB_LINES = 16
"""Lines a row of pixels is cut into; along a line, coverage is exact."""


def ras_to_lps(points: np.ndarray) -> np.ndarray:
    """Points from RAS to LPS or back, shape (n, 3), mm: the first two axes turn round."""
    return np.asarray(points, np.float64) * (-1.0, -1.0, 1.0)


def affine_ras_to_lps(affine: np.ndarray) -> np.ndarray:
    """Index to RAS as index to LPS, or back, shape (4, 4)."""
    return np.diag((-1.0, -1.0, 1.0, 1.0)) @ np.asarray(affine, np.float64)


def ijk_to_ras(affine: np.ndarray, ijk: np.ndarray) -> np.ndarray:
    """Indices, shape (n, 3), as points in millimetres, RAS."""
    affine = np.asarray(affine, np.float64)
    return np.asarray(ijk, np.float64) @ affine[:3, :3].T + affine[:3, 3]


def ras_to_ijk(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points in millimetres, RAS, as indices with fractions, shape (n, 3)."""
    affine = np.asarray(affine, np.float64)
    return np.linalg.solve(affine[:3, :3], (np.asarray(points, np.float64) - affine[:3, 3]).T).T


def voxel_sides_mm(affine: np.ndarray) -> np.ndarray:
    """Length of a voxel's sides, shape (3,), mm."""
    return np.linalg.norm(np.asarray(affine, np.float64)[:3, :3], axis=0)


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Volume of a voxel, ml."""
    return abs(float(np.linalg.det(np.asarray(affine, np.float64)[:3, :3]))) / 1000


def geometry_difference(
    shape: tuple[int, ...],
    affine: np.ndarray,
    other_shape: tuple[int, ...],
    other_affine: np.ndarray,
    tolerance: float = SAME_PLACE,
) -> str:
    """In what two volumes differ: the matrix, or the place of a corner voxel.

    Args:
        shape, other_shape: Voxels along x, y, z.
        affine, other_affine: Index to world millimetres in one convention, shape (4, 4).
        tolerance: How far a corner may lie from the other's, fraction of the smallest voxel side.
    Returns:
        Words for a sentence; empty when they are the same.
    """
    if tuple(shape) != tuple(other_shape):
        return f"{' x '.join(map(str, shape))} voxels here and {' x '.join(map(str, other_shape))} there"
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in shape])))
    apart = np.linalg.norm(ijk_to_ras(affine, corners) - ijk_to_ras(other_affine, corners), axis=1).max()
    # A slice's thickness and direction count too, where there is one slice only.
    sides = np.abs(np.asarray(affine, np.float64)[:3, :3] - np.asarray(other_affine, np.float64)[:3, :3]).max()
    smallest = min(voxel_sides_mm(affine).min(), voxel_sides_mm(other_affine).min())
    if not np.isfinite(apart) or max(apart, sides) > tolerance * smallest:
        return f"voxels lie up to {max(apart, sides):.3g} mm apart"
    return ""


def picture_affine(spacing_mm: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Index (column, row, 0) of a picture to RAS: it lies in LPS as 3D Slicer reads it.

    Args:
        spacing_mm: Between columns, between rows.
    """
    return np.diag((-spacing_mm[0], -spacing_mm[1], 1.0, 1.0))


def slice_of_curve(
    points: np.ndarray, shape: tuple[int, int, int], affine: np.ndarray, axis: int | None = None
) -> tuple[int, int]:
    """The slice that a curve was drawn on.

    Args:
        points: Millimetres, RAS, shape (n, 3).
        shape: Of the image.
        affine: Of the image, RAS.
        axis: Across the slice; None: the one along which the curve is flattest.
    Returns:
        Axis and index of the slice.
    Raises:
        UnsuitableInputError: the curve crosses slices, or lies outside the image.
    """
    ijk = ras_to_ijk(affine, points)
    if ijk.ndim != 2 or len(ijk) < 3 or not np.isfinite(ijk).all():
        raise UnsuitableInputError(f"A closed curve needs at least 3 points; this one has {len(ijk)}. Draw it again.")
    if axis is None:
        axis = int(np.argmin(np.ptp(ijk, axis=0)))
    index = int(np.floor(np.median(ijk[:, axis]) + 0.5))
    apart = float(np.abs(ijk[:, axis] - index).max())
    if apart > _ON_PLANE + 1e-6:
        raise UnsuitableInputError(
            f"A curve needs to lie on one slice of its image; this one leaves it by {apart:.2g} slices. Turn the view "
            "to the image's plane and draw it again."
        )
    if not 0 <= index < shape[axis]:
        raise UnsuitableInputError(f"A curve needs to lie on its image; this one is on slice {index} of {shape[axis]}.")
    return axis, index


def rasterise_curve(
    points: np.ndarray, shape: tuple[int, int, int], affine: np.ndarray, axis: int | None = None
) -> np.ndarray:
    """The voxels that a closed curve encloses.

    The pixels that it covers most are taken, as many as its area amounts to: the area of the mask is that of the curve
    to half a pixel, at any size. Parts that the curve winds around twice count as outside.

    Args:
        points: Millimetres, RAS, shape (n, 3), dense along the curve; the last is joined to the first.
        shape: Of the image, (x, y, z); one slice will do.
        affine: Of the image, RAS, oblique and anisotropic as it may be.
        axis: Across the slice; None: found.
    Returns:
        Shape (x, y, z), bool.
    Raises:
        UnsuitableInputError: the curve crosses slices, lies outside, or encloses less than half a pixel.
    """
    axis, index = slice_of_curve(points, shape, affine, axis)
    others = [other for other in range(3) if other != axis]
    plane = ras_to_ijk(affine, points)[:, others]
    covered = _coverage(plane, (shape[others[0]], shape[others[1]]))
    n_pixels = int(round(float(covered.sum())))
    if n_pixels == 0:
        raise UnsuitableInputError("A curve needs to enclose at least half a pixel of its image. Draw it larger.")
    most = np.argsort(-covered.ravel(), kind="stable")[:n_pixels]
    chosen = np.zeros(covered.size, bool)
    chosen[most] = True
    mask = np.zeros(shape, bool)
    np.moveaxis(mask, axis, 0)[index] = chosen.reshape(covered.shape)
    return mask


def _coverage(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How much of each pixel a polygon covers, 0 to 1, shape (a, b).

    Each row is cut into lines; on a line, the polygon is the spans between its crossings taken two by two.
    """
    covered = np.zeros(shape)
    start, end = polygon, np.roll(polygon, -1, axis=0)
    low = max(int(np.floor(polygon[:, 0].min() + 0.5)), 0)
    high = min(int(np.floor(polygon[:, 0].max() + 0.5)), shape[0] - 1)
    edges = np.arange(shape[1] + 1) - 0.5
    for row in range(low, high + 1):
        for line in row - 0.5 + (np.arange(_SUB_LINES) + 0.5) / _SUB_LINES:
            is_crossed = (start[:, 0] <= line) != (end[:, 0] <= line)
            a, b = start[is_crossed], end[is_crossed]
            crossings = np.sort(a[:, 1] + (line - a[:, 0]) / (b[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]))
            for left, right in crossings.reshape(-1, 2):
                covered[row] += np.diff(np.clip(edges, left, right)) / _SUB_LINES
    return covered


def outline_mask(mask: np.ndarray) -> list[np.ndarray]:
    """The closed outlines of a mask along its pixels' edges, outer ones and those of holes.

    Args:
        mask: Shape (a, b), bool.
    Returns:
        Corners of each outline in indices, shape (n, 2); rasterising them gives the mask back.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each edge of a pixel towards a pixel outside, walked with the inside on the left.
    for (da, db), (begin, stop) in {
        (0, -1): ((0, 0), (1, 0)),
        (1, 0): ((1, 0), (1, 1)),
        (0, 1): ((1, 1), (0, 1)),
        (-1, 0): ((0, 1), (0, 0)),
    }.items():
        outside = ~np.roll(padded, (-da, -db), axis=(0, 1))
        for a, b in np.argwhere(padded & outside) - 1:
            following.setdefault((a + begin[0], b + begin[1]), []).append((a + stop[0], b + stop[1]))
    outlines = []
    while following:
        place = first = next(iter(following))
        corners: list[tuple[int, int]] = []
        before: tuple[int, int] | None = None
        while True:
            choices = following[place]
            # Where two pixels meet at a corner, turn left, so that outlines do not cross.
            turns = [
                0 if before is None else before[0] * (c[1] - place[1]) - before[1] * (c[0] - place[0]) for c in choices
            ]
            onward = choices.pop(int(np.argmax(turns)))
            if not choices:
                del following[place]
            step = (onward[0] - place[0], onward[1] - place[1])
            if step != before:
                corners.append(place)
            place, before = onward, step
            if place == first:
                break
        outlines.append(np.array(corners, np.float64) - 0.5)
    return outlines


def outline_slice(mask: np.ndarray, affine: np.ndarray, axis: int, index: int) -> list[np.ndarray]:
    """The outlines of one slice of a mask in millimetres, RAS, shape (n, 3) each."""
    others = [other for other in range(3) if other != axis]
    found = []
    for outline in outline_mask(np.moveaxis(np.asarray(mask), axis, 0)[index]):
        ijk = np.full((len(outline), 3), float(index))
        ijk[:, others] = outline
        found.append(ijk_to_ras(affine, ijk))
    return found


def thin_outline(corners: np.ndarray, spacing: float = 8.0, fewest: int = 8, most: int = 32) -> np.ndarray:
    """Points of a closed outline that are few enough to be dragged, evenly spaced along it, its stairs smoothed.

    Args:
        corners: Of the outline in pixels, shape (n, 2), as :func:`outline_mask` gives them.
        spacing: Pixels between points, as far as ``fewest`` and ``most`` let it.
        fewest, most: Points.
    Returns:
        Shape (m, 2).
    """
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    along, length = np.r_[0, np.cumsum(sides)], float(sides.sum())
    closed = np.r_[corners, corners[:1]]
    n_dense = max(int(8 * length), 64)
    places = np.arange(n_dense) * length / n_dense
    dense = np.interp(places, along, closed[:, 0]) + 1j * np.interp(places, along, closed[:, 1])
    # A Gaussian of one pixel along the outline, done in frequencies because the outline is closed.
    frequencies = np.fft.fftfreq(n_dense, length / n_dense)
    smooth = np.fft.ifft(np.fft.fft(dense) * np.exp(-2 * (np.pi * frequencies) ** 2))
    n_points = int(np.clip(round(length / spacing), fewest, most))
    chosen = smooth[np.round(np.arange(n_points) * n_dense / n_points).astype(int)]
    return np.c_[chosen.real, chosen.imag]


def cut_to_mask(
    array: np.ndarray, affine: np.ndarray, mask: np.ndarray, margin: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box around a mask, cut out of a volume.

    Args:
        array: Shape (x, y, z).
        affine: Index to world, shape (4, 4).
        mask: Shape (x, y, z), bool.
        margin: Voxels more on every side, as far as the volume goes.
    Returns:
        The box and its own affine: each voxel stays where it was.
    Raises:
        UnsuitableInputError: another shape, or nothing is set.
    """
    if mask.shape != array.shape:
        raise UnsuitableInputError(f"A region needs the matrix of its image, {array.shape}; found {mask.shape}.")
    if not mask.any():
        raise UnsuitableInputError("A region needs at least 1 voxel; it is empty. Draw it again.")
    places = np.argwhere(mask)
    low = np.maximum(places.min(axis=0) - margin, 0)
    high = np.minimum(places.max(axis=0) + 1 + margin, array.shape)
    moved = np.array(affine, np.float64)
    moved[:3, 3] = ijk_to_ras(affine, low[None])[0]
    return array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], moved
