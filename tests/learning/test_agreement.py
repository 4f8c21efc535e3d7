"""Agreement of raters: a published table, its limits, and what an offset and noise do to it."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.agreement import agreement, intraclass_correlation

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_coefficient_is_that_of_shrout_and_fleiss():
    assert intraclass_correlation(np.array(SHROUT_FLEISS)) == pytest.approx(0.29, abs=0.005)


def test_equal_raters_agree_and_an_offset_counts():
    values = np.random.default_rng(0).normal(size=40)
    same, off = agreement(values, values), agreement(values, values + 2)
    assert same.icc == pytest.approx(1) and same.mean_difference == 0 == same.lower_limit
    assert off.icc < 0.5 and off.mean_difference == pytest.approx(-2) == pytest.approx(off.upper_limit)


def test_noise_gives_the_share_of_variance_that_is_the_cases():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=4000)
    found = agreement(truth + rng.normal(size=4000) / 2, truth + rng.normal(size=4000) / 2, n_resamples=50)
    assert found.icc == pytest.approx(1 / 1.25, abs=0.02) and found.icc_low < found.icc < found.icc_high
    assert found.upper_limit == pytest.approx(1.96 * np.sqrt(0.5), abs=0.05)


def test_cases_of_few_patients_widen_the_interval():
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(12), 20)
    truth = rng.normal(size=12)[patient]
    one, other = truth + rng.normal(size=12)[patient] / 2, truth + rng.normal(size=12)[patient] / 2
    wide, narrow = agreement(one, other, patient), agreement(one, other)
    assert wide.icc_high - wide.icc_low > 2 * (narrow.icc_high - narrow.icc_low)


def test_too_little_to_compare_is_refused():
    with pytest.raises(UnsuitableInputError, match="three cases at least.*found 2, 0"):
        agreement([1, 2], [1, 2])
    with pytest.raises(UnsuitableInputError, match="found 3, 1 of them without"):
        agreement([1, 2, np.nan], [1, 2, 3])
