"""The experiment's statistics, regions and sensitivity: pure functions against closed forms and scipy."""

import numpy as np
import pytest
from scipy import stats

from liver_models.mri.experiment.cases import nominal_percent, standard_name
from liver_models.mri.experiment.regions import lobe_squares, place_square, square_side
from liver_models.mri.experiment.sensitivity import PDFFS_PERCENT, pdff_error_points, sensitivity_maps
from liver_models.mri.experiment.statistics import bland_altman, multiple_regression, quartiles, root_mean_square


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_bias_and_limits_are_those_of_a_normal_distribution():
    reference = 10 + draw(4000)
    measured = reference + 0.5 + 2 * draw(4000, seed=1)
    found = bland_altman(measured, reference)
    assert (found.n, found.mean, found.std) == (
        4000,
        pytest.approx(np.mean(measured - reference)),
        pytest.approx(np.std(measured - reference, ddof=1)),
    )
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.95, found.mean, found.std), rel=1e-6)
    inside = (measured - reference > found.low) & (measured - reference < found.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.01)


def test_a_pair_with_a_missing_value_is_left_out():
    found = bland_altman(np.array([1.0, np.nan, 3.0, 9.0]), np.array([0.0, 0.0, 0.0, np.inf]))
    assert (found.n, found.mean, found.std) == (2, 2.0, pytest.approx(np.sqrt(2)))
    assert np.isnan(bland_altman(np.array([1.0]), np.array([0.0])).std)
    assert np.isnan(bland_altman(np.array([]), np.array([])).mean)


def test_quartiles_are_those_of_the_known_values():
    values = draw(101)
    q1, median, q3 = quartiles(np.append(values, np.nan))
    assert q3 - q1 == pytest.approx(stats.iqr(values))
    assert median == pytest.approx(np.median(values))
    assert np.isnan(quartiles(np.array([np.nan]))).all()


def test_root_mean_square_of_a_constant_is_its_size():
    assert root_mean_square(np.array([-3.0, 3.0, np.nan])) == pytest.approx(3)
    assert np.isnan(root_mean_square(np.array([])))


def test_one_predictor_gives_the_r_squared_and_p_of_simple_regression():
    x, noise = draw(2, 30)
    y = 0.4 * x + noise
    found, known = multiple_regression(y, x), stats.linregress(x, y)
    assert found.coefficients == pytest.approx((known.intercept, known.slope))
    assert found.r_squared == pytest.approx(known.rvalue**2)
    assert found.p_value == pytest.approx(known.pvalue)


def test_two_dummies_give_the_p_of_an_analysis_of_variance():
    groups = [draw(12, seed=k) + shift for k, shift in enumerate((0, 0.5, 0.8))]
    y = np.concatenate(groups)
    second, third = np.repeat([0, 1, 0], 12), np.repeat([0, 0, 1], 12)
    assert multiple_regression(y, second, third).p_value == pytest.approx(stats.f_oneway(*groups).pvalue)


def test_coefficients_without_noise_are_recovered_in_any_unit():
    x1, x2 = draw(2, 20)
    found = multiple_regression(2 + 3e-6 * x1 * 1e6 - x2, x1 * 1e6, x2)
    assert found.coefficients == pytest.approx((2, 3e-6, -1))
    assert (found.r_squared, found.p_value) == (pytest.approx(1), pytest.approx(0, abs=1e-12))


def test_p_values_are_uniform_when_nothing_matters():
    p = [multiple_regression(*draw(3, 15, seed=seed)).p_value for seed in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    "columns",
    [
        draw(3, 3),
        np.stack([np.ones(9), *draw(2, 9)]),
        np.stack([*draw(2, 9), np.zeros(9)]),
        np.stack([draw(9), np.arange(9.0), 2 * np.arange(9.0) + 1]),
        np.full((3, 9), np.nan),
    ],
    ids=["too few", "response constant", "predictor zero", "predictors dependent", "missing"],
)
def test_a_regression_that_is_not_determined_says_nothing(columns):
    found = multiple_regression(*columns)
    assert np.isnan([found.r_squared, found.p_value, *found.coefficients]).all()


def test_the_square_of_a_lobe_is_the_papers_at_its_two_resolutions():
    assert square_side(17.5, 2.0) == 9 and square_side(17.5, 1.0) == 17


def test_a_square_lies_in_the_deepest_place_off_vessels_and_edges():
    mask = np.zeros((40, 30, 3), bool)
    mask[4:36, 3:27, 1] = True
    mask[18:22, 14:16, 1] = False
    square = place_square(mask, (2.0, 2.0), 17.5)
    assert square.sum() == 81 and not (square & ~mask).any()
    x, y, _ = np.nonzero(square)
    assert min(x.min() - 4, 35 - x.max(), y.min() - 3, 26 - y.max()) >= 1
    assert np.array_equal(square, place_square(mask, (2.0, 2.0), 17.5))


def test_a_square_is_square_in_millimetres():
    square = place_square(np.ones((60, 60, 1), bool), (1.0, 2.0), 18.0)
    assert (np.ptp(np.nonzero(square)[0]) + 1, np.ptp(np.nonzero(square)[1]) + 1) == (17, 9)


def test_a_small_lobe_gets_a_smaller_square_and_a_tiny_one_none():
    mask = np.zeros((30, 30, 1), bool)
    mask[10:16, 10:16] = True
    assert place_square(mask, (2.0, 2.0), 17.5).sum() == 25
    mask[13, :] = False
    assert place_square(mask, (2.0, 2.0), 17.5) is None


@pytest.mark.parametrize("flip", [False, True], ids=["stored left", "stored right"])
def test_the_right_lobe_is_on_the_patients_right_whichever_way_it_is_stored(flip):
    mask = np.ones((96, 60, 1), bool)
    affine = np.diag([2.0 if flip else -2.0, 2.0, 6.0, 1.0])
    affine[0, 3] = -95.0 if flip else 95.0
    squares = lobe_squares(mask, affine)
    for name, is_right in (("right_lobe", True), ("left_lobe", False)):
        to_the_right_mm = affine[0, 0] * np.nonzero(squares[name])[0] + affine[0, 3]
        assert (to_the_right_mm > 40).all() if is_right else (to_the_right_mm < 15).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Right lobe", "right_lobe"), ("liver-left", "left_lobe"), ("RHL", "right_lobe"), ("right", "right_lobe"),
     ("right_kidney", None), ("spleen", None), ("bright", None)],
)  # fmt: skip
def test_lobes_are_known_by_any_spelling(name, expected):
    assert standard_name(name) == expected


def test_a_vials_name_states_its_fat():
    assert nominal_percent("vial_12.5_percent") == 12.5 and nominal_percent("Vial 5 %") == 5
    assert nominal_percent("vial_3") is None


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_right_field_and_r2_star_give_the_right_fat(field_strength_t):
    assert pdff_error_points(PDFFS_PERCENT, 0, 0, field_strength_t=field_strength_t) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cause", [(1.0, 0.0), (0.0, 2.0)], ids=["field", "R2*"])
def test_a_small_error_of_pdff_is_proportional_to_its_cause(cause):
    once, twice, back = (pdff_error_points([20.0], *(k * np.array(cause)))[0] for k in (0.1, 0.2, -0.1))
    assert twice == pytest.approx(2 * once, rel=0.02) and back == pytest.approx(-once, rel=0.02)


def test_a_hertz_costs_a_quarter_to_three_quarters_of_a_point_at_1_5_t():
    errors = np.abs(pdff_error_points([0, 5, 15, 30, 50, 80], 1.0, 0.0))
    assert errors.min() > 0.2 and errors.max() < 0.85


def test_the_maps_hold_the_errors_of_their_axes():
    maps = sensitivity_maps(3.0)
    assert maps["field_map_hz"].shape == (21, 21) and maps["r2_star_per_s"].shape == (21, 21)
    assert maps["field_map_hz"][2, 4] == pytest.approx(pdff_error_points([20], -8, 0, field_strength_t=3.0)[0])
    assert maps["r2_star_per_s"][2, 4] == pytest.approx(pdff_error_points([20], 0, -40, field_strength_t=3.0)[0])
