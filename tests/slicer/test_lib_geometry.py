"""Curves, masks and places: laws on oblique, anisotropic and one-slice images."""

from __future__ import annotations

import numpy as np
import pytest
from LiverLabelLib import geometry as g
from LiverLabelLib.errors import UnsuitableInputError


def oblique(sides=(1.2, 0.7, 5.0), seed=1) -> np.ndarray:
    """A turned, anisotropic affine."""
    turned = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turned * sides
    affine[:3, 3] = (12.5, -40.0, 7.0)
    return affine


def ellipse_mm(affine, centre_ijk, axis, semi_axes_mm, n=400) -> np.ndarray:
    """An ellipse in the plane across ``axis``, in RAS."""
    others = [a for a in range(3) if a != axis]
    u, v = (affine[:3, a] / np.linalg.norm(affine[:3, a]) for a in others)
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    return (
        g.ijk_to_ras(affine, np.array([centre_ijk]))[0]
        + semi_axes_mm[0] * np.cos(t) * u
        + semi_axes_mm[1] * np.sin(t) * v
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("semi_axes_mm", [(6.0, 6.0), (12.0, 7.5), (20.0, 9.0)])
def test_a_curves_mask_has_its_area_within_1_percent(axis, semi_axes_mm):
    sides = np.roll((1.2, 0.7, 5.0), axis + 1)
    affine, shape = oblique(sides), tuple(np.roll((60, 90, 3), axis + 1))
    centre = (np.array(shape) - 1) / 2 + np.where(np.arange(3) == axis, 0, 0.31)
    mask = g.rasterise_curve(ellipse_mm(affine, centre, axis, semi_axes_mm), shape, affine)
    pixel_mm2 = np.prod(np.delete(g.voxel_sides_mm(affine), axis))
    assert mask.sum() * pixel_mm2 == pytest.approx(np.pi * np.prod(semi_axes_mm), rel=0.01)
    place = g.ijk_to_ras(affine, np.argwhere(mask)).mean(axis=0)
    assert np.linalg.norm(place - g.ijk_to_ras(affine, centre[None])[0]) < 0.2


def test_a_curve_is_drawn_on_an_image_of_one_slice():
    affine, shape = oblique(), (60, 90, 1)
    mask = g.rasterise_curve(ellipse_mm(affine, (30, 40, 0), 2, (10, 8)), shape, affine)
    assert mask.shape == shape and mask.sum() * 0.84 == pytest.approx(np.pi * 80, rel=0.01)


def test_a_curve_partly_outside_is_cut_at_the_edge():
    affine = np.diag((-0.5, -0.5, 1, 1))
    mask = g.rasterise_curve(ellipse_mm(affine, (-0.5, 40, 0), 2, (10, 10)), (80, 80, 1), affine)
    assert mask.sum() * 0.25 == pytest.approx(np.pi * 50, rel=0.01)


def test_curves_across_slices_outside_or_too_small_are_refused():
    affine, shape = oblique(), (60, 90, 3)
    tilted = ellipse_mm(affine, (30, 40, 1), 2, (10, 8))
    tilted[: len(tilted) // 2] += affine[:3, 2] * 0.9
    with pytest.raises(UnsuitableInputError, match="one slice"):
        g.rasterise_curve(tilted, shape, affine)
    with pytest.raises(UnsuitableInputError, match="slice 7 of 3"):
        g.rasterise_curve(ellipse_mm(affine, (30, 40, 7), 2, (10, 8)), shape, affine)
    with pytest.raises(UnsuitableInputError, match="half a pixel"):
        g.rasterise_curve(ellipse_mm(affine, (30, 40, 1), 2, (0.2, 0.2)), shape, affine, axis=2)
    with pytest.raises(UnsuitableInputError, match="at least 3 points"):
        g.rasterise_curve(tilted[:2], shape, affine)


def test_outlines_give_their_mask_back():
    affine, rng = oblique(), np.random.default_rng(4)
    mask = np.zeros((20, 24, 3), bool)
    mask[3:15, 4:20, 1] = True
    mask[6:9, 8:12, 1] = False
    mask[rng.integers(3, 15, 12), rng.integers(4, 20, 12), 1] ^= True
    outlines = g.outline_slice(mask, affine, 2, 1)
    assert len(outlines) > 1
    again = np.zeros_like(mask)
    for outline in outlines:
        again ^= g.rasterise_curve(outline, mask.shape, affine, axis=2)
    assert np.array_equal(again, mask)


def test_ras_lps_and_indices_come_back():
    affine, points = oblique(), np.random.default_rng(0).standard_normal((5, 3)) * 50
    assert np.allclose(g.ras_to_ijk(affine, g.ijk_to_ras(affine, points)), points)
    lps = g.ijk_to_ras(g.affine_ras_to_lps(affine), points)
    assert np.allclose(g.ras_to_lps(lps), g.ijk_to_ras(affine, points))
    assert np.allclose(lps[:, :2], -g.ijk_to_ras(affine, points)[:, :2])


def test_geometries_are_told_apart_by_a_hundredth_of_a_voxel():
    affine, shape = oblique(), (60, 90, 1)
    moved, thicker = affine.copy(), affine.copy()
    moved[0, 3] += 0.004
    assert g.geometry_difference(shape, affine, shape, moved) == ""
    moved[0, 3] += 0.02
    assert "mm apart" in g.geometry_difference(shape, affine, shape, moved)
    thicker[:3, 2] *= 1.5
    assert "mm apart" in g.geometry_difference(shape, affine, shape, thicker)
    assert "60 x 90 x 1 voxels here" in g.geometry_difference(shape, affine, (90, 60, 1), affine)


def test_what_is_cut_out_stays_where_it_was():
    affine, array = oblique(), np.arange(5 * 6 * 4).reshape(5, 6, 4)
    mask = np.zeros(array.shape, bool)
    mask[2:4, 3:5, 1] = True
    box, moved = g.cut_to_mask(array, affine, mask, margin=1)
    assert box.shape == (4, 4, 3)
    assert np.allclose(g.ijk_to_ras(moved, [[1, 1, 1]]), g.ijk_to_ras(affine, [[2, 3, 1]]))
    assert box[1, 1, 1] == array[2, 3, 1]
    with pytest.raises(UnsuitableInputError, match="empty"):
        g.cut_to_mask(array, affine, mask & False)


def test_a_squares_mask_is_exact_whichever_way_it_was_drawn():
    square = np.array([(1.5, 2.5, 0), (1.5, 5.5, 0), (6.5, 5.5, 0), (6.5, 2.5, 0)])
    for points in (square, square[::-1]):
        mask = g.rasterise_curve(points, (9, 8, 1), np.eye(4))
        assert mask[2:7, 3:6].all() and mask.sum() == 15
    assert g.rasterise_curve(square + (0.5, 0.5, 0), (9, 8, 1), np.eye(4)).sum() == 15


def test_a_thinned_outline_has_few_even_points_and_keeps_its_area():
    x, y = np.mgrid[:80, :70]
    for radius, n_points in ((2.0, 8), (17.3, 17), (30.0, 30)):
        (outline,) = g.outline_mask((x - 40.2) ** 2 + (y - 34.6) ** 2 <= radius**2)
        points = g.thin_outline(outline)
        sides = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
        assert len(points) == pytest.approx(n_points, abs=2) and sides.max() < 1.5 * sides.min()
        np.testing.assert_allclose(np.linalg.norm(points - (40.2, 34.6), axis=1), radius, atol=0.8)
