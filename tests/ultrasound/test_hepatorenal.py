"""Hepatorenal index and attenuation slope: what they measure, what they do not see, what they refuse."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.hepatorenal import attenuation_slope, hepatorenal_difference_db, hepatorenal_index

SHAPE = (60, 80)
LIVER = np.zeros(SHAPE, bool)
LIVER[10:50, 5:35] = True
KIDNEY = np.zeros(SHAPE, bool)
KIDNEY[20:40, 45:75] = True


def image_of(liver, kidney, loss_a_row=0.0, noise=0.0):
    image = np.full(SHAPE, 60.0)
    image[LIVER], image[KIDNEY] = liver, kidney
    image -= loss_a_row * (np.arange(SHAPE[0])[:, None] - 30)
    return image + noise * np.random.default_rng(0).standard_normal(SHAPE)


def test_the_index_is_the_ratio_of_means_and_does_not_depend_on_linear_gain():
    image = image_of(120, 80, noise=3)
    assert hepatorenal_index(image, LIVER, KIDNEY) == pytest.approx(1.5, abs=0.02)
    assert hepatorenal_index(image * 0.5, LIVER, KIDNEY) == pytest.approx(hepatorenal_index(image, LIVER, KIDNEY))


def test_the_difference_in_decibels_does_not_depend_on_an_added_gain():
    one, other = (hepatorenal_difference_db(image_of(120, 69) + gain, LIVER, KIDNEY, 60) for gain in (0, 25))
    assert one == pytest.approx(other) == pytest.approx(51 * 60 / 255)


def test_the_slope_of_a_known_loss_is_found_in_either_unit():
    image = image_of(120, 80, loss_a_row=0.6)
    grey = attenuation_slope(image, LIVER, row_spacing_mm=0.5)
    decibels = attenuation_slope(image, LIVER, row_spacing_mm=0.5, dynamic_range_db=51)
    assert (grey.value, grey.unit, grey.n_rows) == (pytest.approx(12.0), "grey levels/cm", 40)
    assert (decibels.value, decibels.unit) == (pytest.approx(12.0 * 51 / 255), "dB/cm")
    assert attenuation_slope(image[::-1], LIVER[::-1], 0.5).value == pytest.approx(-12.0)


def test_the_standard_error_covers_the_error_of_independent_noise():
    found = []
    for seed in range(40):
        noise = 8 * np.random.default_rng(seed).standard_normal(SHAPE)
        slope = attenuation_slope(image_of(120, 80, loss_a_row=0.6) + noise, LIVER, 0.5)
        found.append((slope.value - 12.0) / slope.std)
    assert 0.7 < np.std(found) < 1.4


def test_a_slope_does_not_bend_with_the_width_of_the_region():
    triangle = LIVER & (np.arange(SHAPE[1])[None] < np.arange(SHAPE[0])[:, None])
    assert attenuation_slope(image_of(120, 80, loss_a_row=0.6), triangle, 0.5).value == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda image: hepatorenal_index(image, LIVER, LIVER), "liver and kidney overlap"),
        (lambda image: hepatorenal_index(image, LIVER, np.zeros(SHAPE, bool)), "kidney region needs 25 pixels"),
        (lambda image: hepatorenal_index(image * 0, LIVER, KIDNEY), "100% of its pixels are"),
        (lambda image: hepatorenal_index(image * 0 + 255, LIVER, KIDNEY), "neither black nor saturated"),
        (
            lambda image: hepatorenal_index(image[1:], LIVER[1:], KIDNEY[:-1, :-1]),
            r"kidney region needs the shape of its grey image; found \(59, 79\) for \(59, 80\)",
        ),
        (lambda image: attenuation_slope(image, LIVER, 0.0), "distance between rows in mm; found 0"),
        (
            lambda image: attenuation_slope(image, LIVER & (np.arange(60) < 14)[:, None], 0.5),
            "8 rows at least; found 4",
        ),
        (lambda image: attenuation_slope(image, LIVER, 0.5, -3), "positive decibels; found -3"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        call(image_of(120, 80))
