"""The unit of phase: found when its values tell, refused when they do not."""

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.phase import UNITS, unit_of_phase


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.name} from {unit.lowest:g}")
def test_phase_that_fills_a_unit_is_recognised_and_becomes_the_same_angle(unit):
    angles = np.linspace(-np.pi, np.pi, 2001)[:-1]
    stored = (angles % (2 * np.pi) if unit.lowest == 0 and not unit.zero else angles) * unit.full_circle / (2 * np.pi)
    stored = stored + unit.zero
    found = unit_of_phase(stored.min(), stored.max())
    assert found.name == unit.name
    np.testing.assert_allclose(np.exp(1j * found.to_radians(stored)), np.exp(1j * angles), atol=1e-9)


@pytest.mark.parametrize(("low", "high"), [(-50, 50), (0, 0), (-3142 * 1.2, 3142 * 1.2), (0, 1000), (-1e5, 1e5)])
def test_phase_that_fills_no_unit_is_refused(low, high):
    with pytest.raises(UnsuitableInputError, match="which span none of these. Export the phase with its unit"):
        unit_of_phase(low, high)


def test_whole_numbers_within_three_are_not_radians():
    assert unit_of_phase(-3.1, 3.1).name == "radians"
    with pytest.raises(UnsuitableInputError, match="span none"):
        unit_of_phase(-3, 3, are_integers=True)


def test_a_declared_unit_needs_no_full_range_but_has_to_hold_the_values():
    assert unit_of_phase(-0.2, 0.3, "rad").name == "radians"
    with pytest.raises(
        UnsuitableInputError, match="declared in radians needs to stay within one full circle.*are degrees"
    ):
        unit_of_phase(-180, 180, "rad")


def test_a_declared_unit_that_the_values_contradict_is_refused():
    with pytest.raises(
        UnsuitableInputError, match="declared in degrees .* found values from -3.14 to 3.14, which are radians"
    ):
        unit_of_phase(-3.14, 3.14, "degrees")


def test_a_declared_word_that_is_no_unit_of_angle_is_ignored():
    assert unit_of_phase(-180, 180, "arbitrary").name == "degrees"
