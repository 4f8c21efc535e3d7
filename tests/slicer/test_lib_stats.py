"""The table of segments: weights, masking by uncertainty, CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from LiverLabelLib.errors import UnsuitableInputError
from LiverLabelLib.stats import segment_table, table_csv

AFFINE = np.diag((1.5, 2.0, 4.0, 1.0))


def test_the_weighted_mean_is_that_of_least_squares_and_its_error_is_covered():
    rng = np.random.default_rng(3)
    std = rng.uniform(0.5, 6, (10, 10, 5))
    everything = {"liver": np.ones(std.shape, bool)}
    z = []
    for _ in range(300):
        row = segment_table(8 + std * rng.standard_normal(std.shape), std, everything, AFFINE)[0]
        z.append((row.weighted_mean - 8) / row.weighted_mean_std)
    assert np.std(z) == pytest.approx(1, abs=0.15) and abs(np.mean(z)) < 0.2


def test_voxels_not_estimated_and_not_sure_are_left_out_and_counted():
    values = np.array([1.0, 2.0, 3.0, np.nan, 100.0, np.inf]).reshape(6, 1, 1)
    std = np.array([1.0, 1.0, 1.0, 1.0, 50.0, 1.0]).reshape(6, 1, 1)
    row = segment_table(values, std, {"a": np.ones((6, 1, 1))}, AFFINE, max_std=5)[0]
    assert (row.n_voxels, row.mean, row.median, row.std) == (3, 2, 2, 1)
    assert row.fraction_masked == pytest.approx(1 / 4) and row.n_not_estimated == 2
    assert row.volume_ml == pytest.approx(6 * 12 / 1000)
    assert segment_table(values, std, {"a": values > 50}, AFFINE)[0].weighted_mean == pytest.approx(100)


def test_a_segment_without_any_estimate_has_no_numbers():
    row = segment_table(np.full((2, 2, 1), np.nan), np.ones((2, 2, 1)), {"a": np.ones((2, 2, 1))}, AFFINE)[0]
    assert row.n_voxels == 0 and np.isnan([row.mean, row.weighted_mean, row.median, row.fraction_masked]).all()
    assert table_csv([row], "PDFF", "%").splitlines()[1] == "a,0,,,,,,0.048,,4"


def test_the_csv_names_units_and_is_no_formula():
    row = segment_table(np.full((2, 2, 1), 1 / 3), np.ones((2, 2, 1)), {"=1+1, left": np.ones((2, 2, 1))}, AFFINE)[0]
    table = list(csv.DictReader(io.StringIO(table_csv([row], "PDFF", "%"))))
    assert table[0]["Segment"] == "'=1+1, left" and table[0]["PDFF mean (%)"] == "0.333333"
    assert table[0]["Volume (ml)"] == "0.048" and table[0]["Standard error of the weighted mean (%)"] == "0.5"


def test_segments_that_cannot_be_measured_are_refused():
    values = np.ones((2, 2, 1))
    with pytest.raises(UnsuitableInputError, match="'a' needs at least 1 voxel"):
        segment_table(values, None, {"a": values < 0}, AFFINE)
    with pytest.raises(UnsuitableInputError, match="matrix of the map"):
        segment_table(values, None, {"a": np.ones((3, 2, 1))}, AFFINE)
    with pytest.raises(UnsuitableInputError, match="standard deviation"):
        segment_table(values, None, {"a": values}, AFFINE, max_std=1)
