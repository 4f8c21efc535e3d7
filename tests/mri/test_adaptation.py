"""Adapting to unlabelled scans: whole patients are held out, a stopped run goes on, nothing is promised unmeasured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.io.study import MultiEchoStudy
from liver_models.mri import adaptation
from liver_models.mri.adaptation import METRIC, AdaptOptions, adapt
from liver_models.mri.ai_deal_networks import ARCHITECTURE, AiDealNetworks, NetworkSizes
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.least_squares import fat_fraction, gauss_newton
from liver_models.mri.pdff import estimate
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.training_slices import SliceBank
from liver_models.weights import Weights, save_weights

TINY = NetworkSizes(field=(4, 4, 4, 4), r2_star=(4, 4, 4, 4))
ONE_EPOCH = AdaptOptions(epochs=1, device="cpu", calibration_slices=0)
ONCE = AdaptOptions(calibration_slices=0, epochs=2, device="cpu", validation_fraction=0.34)


@pytest.fixture(scope="module")
def start():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = AiDealNetworks(TINY)
    card = {"architecture": ARCHITECTURE, "config": networks.config(), "trained_on": "nothing", "version": "0"}
    return Weights(networks.tensors(), card)


@pytest.fixture(scope="module")
def studies():
    """Three patients, the first with two studies, of one or two slices each."""
    bank, rng = SliceBank.simulate(2, seed=1, size=32), np.random.default_rng(0)
    made = []
    for k, (patient, n_slices) in enumerate((("anna", 1), ("anna", 2), ("bert", 1), ("cleo", 1))):
        drawn = [bank.draw(rng, "six_echoes") for _ in range(n_slices)]
        signal = np.stack([slice_.signal for slice_ in drawn], axis=-1)
        fields = {"field_strength_t": 1.5, "affine": np.eye(4), "precession": 1, "is_bipolar": False}
        fields |= {"case_id": f"case-{k}", "patient_id": patient, "is_simulated": True}
        made.append(MultiEchoStudy.from_echoes(signal, drawn[0].echo_times_s, **fields))
    return made


@pytest.fixture(scope="module")
def adapted(studies, start, tmp_path_factory):
    told = []
    result = adapt(studies, start=start, folder=tmp_path_factory.mktemp("run"), options=ONCE, progress=told.append)
    return result, told


def digest(weights, folder):
    return save_weights(folder / "one.safetensors", weights.tensors, weights.card)


def test_the_adapted_weights_differ_and_estimate(adapted, start, studies):
    result, _ = adapted
    assert any((result.weights.tensors[name] != start.tensors[name]).any() for name in start.tensors)
    maps = estimate(studies[0], network=result.weights)
    assert np.isfinite(maps.pdff_percent[maps.valid_mask]).all() and maps.valid_mask.any()


def test_the_start_is_left_as_it_is(adapted, start):
    assert start.card["trained_on"] == "nothing" and "adaptation" not in start.card


def test_the_card_says_what_was_adapted_to_and_what_it_brought(adapted):
    result, _ = adapted
    card = result.weights.card
    assert card["trained_on"].startswith("nothing; adapted without labels to ")
    facts = card["adaptation"]
    assert facts["metric"] == METRIC and facts["options"]["epochs"] == 2 and facts["is_simulated"]
    assert facts["validation_before"] == pytest.approx(result.validation_before, abs=1e-6)
    assert facts["validation_after"] == pytest.approx(result.validation_after, abs=1e-6)
    assert result.is_better == (result.validation_after < result.validation_before)
    assert facts["n_training_slices"] + facts["n_validation_slices"] == 5


class TestCalibration:
    SWAP = {"intercept": -4.0, "margin": -0.5, "jump": 1.0, "decay": 0.1}
    STD = {"stated_std": [1.0], "calibrated_std": [7.0]}

    def found(self, studies, start, tmp_path, monkeypatch, is_better):
        metric = iter((1.0, 0.5 if is_better else 2.0))
        monkeypatch.setattr(adaptation, "unexplained_signal", lambda *_: next(metric))
        given = Weights(start.tensors, start.card | {"calibration": {"swap": self.SWAP, "one_shot_std": self.STD}})
        options = AdaptOptions(epochs=1, device="cpu", calibration_slices=1)
        return adapt(studies, start=given, folder=tmp_path, options=options).weights.card["calibration"]

    def test_deviations_are_calibrated_anew_on_the_sites_protocol(self, studies, start, tmp_path, monkeypatch):
        found = self.found(studies, start, tmp_path, monkeypatch, is_better=True)
        assert found["one_shot_std"] != self.STD and found["swap"] == self.SWAP
        assert found["one_shot_std_fitted_on"]["draws"] == 1

    def test_networks_that_are_no_better_keep_no_claim(self, studies, start, tmp_path, monkeypatch):
        assert self.found(studies, start, tmp_path, monkeypatch, is_better=False) == {"swap": self.SWAP}


def test_progress_begins_and_ends_with_the_metric_and_counts_epochs(adapted):
    result, told = adapted
    assert told[0].metric == result.validation_before and told[0].epoch == 0
    assert told[-1].metric == result.validation_after and told[-1].eta_s == 0
    epochs = [report.epoch for report in told]
    assert epochs == sorted(epochs) and epochs[-1] == 2 and {report.n_epochs for report in told} == {2}
    stages = [report.stage for report in told]
    assert set(stages) == {"D"}
    assert all(report.metric_name == METRIC for report in told)
    assert all(np.isfinite(report.loss) for report in told[1:-1])


def test_what_a_held_out_patient_s_scans_hold_changes_no_weight(studies, start, tmp_path):
    """One of three patients is held out: changing that one's signal, and no other's, leaves the weights as they are."""
    few, options = (
        [s for s in studies if s.case_id != "case-1"],
        replace(ONE_EPOCH, epochs=6),
    )
    plain = adapt(few, start=start, folder=tmp_path / "plain", options=options)
    assert (plain.n_training_slices, plain.n_validation_slices) == (2, 1)
    without_effect = []
    for patient in ("anna", "bert", "cleo"):
        changed = [s.with_fields(signal=s.signal[:, ::-1]) if s.patient_id == patient else s for s in few]
        found = adapt(changed, start=start, folder=tmp_path / patient, options=options)
        pairs = zip(found.weights.tensors.values(), plain.weights.tensors.values(), strict=True)
        without_effect.append(all(np.array_equal(one, other) for one, other in pairs))
    assert sum(without_effect) == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_studies_of_a_patient_stay_together(studies, start, tmp_path, seed):
    found = adapt(
        studies,
        start=start,
        folder=tmp_path,
        options=replace(ONE_EPOCH, seed=seed),
    )
    assert {found.n_training_slices, found.n_validation_slices} in ({2, 3}, {4, 1})


def test_a_stopped_adaptation_goes_on_to_the_same_bytes(adapted, studies, start, tmp_path):
    def stop(report):
        if report.loss is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(studies, start=start, folder=tmp_path / "run", options=ONCE, progress=stop)
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    resumed = adapt(studies, start=start, folder=tmp_path / "run", options=ONCE)
    assert digest(resumed.weights, tmp_path) == digest(adapted[0].weights, tmp_path)


def test_an_adaptation_out_of_time_says_so_keeps_what_was_learnt_and_ends_later(adapted, studies, start, tmp_path):
    options = AdaptOptions(**(vars(ONCE) | {"max_minutes": 1e-9}))
    with pytest.raises(UnsuitableInputError, match="over before its last epoch; what was learnt is kept"):
        adapt(studies, start=start, folder=tmp_path, options=options)
    resumed = adapt(studies, start=start, folder=tmp_path, options=ONCE)
    pairs = zip(resumed.weights.tensors.values(), adapted[0].weights.tensors.values(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_an_adaptation_whose_time_ends_with_its_last_step_is_finished(studies, start, tmp_path, monkeypatch):
    class Late:
        """Time runs out while the last step is made."""

        def __init__(self, max_minutes):
            self.n_asked, self.check = 0, self._check

        def _check(self):
            self.n_asked += 1
            if self.n_asked == 1:
                raise UnsuitableInputError("over")

    monkeypatch.setattr(adaptation, "_Deadline", Late)
    one_slice = [study for study in studies if study.case_id != "case-1"]
    options = AdaptOptions(calibration_slices=0, epochs=1, device="cpu", max_minutes=1)
    assert adapt(one_slice, start=start, folder=tmp_path, options=options).weights.tensors


def test_a_finished_folder_does_not_answer_for_other_weights(adapted, studies, start, tmp_path):
    first = adapt(studies, start=start, folder=tmp_path, options=ONCE)
    other = Weights({name: 0.5 * value for name, value in start.tensors.items()}, start.card)
    try:
        found = adapt(studies, start=other, folder=tmp_path, options=ONCE)
    except UnsuitableInputError:
        return
    assert digest(found.weights, tmp_path) != digest(first.weights, tmp_path)


@pytest.mark.parametrize(("n_patients", "found"), [(0, 0), (1, 1)])
def test_two_patients_are_needed(studies, start, tmp_path, n_patients, found):
    few = [study for study in studies if study.patient_id == "anna"][: 2 * n_patients]
    with pytest.raises(UnsuitableInputError, match=f"at least two patients, one of them held out; found {found}"):
        adapt(few, start=start, folder=tmp_path)
    assert not any(tmp_path.iterdir())


def test_magnitudes_do_not_count_as_patients(studies, start, tmp_path):
    flat = [s.with_fields(signal=np.abs(s.signal).astype(np.complex64), is_magnitude_only=True) for s in studies]
    with pytest.raises(UnsuitableInputError, match="complex scans of at least two patients.*found 1"):
        adapt([studies[0], *flat[2:]], start=start, folder=tmp_path)


def test_cases_without_patient_are_patients_of_their_own(studies, start, tmp_path):
    nameless = [study.with_fields(patient_id=None) for study in studies if study.case_id != "case-1"]
    found = adapt(nameless, start=start, folder=tmp_path, options=ONE_EPOCH)
    assert (found.n_training_slices, found.n_validation_slices) == (2, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "needs 1 to 10000 epochs; found 0"),
        ({"validation_fraction": 0.9}, "between 0.05 and 0.5; found 0.9"),
        ({"calibration_slices": -1}, "needs 0 to 1000 simulated slices; found -1"),
        ({"device": "tpu"}, "auto, cpu or cuda; found 'tpu'"),
    ],
)
def test_options_out_of_range_are_refused(change, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        AdaptOptions(**change)


@pytest.mark.parametrize("minutes", [-1.0, 0.0, float("nan")])
def test_minutes_that_are_none_are_refused(minutes):
    with pytest.raises(UnsuitableInputError, match="minutes"):
        AdaptOptions(max_minutes=minutes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(studies, start, tmp_path):
    with pytest.raises(UnsuitableInputError, match="needs an NVIDIA GPU; none was found"):
        adapt(studies, start=start, folder=tmp_path, options=replace(ONE_EPOCH, device="cuda"))


def test_a_study_without_signal_is_refused_or_left_out(studies, start, tmp_path):
    dark = studies[2].with_fields(signal=np.zeros_like(studies[2].signal))
    try:
        found = adapt([*studies[:2], dark, studies[3]], start=start, folder=tmp_path, options=ONCE)
    except UnsuitableInputError:
        return
    assert np.isfinite(found.validation_after)


class TestDraws:
    """What a slice is turned into must be a scan that could have been."""

    @pytest.fixture
    def resolved(self):
        times = 1.3e-3 + 2.1e-3 * np.arange(6)
        basis = design_matrix(times, 1.5, get_spectrum("hamilton_2011"))
        one = (basis @ np.array([0.8, 0.2])) * np.exp((2j * np.pi * 30 - 50) * times)
        signal = np.repeat(np.repeat(one[:, None, None, None], 24, 1), 20, 2).astype(np.complex64)
        return adaptation.ResolvedStudy(signal, times, 1.5, 0.01, study=None)

    def test_they_keep_the_magnitudes_and_the_model(self, resolved):
        """Field and orientation change; water, fat and R2* of every voxel stay."""
        for seed in range(8):
            drawn = adaptation._Draw([resolved])(np.random.default_rng(seed))
            assert drawn.signal.dtype == np.complex64 and len(drawn.echo_times_s) == len(drawn.signal) >= 4
            assert sorted(drawn.signal.shape[1:]) == [20, 24]
            middle = drawn.signal[:, 10:11, 10]
            basis = design_matrix(drawn.echo_times_s, 1.5, get_spectrum("hamilton_2011"))
            fits = [
                gauss_newton(middle, drawn.echo_times_s, basis, np.array([field]), np.array([45.0]), 10)
                for field in np.arange(-240.0, 300.0, 20.0)
            ]
            best = min(fits, key=lambda fit: fit.residual[0])
            assert best.residual[0] < 1e-4
            assert fat_fraction(best.water, best.fat)[0] == pytest.approx(0.2, abs=0.01)
            assert best.r2_star_per_s[0] == pytest.approx(50, abs=1)

    def test_they_vary_in_field_and_echoes_and_follow_the_seed(self, resolved):
        draw = adaptation._Draw([resolved])
        seen = [draw(np.random.default_rng(seed)) for seed in range(20)]
        assert len({len(item.echo_times_s) for item in seen}) >= 2
        assert len({np.angle(item.signal[0, 3, 3]).item() for item in seen}) == 20
        assert draw(np.random.default_rng(0)).signal.tobytes() == seen[0].signal.tobytes()
