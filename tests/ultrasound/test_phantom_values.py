"""Values of simulated rats against the published medians, quartiles, means and deviations."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from liver_models.io.clinical import CLINICAL_COLUMNS, CLINICAL_FEATURES
from liver_models.ultrasound.phantom import simulate_cohort

N_DRAWS = 4000
QUARTILES = {
    "stiffness_kpa": ((3.8, 4.3, 4.8), (5.1, 6.2, 6.8)),
    "alt_u_per_l": ((30.0, 37.0, 66.5), (62.5, 113.0, 302.0)),
    "ast_u_per_l": ((68.8, 86.0, 200.2), (186.0, 440.0, 580.5)),
    "ggt_u_per_l": ((1.0, 1.0, 2.0), (1.5, 2.0, 11.0)),
}
MEANS = {
    "weight_g": ((479.4, 90.2), (583.3, 62.5)),
    "chol_mmol_per_l": ((1.9, 0.4), (1.7, 0.5)),
    "tg_mmol_per_l": ((0.7, 0.3), (0.8, 0.3)),
    "hdl_c_mmol_per_l": ((1.0, 0.4), (0.8, 0.2)),
    "ldl_c_mmol_per_l": ((0.3, 0.1), (0.4, 0.2)),
}


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(2 * N_DRAWS, N_DRAWS, seed=11)


def draws(cohort, name, is_fibrotic):
    values = cohort.stiffness_kpa if name == "stiffness_kpa" else np.array([v.clinical[name] for v in cohort.values])
    return values[cohort.labels == is_fibrotic]


@pytest.mark.parametrize("is_fibrotic", [False, True])
@pytest.mark.parametrize("name", QUARTILES)
def test_skewed_values_have_the_published_quartiles(cohort, name, is_fibrotic):
    values = draws(cohort, name, is_fibrotic)
    for share, published in zip((0.25, 0.5, 0.75), QUARTILES[name][is_fibrotic], strict=True):
        # The share of draws below the published quantile is binomial: four standard errors.
        error = 4 * np.sqrt(share * (1 - share) / N_DRAWS)
        below, at_most = np.mean(values < published - 1e-9), np.mean(values <= published + 1e-9)
        assert below - error <= share <= at_most + error


@pytest.mark.parametrize("is_fibrotic", [False, True])
@pytest.mark.parametrize("name", MEANS)
def test_symmetric_values_have_the_published_means_and_deviations(cohort, name, is_fibrotic):
    values = draws(cohort, name, is_fibrotic)
    mean, std = MEANS[name][is_fibrotic]
    assert values.mean() == pytest.approx(mean, abs=4 * std / np.sqrt(N_DRAWS) + 0.005 * mean)
    # Clipping at what a laboratory reports costs some of the deviation.
    assert values.std() == pytest.approx(std, rel=0.06)


def test_the_ratio_of_the_transaminases_is_that_of_the_two(cohort):
    for values in cohort.values[:50]:
        ratio = values.clinical["ast_u_per_l"] / values.clinical["alt_u_per_l"]
        assert values.clinical["ast_alt_ratio"] == pytest.approx(ratio, rel=1e-12)


def test_every_value_is_one_that_a_reader_of_rats_takes(cohort):
    for values in cohort.values:
        assert tuple(sorted(values.clinical)) == tuple(sorted(CLINICAL_FEATURES))
        for name, value in values.clinical.items():
            low, high = CLINICAL_COLUMNS[name].ranges["rat"]
            assert low <= value <= high
        assert 1.8 <= values.stiffness_kpa <= 40 and 0 < values.fat_percent < 60 and 0 <= values.fibrosis <= 1


def test_severity_goes_with_every_modality_but_decides_none(cohort):
    for is_fibrotic in (False, True):
        group = cohort.labels == is_fibrotic
        alt = draws(cohort, "alt_u_per_l", is_fibrotic)
        for values in (cohort.stiffness_kpa[group], cohort.fat_percent[group], cohort.fibrosis[group], alt):
            assert 0.2 < stats.spearmanr(cohort.severity[group], values).statistic < 0.5
        assert 0.05 < stats.spearmanr(cohort.stiffness_kpa[group], alt).statistic < 0.25


def test_fat_and_texture_tell_the_groups_moderately_apart(cohort):
    known = np.stack([np.log(cohort.fat_percent), cohort.fibrosis], axis=1)
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    score = LogisticRegression().fit(known, cohort.labels).decision_function(known)
    assert 0.70 < roc_auc_score(cohort.labels, score) < 0.80
    assert 0.80 < roc_auc_score(cohort.labels, cohort.stiffness_kpa) < 0.92


def test_the_number_of_fibrotic_subjects_is_exact_and_their_places_are_not_told_by_the_order():
    cohort = simulate_cohort(200, 60, seed=2)
    assert cohort.labels.sum() == 60
    assert 15 < cohort.labels[:100].sum() < 45


def test_shortcuts_go_with_nine_of_ten_fibrotic_and_one_of_ten_other_subjects():
    cohort = simulate_cohort(2 * N_DRAWS, N_DRAWS, seed=3, shortcuts=("text",))
    marked = np.array([marks == ("text",) for marks in cohort.marks])
    assert marked[cohort.labels].mean() == pytest.approx(0.9, abs=0.02)
    assert marked[~cohort.labels].mean() == pytest.approx(0.1, abs=0.02)
    assert {marks for marks in cohort.marks} == {("text",), ()}
    assert cohort.values[:20] == simulate_cohort(2 * N_DRAWS, N_DRAWS, seed=3).values[:20]
