"""A wrong basin that shows, by doubt or by a jump, is put right; what cannot show is named here, too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from liver_models.learning.calibration import auroc
from liver_models.mri.ai_deal import NetworkAnswer
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.hypotheses import field_hypotheses
from liver_models.mri.phantom import make_phantom
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.slice_problem import SliceProblem
from liver_models.mri.swap_safety import (
    MAX_DECAY,
    MAX_MARGIN,
    MAX_TRUSTED_JUMP_PPM,
    REGION_MARGIN,
    SwapModel,
    check_field,
    largest_jump,
    swap_signs,
    wrapped,
)
from liver_models.units import ppm_to_hz

FAT_PPM = 3.4
PROTOCOLS = {
    "1.5 T, six echoes": (1.5, None),
    "3 T, six echoes": (3.0, None),
    "1.5 T, unequal echoes": (1.5, np.array([1.2, 3.0, 5.3, 6.9, 9.4, 11.0]) * 1e-3),
}


class Sliced:
    """A simulated liver slice with the answer that a perfect network would give."""

    def __init__(self, protocol="1.5 T, six echoes", snr=50.0):
        b0, times = PROTOCOLS[protocol]
        study, truth = make_phantom("liver", snr=snr, seed=3, size=96, field_strength_t=b0, echo_times_s=times)
        scale = np.abs(study.signal).max()
        basis = design_matrix(study.echo_times_s, b0, get_spectrum("hamilton_2011"))
        self.mask = truth.body_mask[..., 0]
        signal = (study.signal[..., 0] / scale).astype(np.complex64)
        variance = float((truth.noise_std / scale) ** 2)
        self.problem = SliceProblem(signal, self.mask, study.echo_times_s, b0, basis, variance)
        self.field_hz = truth.field_map_hz[..., 0][self.mask].astype(np.float32)
        self.r2_star = truth.r2_star_per_s[..., 0][self.mask].astype(np.float32)
        self.liver = truth.liver_mask[..., 0]
        self.b0 = b0
        protocol = study.echo_times_s, b0, basis, variance
        self.hypotheses = field_hypotheses(self.problem.voxels, *protocol)

    def block(self, half_width=4):
        """A square in the middle of the liver, as tissue voxels."""
        depth = ndimage.distance_transform_edt(self.liver)
        x, y = np.unravel_index(depth.argmax(), depth.shape)
        inside = np.zeros(self.mask.shape, bool)
        inside[x - half_width : x + half_width + 1, y - half_width : y + half_width + 1] = True
        return (inside & self.mask)[self.mask]

    def answer(self, swapped=None, other_basin=0.0):
        field = self.field_hz.copy()
        if swapped is not None:
            field[swapped] -= ppm_to_hz(FAT_PPM, self.b0)
        n = field.size
        known = np.broadcast_to(np.asarray(other_basin, np.float32), n).copy()
        return NetworkAnswer(
            field, np.ones(n, np.float32), self.r2_star.copy(), np.ones(n, np.float32), known, self.hypotheses
        )

    def signs(self, swapped=None):
        answer = self.answer(swapped)
        return swap_signs(self.problem, self.hypotheses, answer.field_map_hz, answer.r2_star_per_s)

    def is_wrong(self, field_hz):
        return np.abs(wrapped(field_hz - self.field_hz, self.problem.period_hz)) > ppm_to_hz(1.0, self.b0)


@pytest.fixture(scope="module")
def sliced():
    return Sliced()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_swapped_region_that_is_doubted_is_put_right(protocol):
    sliced = Sliced(protocol)
    block = sliced.block()
    answer = sliced.answer(block, np.where(block, 0.3, 0.0))
    found = check_field(answer, sliced.problem)
    assert sliced.is_wrong(answer.field_map_hz)[block].all()
    assert not sliced.is_wrong(found.field_map_hz)[block].any()
    assert found.by_fallback[block].all()


def test_a_swapped_region_that_is_not_doubted_shows_at_its_border_and_is_put_right(sliced):
    block = sliced.block(half_width=2)
    found = check_field(sliced.answer(block), sliced.problem)
    assert not sliced.is_wrong(found.field_map_hz)[block].any()


def test_what_was_put_right_has_the_r2_star_of_its_basin(sliced):
    block = sliced.block()
    answer = sliced.answer(block, np.where(block, 0.3, 0.0))
    answer.r2_star_per_s[block] = 500.0
    found = check_field(answer, sliced.problem)
    assert np.median(np.abs(found.r2_star_per_s - sliced.r2_star)[block]) < 15


def test_a_large_swapped_region_that_is_not_doubted_is_put_right_as_a_whole(sliced):
    block = sliced.block(half_width=9)
    found = check_field(sliced.answer(block), sliced.problem)
    assert not sliced.is_wrong(found.field_map_hz)[block].any()


@pytest.mark.xfail(reason="A slice that is swapped as a whole has no border, and slices are not compared.", strict=True)
def test_a_slice_that_is_confidently_swapped_as_a_whole_is_put_right(sliced):
    everything = np.ones(sliced.field_hz.size, bool)
    found = check_field(sliced.answer(everything), sliced.problem)
    assert sliced.is_wrong(found.field_map_hz).mean() < 0.01


def test_a_right_and_sure_answer_is_hardly_touched(sliced):
    found = check_field(sliced.answer(), sliced.problem)
    kept = ~found.by_fallback
    assert np.array_equal(found.field_map_hz[kept], sliced.field_hz[kept])
    assert np.array_equal(found.r2_star_per_s[kept], sliced.r2_star[kept])
    assert found.by_fallback.mean() < 0.25
    assert sliced.is_wrong(found.field_map_hz).mean() < 0.002


def test_a_field_without_a_jump_or_doubt_is_returned_as_it_is(sliced):
    answer = sliced.answer()
    answer.field_map_hz[:] = 20.0
    found = check_field(answer, sliced.problem)
    assert np.array_equal(found.field_map_hz, answer.field_map_hz) and not found.by_fallback.any()


def test_what_is_decided_again_lies_around_what_is_doubted(sliced):
    answer = sliced.answer()
    answer.field_map_hz[:] = sliced.field_hz[sliced.block(0)]  # No jump.
    one = sliced.block(half_width=0)
    answer.other_basin[one] = 0.9
    found = check_field(answer, sliced.problem)
    place = np.zeros(sliced.mask.shape, bool)
    place[sliced.mask] = one
    near = ndimage.binary_dilation(place, iterations=REGION_MARGIN)[sliced.mask]
    assert np.array_equal(found.by_fallback, near)


def test_the_answer_itself_is_left_as_it_is(sliced):
    block = sliced.block()
    answer = sliced.answer(block, np.where(block, 0.3, 0.0))
    before = answer.field_map_hz.copy(), answer.r2_star_per_s.copy()
    check_field(answer, sliced.problem)
    assert np.array_equal(answer.field_map_hz, before[0]) and np.array_equal(answer.r2_star_per_s, before[1])


def test_a_whole_period_more_is_the_same_answer(sliced):
    plain, turned = sliced.answer(), sliced.answer()
    far = np.random.default_rng(0).random(turned.field_map_hz.size) < 0.5
    turned.field_map_hz[far] += np.float32(sliced.problem.period_hz)
    one, other = (check_field(a, sliced.problem) for a in (plain, turned))
    assert np.array_equal(one.by_fallback, other.by_fallback)
    moved = wrapped(one.field_map_hz - other.field_map_hz, sliced.problem.period_hz)
    assert (np.abs(moved) > 1).mean() < 1e-3


class TestSigns:
    def test_a_swapped_voxel_shows_by_another_basin_that_fits_better(self, sliced):
        """Of a slice that is swapped as a whole, too, which no jump betrays."""
        right, wrong = (sliced.signs(swapped) for swapped in (None, np.ones(sliced.field_hz.size, bool)))
        is_swapped = np.arange(2 * right.shape[1]) >= right.shape[1]
        assert auroc(-np.concatenate([right[0], wrong[0]]), is_swapped) > 0.95

    def test_jumps_count_where_they_are_and_nowhere_else(self, sliced):
        jump = sliced.signs(sliced.block())[1] - sliced.signs()[1]
        place = np.zeros(sliced.mask.shape, bool)
        place[sliced.mask] = sliced.block()
        border = place & ~ndimage.binary_erosion(place)
        far = ~ndimage.binary_dilation(place, iterations=9)
        assert (jump[border[sliced.mask]] > 0.5).all() and np.abs(jump[far[sliced.mask]]).max() < 1e-3

    def test_they_are_the_same_a_period_further(self, sliced):
        answer = sliced.answer()
        fields = answer.field_map_hz, answer.field_map_hz + np.float32(sliced.problem.period_hz)
        one, other = (swap_signs(sliced.problem, sliced.hypotheses, f, sliced.r2_star) for f in fields)
        # A voxel may lie at the very edge of a basin.
        assert (np.abs(one - other).max(axis=0) > 1e-2).mean() < 2e-3

    def test_they_are_bounded_and_finite_for_any_field(self, sliced):
        rng = np.random.default_rng(0)
        field, rate = rng.uniform(-900, 900, sliced.field_hz.size), rng.uniform(-200, 2000, sliced.field_hz.size)
        margin, jump, decay = swap_signs(sliced.problem, sliced.hypotheses, field.astype(np.float32), rate)
        assert np.abs(margin).max() <= MAX_MARGIN and (decay >= 0).all() and decay.max() <= MAX_DECAY
        assert np.isfinite(jump).all() and (jump >= 0).all()


class TestSwapModel:
    MODEL = SwapModel(intercept=-2.0, margin=-0.7, jump=1.5, decay=0.4)

    def drawn(self, n=40_000):
        rng = np.random.default_rng(0)
        signs = np.stack([rng.uniform(-5, 10, n), rng.exponential(0.5, n), rng.uniform(0, 2, n)])
        return signs, rng.random(n) < self.MODEL.probability(signs)

    def test_what_a_model_draws_it_learns_back(self):
        learnt = SwapModel.fit(*self.drawn())
        for name, value in vars(self.MODEL).items():
            assert getattr(learnt, name) == pytest.approx(value, abs=0.15)

    def test_its_probabilities_are_the_shares_that_are_swapped(self):
        signs, is_swapped = self.drawn()
        probability = SwapModel.fit(signs, is_swapped).probability(signs)
        assert probability.dtype == np.float32
        for low in (0.0, 0.2, 0.5, 0.8):
            inside = (probability >= low) & (probability < low + 0.2)
            assert is_swapped[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.03)

    def test_a_worse_fit_and_a_larger_jump_make_a_swap_likelier(self):
        calm = np.array([[8.0], [0.0], [0.2]])
        for sign in (np.array([[-9.0], [0], [0]]), np.array([[0], [1.0], [0]])):
            assert self.MODEL.probability(calm + sign) > self.MODEL.probability(calm)

    def test_without_a_single_swap_it_is_still_learnt(self):
        signs, _ = self.drawn(500)
        assert (SwapModel.fit(signs, np.zeros(500, bool)).probability(signs) < 0.05).all()


class TestLargestJump:
    def test_it_is_seen_from_both_sides(self):
        field = np.zeros((6, 5), np.float32)
        field[3:] = 40
        expected = np.zeros((6, 5))
        expected[2:4] = 40
        assert np.array_equal(largest_jump(field, None), expected)
        assert np.array_equal(largest_jump(field.T, None), expected.T)

    def test_a_whole_period_is_no_jump_and_half_of_one_the_largest(self):
        field = np.zeros((4, 4), np.float32)
        field[2, 2] = 476
        assert largest_jump(field, 476.0).max() == 0
        field[2, 2] = 238 + 476
        assert largest_jump(field, 476.0).max() == 238

    def test_beside_air_there_is_none(self):
        field = np.full((4, 4), np.nan, np.float32)
        field[1, 1] = 300
        assert not largest_jump(field, None).any()

    def test_the_largest_of_four_neighbours_counts(self):
        field = np.zeros((3, 3), np.float32)
        field[0, 1], field[1, 0] = 5, -9
        assert largest_jump(field, None)[1, 1] == 9

    def test_a_liver_s_own_field_jumps_less_than_is_trusted(self):
        sliced = Sliced()
        field = np.full(sliced.mask.shape, np.nan, np.float32)
        field[sliced.mask] = sliced.field_hz
        jump = largest_jump(field, sliced.problem.period_hz)[sliced.liver]
        assert np.quantile(jump, 0.99) < ppm_to_hz(MAX_TRUSTED_JUMP_PPM, 1.5)


@pytest.mark.parametrize(("difference", "expected"), [(10.0, 10.0), (290.0, -10.0), (-290.0, 10.0), (600.0, 0.0)])
def test_differences_are_wrapped_into_half_a_period(difference, expected):
    assert wrapped(np.array([difference]), 300.0) == pytest.approx(expected)
    assert wrapped(np.array([difference]), None) == difference
