"""What the networks read: hypotheses that mean the same for every protocol, with the truth among the cheap ones."""

from __future__ import annotations

import numpy as np
import pytest

from liver_models.mri import hypotheses
from liver_models.mri.cramer_rao import cramer_rao_bound
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.field_candidates import assumed_r2_star, field_period_hz
from liver_models.mri.hypotheses import MIN_HYPOTHESES, R2_STAR_GRID, STEP_PPM, field_hypotheses, r2_star_hypotheses
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.swap_safety import wrapped
from liver_models.units import ppm_to_hz

SPECTRUM = get_spectrum("hamilton_2011")
PROTOCOLS = {
    "1.5 T, six echoes": (1.5, 1.3e-3 + 2.1e-3 * np.arange(6)),
    "3 T, six echoes": (3.0, 1.2e-3 + 1.0e-3 * np.arange(6)),
    "3 T, unequal echoes": (3.0, np.array([1.1, 2.3, 3.1, 4.7, 5.2, 6.9]) * 1e-3),
    "1.5 T, twelve echoes": (1.5, 1.0e-3 + 1.4e-3 * np.arange(12)),
    "0.55 T, eight echoes": (0.55, 2.0e-3 + 3.1e-3 * np.arange(8)),
}
CYCLIC = [name for name, (_, times) in PROTOCOLS.items() if field_period_hz(times)]


class Voxels:
    """Random voxels of a protocol: any fat fraction below a half, tissue's R2*, any field, any phase."""

    def __init__(self, protocol, snr=None, n=1000, seed=0, field_ppm=None, **fixed):
        self.b0, self.times = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
        rng = np.random.default_rng(seed)
        self.basis = design_matrix(self.times, self.b0, SPECTRUM)
        self.pdff = np.broadcast_to(fixed.get("pdff", rng.uniform(0.0, 0.5, n)), n)
        self.r2_star = np.broadcast_to(fixed.get("r2_star", self.b0 / 1.5 * rng.uniform(40, 200, n)), n)
        ppm = rng.uniform(-3, 3, n) if field_ppm is None else np.broadcast_to(field_ppm, n)
        self.field_hz = ppm_to_hz(ppm, self.b0)
        turn = (2j * np.pi * self.field_hz - self.r2_star) * self.times[:, None] + 1j * rng.uniform(-np.pi, np.pi, n)
        signal = (self.basis @ np.stack([1 - self.pdff, self.pdff])) * np.exp(turn)
        self.variance = 0.0 if snr is None else snr**-2
        noise = rng.standard_normal((2, *signal.shape)) * np.sqrt(self.variance)
        self.signal = (signal + noise[0] + 1j * noise[1]).astype(np.complex64)

    def field(self, signal=None, fixed_r2_star=None):
        given = self.signal if signal is None else signal
        return field_hypotheses(given, self.times, self.b0, self.basis, self.variance, fixed_r2_star)

    def r2_star_rows(self):
        return r2_star_hypotheses(self.signal, self.times, self.basis, self.field_hz, self.variance)

    def nearest(self, found):
        """The hypothesis nearest to the true field: its cost, its distance in Hz, and its width."""
        off = np.abs(wrapped(found.value - self.field_hz, found.period))
        voxel, label = np.arange(off.shape[1]), off.argmin(axis=0)
        return found.cost[label, voxel], off[label, voxel], found.width[label, voxel]

    def bound(self, name, snr):
        pairs = zip(self.pdff, self.r2_star, strict=True)
        return np.array([cramer_rao_bound(f, r, self.times, self.b0, SPECTRUM, snr)[name] for f, r in pairs])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_true_field_is_among_the_cheap_hypotheses_at_snr_100(protocol):
    voxels = Voxels(protocol, snr=100)
    cost, off_hz, _ = voxels.nearest(voxels.field())
    assert (cost < 1).mean() > 0.9
    assert np.median(off_hz) < (1.5 if voxels.b0 > 2 else 1.0)


def test_a_liver_s_true_field_costs_less_than_a_nat_and_is_known_within_a_hertz():
    voxels = Voxels("1.5 T, six echoes", snr=100, pdff=0.12, r2_star=45.0, field_ppm=0.4)
    cost, off_hz, _ = voxels.nearest(voxels.field())
    assert (cost < 1).all() and np.quantile(off_hz, 0.9) < 1.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_field_in_ppm_is_found_there_at_any_field_strength_and_echo_spacing(protocol):
    for ppm in (-1.1, 0.0, 0.85):
        voxels = Voxels(protocol, field_ppm=ppm, pdff=0.2, r2_star=60.0, n=1)
        found = voxels.field()
        off_hz = wrapped(found.value[found.cost.argmin(), 0] - ppm_to_hz(ppm, voxels.b0), found.period)
        assert abs(off_hz) < ppm_to_hz(0.04, voxels.b0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hypotheses_lie_a_fixed_step_in_ppm_apart_and_each_keeps_within_its_reach(protocol):
    voxels = Voxels(protocol, snr=30)
    found = voxels.field()
    assert found.step == pytest.approx(STEP_PPM, rel=0.15)
    step_hz = ppm_to_hz(found.step, voxels.b0)
    first = 0.0 if found.is_cyclic else -0.5 * len(found.cost) * step_hz
    centre = first + step_hz * np.arange(len(found.cost))[:, None]
    assert np.abs(found.value - centre).max() < 0.51 * step_hz
    if found.is_cyclic:
        assert len(found.cost) * step_hz == pytest.approx(found.period, rel=1e-6)


def test_a_short_period_still_holds_eight_hypotheses():
    voxels = Voxels((7.0, 2.0e-3 + 3.0e-3 * np.arange(6)))
    assert len(voxels.field().cost) == MIN_HYPOTHESES


@pytest.mark.parametrize("protocol", CYCLIC)
@pytest.mark.parametrize("n_steps", [1, 7, -3])
def test_a_constant_field_of_whole_steps_rolls_the_rows_and_changes_nothing_else(protocol, n_steps):
    voxels = Voxels(protocol, snr=50, n=200)
    found = voxels.field()
    step_hz = found.period / len(found.cost)
    turn = np.exp(2j * np.pi * n_steps * step_hz * voxels.times)[:, None].astype(np.complex64)
    turned = voxels.field(voxels.signal * turn)
    assert np.allclose(turned.cost, np.roll(found.cost, n_steps, axis=0), atol=0.02, rtol=0.02)
    # A minimum may sit on the border of two reaches, and either may keep it.
    moved = wrapped(turned.value - np.roll(found.value, n_steps, axis=0) - n_steps * step_hz, found.period)
    assert (np.abs(moved) < 0.02 * step_hz).mean() > 0.999
    ratio = turned.width / np.roll(found.width, n_steps, axis=0)
    assert (np.abs(ratio - 1) < 0.05).mean() > 0.99


def test_the_cost_of_a_wrong_r2_star_is_its_chi_square(monkeypatch):
    """Half the residual that is left over, in units of the noise: U = r/2σ², by least squares in double precision."""
    monkeypatch.setattr(hypotheses, "MODEL_ERROR", 0.0)
    voxels = Voxels("1.5 T, six echoes", snr=30, n=5, r2_star=60.0, pdff=0.2)
    found, t = voxels.r2_star_rows(), voxels.times
    y = voxels.signal * np.exp(-2j * np.pi * np.outer(t, voxels.field_hz))
    left = []
    for rate in R2_STAR_GRID:
        decayed = np.exp(-rate * t)[:, None] * voxels.basis
        left.append((np.abs(y - decayed @ np.linalg.lstsq(decayed, y, rcond=None)[0]) ** 2).sum(axis=0))
    left = np.array(left)
    expected = (left - left.min(axis=0)) / (2 * np.maximum(voxels.variance, left.min(axis=0) / 6))
    far = np.abs(R2_STAR_GRID - 60) > 130  # Near the minimum the parabola's bottom counts.
    assert np.allclose(found.cost[far], expected[far], rtol=0.25)


def test_a_row_of_unequal_echoes_has_ends():
    found = Voxels("3 T, unequal echoes").field()
    assert not found.is_cyclic and found.period is None


@pytest.mark.parametrize("protocol", ["1.5 T, six echoes", "3 T, unequal echoes"])
def test_the_unit_and_the_phase_of_the_signal_do_not_matter(protocol):
    voxels = Voxels(protocol, snr=50, n=200)
    plain = voxels.field()
    scaled = field_hypotheses(
        voxels.signal * np.complex64(0.01j), voxels.times, voxels.b0, voxels.basis, 1e-4 * voxels.variance
    )
    assert np.allclose(scaled.cost, plain.cost, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_costs_are_at_least_0_and_the_best_costs_nothing(protocol):
    voxels = Voxels(protocol, snr=20)
    for found in (voxels.field(), voxels.r2_star_rows()):
        assert (found.cost.min(axis=0) == 0).all() and np.isfinite(found.cost).all()
        assert found.cost.dtype == found.value.dtype == found.width.dtype == np.float32
        assert (found.width > 0).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_model_error_the_width_of_the_right_minimum_is_near_the_bound(protocol, monkeypatch):
    """The grid's own error and the phase lock widen a field's minimum; it must not be narrower than the bound."""
    monkeypatch.setattr(hypotheses, "MODEL_ERROR", 0.0)
    voxels = Voxels(protocol, snr=50, n=100, pdff=0.3, seed=5)
    _, _, width = voxels.nearest(voxels.field())
    assert 0.8 < np.median(width / voxels.bound("field_map_std_hz", 50)) < 4
    rows = voxels.r2_star_rows()
    rate_width = rows.width[rows.cost.argmin(axis=0), np.arange(100)]
    assert np.median(rate_width / voxels.bound("r2_star_std_per_s", 50)) == pytest.approx(1, abs=0.3)


def test_noise_twice_as_strong_doubles_the_width(monkeypatch):
    monkeypatch.setattr(hypotheses, "MODEL_ERROR", 0.0)
    voxels = Voxels("1.5 T, six echoes", snr=200, n=50)
    narrow = voxels.r2_star_rows()
    voxels.variance *= 4
    wide = voxels.r2_star_rows()
    label, voxel = narrow.cost.argmin(axis=0), np.arange(50)
    assert np.median(wide.width[label, voxel] / narrow.width[label, voxel]) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_cheapest_r2_star_is_the_true_one_within_noise(protocol):
    voxels = Voxels(protocol, snr=100, n=300)
    rows = voxels.r2_star_rows()
    found = rows.value[rows.cost.argmin(axis=0), np.arange(300)]
    z = (found - voxels.r2_star) / voxels.bound("r2_star_std_per_s", 100)
    assert abs(np.median(z)) < 0.25 and np.median(np.abs(z)) < 0.9


@pytest.mark.parametrize("rate", R2_STAR_GRID[[3, 6, 11]])
def test_r2_star_of_a_grid_point_is_found_on_it(rate):
    voxels = Voxels("1.5 T, six echoes", r2_star=rate, n=20)
    rows = voxels.r2_star_rows()
    assert (R2_STAR_GRID[rows.cost.argmin(axis=0)] == rate).all()
    assert np.allclose(rows.value[rows.cost.argmin(axis=0), np.arange(20)], rate, rtol=0.03)


@pytest.mark.parametrize("rate", [15.0, 60.0, 110.0])
@pytest.mark.xfail(reason="The parabola is laid through the index of an uneven grid.", strict=True)
def test_where_the_grid_of_r2_star_changes_its_step_its_value_stays_right(rate):
    voxels = Voxels("3 T, six echoes", r2_star=rate, n=20)
    rows = voxels.r2_star_rows()
    assert np.allclose(rows.value[rows.cost.argmin(axis=0), np.arange(20)], rate, atol=1.0)


def test_three_echoes_are_compared_at_the_r2_star_that_is_assumed():
    times = np.array([1.2, 3.2, 5.2]) * 1e-3
    assumed = assumed_r2_star(times, 1.5)
    voxels = Voxels((1.5, times), snr=200, r2_star=assumed, pdff=0.15)
    cost, off_hz, _ = voxels.nearest(voxels.field(fixed_r2_star=assumed))
    assert (cost < 1).mean() > 0.95 and np.median(off_hz) < 1.5


def test_water_taken_for_fat_costs_more_than_the_truth():
    """Pure water read as pure fat needs less R2* than tissue has, and single-peaked fat: both cost."""
    voxels = Voxels("1.5 T, six echoes", snr=100, pdff=0.02, r2_star=45.0, field_ppm=0.0, n=200)
    found = voxels.field()
    fat_hz = wrapped(found.value - ppm_to_hz(3.4, 1.5), found.period)
    as_fat = np.where(np.abs(fat_hz) < ppm_to_hz(0.6, 1.5), found.cost, np.inf).min(axis=0)
    as_water, *_ = voxels.nearest(found)
    assert (as_fat > as_water + 2).mean() > 0.99


def test_voxels_without_signal_give_finite_rows():
    voxels = Voxels("1.5 T, six echoes", n=3)
    silent = np.zeros_like(voxels.signal)
    for found in (
        voxels.field(silent),
        r2_star_hypotheses(silent, voxels.times, voxels.basis, np.zeros(3), 0.0),
    ):
        assert np.isfinite(found.cost).all() and np.isfinite(found.value).all() and np.isfinite(found.width).all()


def test_no_voxels_give_empty_rows():
    voxels = Voxels("1.5 T, six echoes", n=0)
    assert voxels.field().cost.shape[1] == 0 and voxels.r2_star_rows().cost.shape[1] == 0
