"""Statistics of regions."""

from dataclasses import replace

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.mri.roi_stats import roi_table, weighted_mean

# Oblique, anisotropic, axes swapped: 2 x 3 x 5 mm.
ANGLE = np.deg2rad(25)
AFFINE = np.array(
    [
        [0, 3 * np.cos(ANGLE), -5 * np.sin(ANGLE), 10],
        [2, 0, 0, -7],
        [0, 3 * np.sin(ANGLE), 5 * np.cos(ANGLE), 3],
        [0, 0, 0, 1.0],
    ]
)


@pytest.fixture
def maps(small_liver, maps_of):
    return maps_of(*small_liver)


def test_the_table_agrees_with_the_truth_it_was_made_from(small_liver, maps):
    study, truth = small_liver
    row = roi_table(maps, {"liver": truth.liver_mask}, study.affine)[0]
    n = int(truth.liver_mask.sum())
    assert row.n_voxels == n and row.n_excluded == 0
    expected = truth.pdff_percent[truth.liver_mask].mean()
    assert row.pdff_mean_percent == pytest.approx(expected, abs=4 / np.sqrt(n))
    assert row.pdff_q1_percent < row.pdff_median_percent < row.pdff_q3_percent
    # Quartiles of a normal distribution lie 0.674 standard deviations from its median.
    assert row.pdff_q3_percent - row.pdff_q1_percent == pytest.approx(2 * 0.674 * row.pdff_std_percent, rel=0.15)


def test_fat_below_zero_is_not_clipped(maps):
    roi = maps.valid_mask
    lean = replace(maps, pdff_percent=np.random.default_rng(0).standard_normal(roi.shape).astype(np.float32))
    row = roi_table(lean, {"lean": roi}, np.eye(4))[0]
    assert row.pdff_mean_percent == pytest.approx(0, abs=4 / np.sqrt(roi.sum()))


def test_the_volume_is_the_determinant_whatever_the_axes(maps):
    roi = np.zeros(maps.valid_mask.shape, bool)
    roi[40:50, 40:44, :1] = True
    assert roi_table(maps, {"box": roi}, AFFINE)[0].volume_ml == pytest.approx(40 * 2 * 3 * 5 / 1000)


def test_voxels_without_an_estimate_are_counted_and_change_nothing(maps):
    roi = np.zeros(maps.valid_mask.shape, bool)
    roi[40:50, 40:50, 0] = True
    inside = roi & maps.valid_mask
    whole = roi_table(maps, {"r": inside}, AFFINE)[0]
    more = inside.copy()
    more[0, :7, 0] = True
    assert not maps.valid_mask[0, :7, 0].any()
    row = roi_table(maps, {"r": more}, AFFINE)[0]
    assert (row.n_voxels, row.n_excluded) == (whole.n_voxels, 7)
    assert row.pdff_mean_percent == whole.pdff_mean_percent


def test_an_invalid_voxel_is_left_out_even_where_the_map_holds_a_number(maps):
    roi = maps.valid_mask.copy()
    doubtful = replace(maps, valid_mask=roi & (np.arange(roi.shape[0])[:, None, None] % 2 == 0))
    row = roi_table(doubtful, {"r": roi}, AFFINE)[0]
    assert row.n_voxels == doubtful.valid_mask.sum() < roi.sum() == row.n_voxels + row.n_excluded


def test_the_spread_of_few_voxels_is_the_unbiased_one(maps):
    roi = np.zeros(maps.valid_mask.shape, bool)
    roi[48, 48:50, 0] = True
    two = replace(maps, pdff_percent=np.where(np.cumsum(roi).reshape(roi.shape) == 1, 4.0, 10.0).astype(np.float32))
    row = roi_table(replace(two, valid_mask=roi), {"r": roi}, AFFINE)[0]
    assert row.pdff_std_percent == pytest.approx(6 / np.sqrt(2))
    one = roi & (np.cumsum(roi).reshape(roi.shape) == 1)
    assert np.isnan(roi_table(replace(two, valid_mask=roi), {"r": one}, AFFINE)[0].pdff_std_percent)


def test_a_region_of_invalid_voxels_gives_no_numbers_rather_than_zeros(maps):
    roi = np.zeros(maps.valid_mask.shape, bool)
    roi[0, 0, 0] = True
    row = roi_table(maps, {"air": roi}, AFFINE)[0]
    assert row.n_voxels == 0 and np.isnan(row.pdff_mean_percent)
    assert row.as_json()["pdff_mean_percent"] is None


def test_several_regions_keep_their_order_and_may_overlap(maps):
    rois = {"b": maps.valid_mask, "a": maps.valid_mask}
    first, second = roi_table(maps, rois, AFFINE)
    assert (first.name, second.name) == ("b", "a") and first.n_voxels == second.n_voxels


def test_the_weighted_mean_prefers_certain_voxels_and_knows_its_error():
    mean, error = weighted_mean(np.array([10.0, 20.0]), np.array([1.0, 3.0]))
    assert mean == pytest.approx((10 + 20 / 9) / (1 + 1 / 9))
    assert error == pytest.approx((1 + 1 / 9) ** -0.5)
    equal, _ = weighted_mean(np.array([1.0, 2.0, 6.0]), np.full(3, 2.0))
    assert equal == pytest.approx(3)


def test_the_error_of_the_weighted_mean_is_what_repetition_finds():
    rng = np.random.default_rng(1)
    std = rng.uniform(0.5, 4, 50)
    results = np.array([weighted_mean(7 + std * rng.standard_normal(50), std) for _ in range(2000)])
    assert results[:, 0].std() == pytest.approx(results[0, 1], rel=0.06)
    assert results[:, 0].mean() == pytest.approx(7, abs=4 * results[0, 1] / np.sqrt(2000))


def test_an_empty_region_is_refused(maps):
    with pytest.raises(UnsuitableInputError, match="'nothing' needs at least 1 voxel; it is empty"):
        roi_table(maps, {"nothing": np.zeros(maps.valid_mask.shape, bool)}, AFFINE)


def test_a_region_of_another_shape_is_refused(maps):
    with pytest.raises(UnsuitableInputError, match=r"needs the shape of the images \(96, 96, 2\); found \(3, 3, 3\)"):
        roi_table(maps, {"r": np.ones((3, 3, 3), bool)}, AFFINE)
