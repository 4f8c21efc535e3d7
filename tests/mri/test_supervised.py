"""The compared methods: labels of the graph cut, training that resumes, and what each network accepts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.study import MultiEchoStudy
from liver_models.learning.device import choose_device
from liver_models.mri.fat_spectra import get_spectrum
from liver_models.mri.least_squares import fat_fraction, solve_water_fat
from liver_models.mri.pdff import estimate
from liver_models.mri.signal_model import design_matrix
from liver_models.mri.supervised import TITLES, check_protocol, estimate_supervised, load_network
from liver_models.mri.supervised_labels import label_slice, label_slices, make_batch
from liver_models.mri.supervised_networks import MAP_SCALES, make_network
from liver_models.mri.supervised_training import PLANS, TrainingPlan, config_of, train
from liver_models.mri.training_slices import SliceBank
from liver_models.weights import Weights, save_weights

SPECTRUM = get_spectrum("hamilton_2011")
SIX = 1.3e-3 + 2.1e-3 * np.arange(6)
TINY = TrainingPlan(
    widths=(4, 6, 8), n_bank=1, n_labelled=1, n_validation=1, n_steps=6, batch_size=2, learning_rate=5e-3, crop=24
)


@pytest.fixture(scope="module")
def bank():
    return SliceBank.simulate(2, seed=1, size=32)


@pytest.fixture(scope="module")
def labelled(bank):
    return label_slices(bank, 2, seed=3)


@pytest.fixture(scope="module", params=TITLES)
def untrained(request):
    """Weights of a tiny network of each method."""
    return weights_of(request.param)


def weights_of(method, **fields):
    config = dataclasses.replace(config_of(method, TINY), **fields)
    state = make_network(method, config).state_dict()
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    return Weights(tensors, {"architecture": method, "config": config.to_card()})


def study_of(signal=None, times=SIX, field_strength_t=1.5, **fields):
    if signal is None:
        parts = np.random.default_rng(0).standard_normal((2, times.size, 20, 18, 2))
        signal = parts[0] + 1j * parts[1]
    return MultiEchoStudy.from_echoes(
        signal,
        times,
        field_strength_t=field_strength_t,
        affine=np.eye(4),
        precession=fields.pop("precession", 1),
        **fields,
    )


def pdff_label(item):
    return 100 * fat_fraction(item.water, item.fat)


def test_labels_are_the_graph_cut_s_and_not_the_truth(bank):
    drawn = bank.draw(np.random.default_rng(4), "six_echoes")
    lies = {name: np.zeros_like(getattr(drawn, name)) for name in ("water", "fat", "field_map_hz", "r2_star_per_s")}
    found, blind = label_slice(drawn), label_slice(dataclasses.replace(drawn, **lies))
    assert np.array_equal(found.fat, blind.fat) and np.array_equal(found.r2_star_per_s, blind.r2_star_per_s)
    reference = estimate(study_of(drawn.signal[..., None]), method="graph_cut").pdff_percent[..., 0]
    assert found.valid_mask.mean() > 0.2
    difference = (pdff_label(found) - reference)[found.valid_mask]
    assert np.abs(difference).max() < 0.1


@pytest.mark.parametrize("draws_echo_times", [False, True])
@pytest.mark.parametrize("is_phase_relative", [False, True])
def test_labels_follow_their_slice_through_cut_turn_and_flip(labelled, draws_echo_times, is_phase_relative):
    """Physics says so: with the label's field and R2*, least squares of the shown signal gives the label's water."""
    options = {"draws_echo_times": draws_echo_times, "is_phase_relative": is_phase_relative, "crop": 24}
    for seed in range(4):
        batch = make_batch(labelled, 2, np.random.default_rng(seed), MAP_SCALES, **options)
        for echoes, times, labels, valid in zip(
            batch.echoes, batch.echo_times_s, batch.labels, batch.valid[:, 0], strict=True
        ):
            water, fat, rate, field = (
                values[valid] * scale for values, scale in zip(labels, MAP_SCALES.values(), strict=True)
            )
            basis = design_matrix(times, 1.5, SPECTRUM)
            found = solve_water_fat((echoes[:, 0] + 1j * echoes[:, 1])[:, valid], times, basis, field, rate)
            assert np.median(np.abs(np.abs(found[0]) - water)) < 0.1 * np.median(water)
            assert np.median(np.abs(np.abs(found[1]) - fat)) < 0.1 * np.median(water)
            assert not is_phase_relative or np.abs(echoes[0, 1]).max() < 1e-6


def test_vet_net_is_shown_new_echo_times_at_every_draw(labelled):
    options = {"is_phase_relative": True, "draws_echo_times": True}
    times = make_batch(labelled, 5, np.random.default_rng(0), {"field_map_hz": 300.0}, **options).echo_times_s
    assert len(np.unique(times[:, 0])) == 5 and times.shape == (5, 6)
    assert (times[:, 0] > 0.9e-3).all() and (np.diff(times) > 1.2e-3).all()


@pytest.mark.parametrize("method", ["u_net", pytest.param("mdwf_net", marks=pytest.mark.slow)])
def test_a_network_trained_on_one_slice_gives_back_its_label(method, labelled):
    plan = dataclasses.replace(TINY, widths=(16, 24, 32), n_steps=180, batch_size=1, crop=None)
    result = train(method, plan, labelled[:1], labelled[:1])
    item = labelled[0]
    maps = estimate_supervised(study_of(item.signal[..., None]), method, result.weights)
    error = (maps.pdff_percent[..., 0] - pdff_label(item))[item.valid_mask]
    assert np.median(np.abs(error)) < 4
    water_error = (maps.water[..., 0] - np.abs(item.water))[item.valid_mask]
    assert np.median(np.abs(water_error)) < 0.15 * np.median(np.abs(item.water[item.valid_mask]))


@pytest.mark.parametrize("method", TITLES)
def test_the_loss_falls(method, labelled):
    losses = []
    plan = dataclasses.replace(TINY, n_steps=60)
    train(method, plan, labelled, labelled[:1], progress=lambda step, total, loss: losses.append(loss))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


@pytest.mark.parametrize("method", TITLES)
def test_a_stopped_training_goes_on_to_the_same_bytes(method, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("liver_models.mri.supervised_training.CURVE_POINTS", 2)

    def stop_between_points(step, n_steps, loss):
        if step == 4:
            raise KeyboardInterrupt

    whole = train(method, TINY, labelled, labelled[:1], seed=7)
    checkpoint = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(method, TINY, labelled, labelled[:1], seed=7, checkpoint=checkpoint, progress=stop_between_points)
    resumed = train(method, TINY, labelled, labelled[:1], seed=7, checkpoint=checkpoint)
    digests = {
        save_weights(tmp_path / f"{k}.safetensors", result.weights.tensors, result.weights.card)
        for k, result in enumerate((whole, resumed))
    }
    assert len(digests) == 1
    other = train(method, TINY, labelled, labelled[:1], seed=8)
    assert save_weights(tmp_path / "other.safetensors", other.weights.tensors, other.weights.card) not in digests


def test_every_step_sees_other_slices(labelled):
    losses = []
    plan = dataclasses.replace(TINY, learning_rate=0.0)
    train("u_net", plan, labelled, labelled[:1], progress=lambda step, total, loss: losses.append(loss))
    assert len(set(losses)) == TINY.n_steps


def test_a_training_out_of_time_says_so_and_goes_on_later(labelled, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    first = train("u_net", TINY, labelled, labelled[:1], checkpoint=checkpoint, max_minutes=0)
    assert (first.is_complete, first.n_steps_done) == (False, 1)
    second = train("u_net", TINY, labelled, labelled[:1], checkpoint=checkpoint)
    assert (second.is_complete, second.n_steps_done) == (True, 6)
    assert [point["step"] for point in second.weights.card["curve"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "named"), [({"seed": 1}, "seed"), ({"plan": 7}, "plan"), ({"data": 1}, "training_sha256")]
)
def test_a_checkpoint_of_another_training_is_refused(change, named, labelled, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    train("u_net", TINY, labelled, labelled[:1], checkpoint=checkpoint, max_minutes=0)
    plan = dataclasses.replace(TINY, n_steps=change.get("plan", TINY.n_steps))
    data = labelled[change.get("data", 0) :]
    with pytest.raises(UnsuitableInputError, match=f"found another {named}.* or remove the checkpoint"):
        train("u_net", plan, data, labelled[:1], seed=change.get("seed", 0), checkpoint=checkpoint)


def test_the_small_networks_fit_in_eight_megabytes():
    plans = PLANS["small"]
    networks = [make_network(method, config_of(method, plans[method])) for method in TITLES]
    assert sum(4 * p.numel() for network in networks for p in network.parameters()) < 8e6


@pytest.mark.parametrize("method", ["u_net", "mdwf_net"])
@pytest.mark.parametrize(
    ("times", "field_strength_t", "found"),
    [
        (SIX + 1e-4, 1.5, "1.5 T with 1.4, 3.5"),
        (SIX[:5], 1.5, "1.5 T with 1.3, 3.4, 5.5, 7.6, 9.7 ms"),
        (SIX, 3.0, "3 T with 1.3"),
    ],
)
def test_networks_of_one_protocol_refuse_another(method, times, field_strength_t, found):
    expected = (
        rf"{TITLES[method]} needs the protocol it was trained on, 1.5 T with echoes at 1.3, .*; this study has {found}"
    )
    with pytest.raises(UnsuitableInputError, match=expected):
        estimate_supervised(study_of(times=times, field_strength_t=field_strength_t), method, weights_of(method))


@pytest.mark.parametrize("method", ["u_net", "mdwf_net"])
def test_networks_of_one_protocol_take_it_as_scanners_round_it(method):
    times = np.round(SIX + 2e-5, 5)
    assert estimate_supervised(study_of(times=times, field_strength_t=1.494), method, weights_of(method)).warnings == ()


@pytest.mark.parametrize("method", TITLES)
def test_magnitudes_are_refused(method):
    study = study_of(np.ones((6, 16, 16, 1)), is_magnitude_only=True)
    with pytest.raises(UnsuitableInputError, match=f"{TITLES[method]} needs complex images.*Export phase"):
        estimate_supervised(study, method, weights_of(method))


def test_vet_net_refuses_another_number_of_echoes():
    with pytest.raises(
        UnsuitableInputError, match="VET-Net needs 6 echoes, .*; this study has 4. Take the method graph_cut"
    ):
        estimate_supervised(study_of(times=SIX[:4]), "vet_net", weights_of("vet_net"))


def test_vet_net_takes_other_echo_times_and_warns_of_unseen_ones():
    weights = weights_of("vet_net")
    assert estimate_supervised(study_of(times=1.1 * SIX), "vet_net", weights).warnings == ()
    (warning,) = estimate_supervised(study_of(times=SIX + 2e-3), "vet_net", weights).warnings
    assert "trained with a first echo of 1 to 2.4 ms at 1.5 T; this study has 3.3 ms" in warning
    (warning,) = estimate_supervised(study_of(times=SIX - 4e-4, field_strength_t=3.0), "vet_net", weights).warnings
    assert "echo spacings of 0.8 to 1.3 ms at 3 T" in warning


def test_vet_net_at_twice_the_field_and_half_the_echo_times_finds_twice_field_and_r2_star():
    weights, study = weights_of("vet_net"), study_of()
    low = estimate_supervised(study, "vet_net", weights)
    high = estimate_supervised(study.with_fields(echo_times_s=SIX / 2, field_strength_t=3.0), "vet_net", weights)
    assert np.allclose(high.field_map_hz, 2 * low.field_map_hz, rtol=1e-4)
    assert np.allclose(high.r2_star_per_s, 2 * low.r2_star_per_s, rtol=1e-4)
    assert np.allclose(high.water, low.water, rtol=1e-2, atol=1e-3)


def test_maps_scale_with_the_signal_and_pdff_does_not(untrained):
    method, study = untrained.card["architecture"], study_of()
    one = estimate_supervised(study, method, untrained)
    many = estimate_supervised(study.with_fields(signal=1000 * study.signal), method, untrained)
    assert np.allclose(many.water, 1000 * one.water, rtol=1e-3)
    assert np.allclose(many.pdff_percent, one.pdff_percent, rtol=1e-3, atol=0.1)
    assert one.water.shape == study.signal.shape[1:] and one.water.dtype == np.float32


def test_pdff_of_magnitudes_is_their_share():
    maps = estimate_supervised(study_of(), "mdwf_net", weights_of("mdwf_net"))
    assert np.allclose(maps.pdff_percent, 100 * maps.fat / (maps.water + maps.fat), rtol=1e-5)
    assert np.isfinite(maps.r2_star_per_s).all() and np.isfinite(maps.field_map_hz).all()


def test_maps_that_a_network_does_not_estimate_are_nan():
    maps = estimate_supervised(study_of(), "u_net", weights_of("u_net"))
    assert np.isnan(maps.r2_star_per_s).all() and np.isnan(maps.field_map_hz).all()
    assert np.isfinite(maps.pdff_percent).all()


def test_a_slice_without_signal_has_no_pdff(untrained):
    signal = study_of().signal.copy()
    signal[..., 1] = 0
    maps = estimate_supervised(study_of(signal), untrained.card["architecture"], untrained)
    assert np.isnan(maps.pdff_percent[..., 1]).all() and not maps.water[..., 1].any()
    assert np.isfinite(maps.pdff_percent[..., 0]).all()


def test_the_other_sign_of_precession_gives_the_same_maps(untrained):
    method, study = untrained.card["architecture"], study_of()
    conjugate = study.with_fields(signal=np.conj(study.signal), precession=-1)
    expected, found = (estimate_supervised(s, method, untrained).water for s in (study, conjugate))
    assert np.array_equal(expected, found)


def test_progress_counts_slices_and_may_stop(untrained):
    def stop(done, total):
        raise InterruptedError(f"{done} of {total}")

    with pytest.raises(InterruptedError, match="1 of 2"):
        estimate_supervised(study_of(), untrained.card["architecture"], untrained, progress=stop)


def test_weights_of_something_else_are_refused():
    with pytest.raises(UnsuitableInputError, match="The method u_net needs its own weights; these are of 'vet_net'"):
        estimate_supervised(study_of(), "u_net", weights_of("vet_net"))
    with pytest.raises(UnsuitableInputError, match="weights of u_net, mdwf_net, vet_net; these are of another network"):
        check_protocol(study_of(), "u_net", {"n_layers": 3})


def test_weights_of_another_shape_are_refused():
    wide = weights_of("u_net", widths=(5, 6, 8))
    card = wide.card | {"config": weights_of("u_net").card["config"]}
    with pytest.raises(UnsuitableInputError, match="of shape .*; found"):
        load_network(Weights(wide.tensors, card))


def test_an_unknown_device_is_refused():
    with pytest.raises(UnsuitableInputError, match="one of auto, cpu, cuda; found 'tpu'"):
        choose_device("tpu")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UnsuitableInputError, match="cuda needs an NVIDIA GPU; none was found"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"
