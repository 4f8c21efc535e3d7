"""Every method through the one door: it answers or says why not, and leaves open what it does not know."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.mri import supervised
from liver_models.mri.ai_deal_networks import ARCHITECTURE, AiDealNetworks, NetworkSizes
from liver_models.mri.maps import VOLUME_FIELDS, PdffMaps, blank_maps
from liver_models.mri.pdff import estimate
from liver_models.mri.pdff_options import METHODS, PdffOptions
from liver_models.mri.phantom import make_phantom
from liver_models.mri.supervised_networks import make_network
from liver_models.mri.supervised_training import TrainingPlan, config_of
from liver_models.weights import Weights

COMPARED = tuple(supervised.TITLES)
UNKNOWN = {
    "ai_deal": (),
    "ai_deal_one_shot": (),
    "graph_cut": ("swap_probability",),
    "u_net": ("r2_star_per_s", "field_map_hz"),
    "mdwf_net": (),
    "vet_net": (),
}
STATED = ("pdff_std_percent", "r2_star_std_per_s", "field_map_std_hz", "swap_probability")
PLAN = TrainingPlan(
    widths=(4, 6, 8), n_bank=1, n_labelled=1, n_validation=1, n_steps=1, batch_size=1, learning_rate=1e-3, crop=24
)


def weights_of(method):
    """Of a tiny untrained network; None for a method without one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if method in COMPARED:
            config = config_of(method, PLAN)
            state = make_network(method, config).state_dict()
            return Weights(
                {name: t.numpy() for name, t in state.items()}, {"architecture": method, "config": config.to_card()}
            )
        if method == "graph_cut":
            return None
        networks = AiDealNetworks(NetworkSizes((4, 4, 4, 4), (4, 4, 4, 4)))
        swap = {"intercept": -4.0, "margin": -0.5, "jump": 1.0, "decay": 0.1}
        card = {"architecture": ARCHITECTURE, "config": networks.config(), "calibration": {"swap": swap}}
        return Weights(networks.tensors(), card)


@pytest.fixture(scope="module")
def study():
    return make_phantom("liver", snr=50, seed=3, size=48, n_slices=2)[0]


@pytest.fixture(scope="module", params=METHODS)
def answered(request, study):
    """Name, maps and what progress was told."""
    told = []
    maps = estimate(
        study,
        method=request.param,
        network=weights_of(request.param),
        progress=lambda done, total: told.append((done, total)),
    )
    return request.param, maps, told


def test_maps_have_the_image_s_shape_and_say_how_they_came_about(answered, study):
    method, maps, _ = answered
    assert isinstance(maps, PdffMaps) and maps.method == method and maps.spectrum == "hamilton_2011"
    for name in VOLUME_FIELDS:
        values = getattr(maps, name)
        assert values.shape == study.signal.shape[1:]
        assert values.dtype == (bool if name == "valid_mask" else np.float32)
    assert maps.valid_mask.any(axis=(0, 1)).all()
    json.dumps(maps.settings, allow_nan=False)


def test_voxels_that_were_not_estimated_are_nan_in_every_map(answered):
    _, maps, _ = answered
    for name in VOLUME_FIELDS[:-1]:
        assert np.isnan(getattr(maps, name)[~maps.valid_mask]).all(), name


def test_voxels_that_were_estimated_have_pdff_water_and_fat(answered):
    _, maps, _ = answered
    for name in ("pdff_percent", "water", "fat"):
        assert np.isfinite(getattr(maps, name)[maps.valid_mask]).all(), name


def test_what_a_method_does_not_know_is_nan_everywhere_and_never_0(answered):
    method, maps, _ = answered
    unknown = set(UNKNOWN[method]) | (set(STATED) if method in COMPARED else set())
    for name in VOLUME_FIELDS[:-1]:
        values = getattr(maps, name)
        if name in unknown:
            assert np.isnan(values).all(), name
        else:
            assert np.isfinite(values[maps.valid_mask]).all(), name


def test_a_method_without_uncertainty_says_so(answered):
    method, maps, _ = answered
    assert any("states no uncertainty" in warning for warning in maps.warnings) == (method in COMPARED)


def test_progress_begins_at_0_counts_by_one_and_ends_at_its_total(answered):
    _, _, told = answered
    total = told[0][1]
    assert told == [(done, total) for done in range(total + 1)]


@pytest.mark.parametrize("method", ["ai_deal", "ai_deal_one_shot"])
def test_forty_slices_are_counted_one_by_one(method):
    """Most of them empty, for speed; an empty slice counts like any other."""
    study, _ = make_phantom("vials", snr=50, size=32)
    signal = np.zeros((*study.signal.shape[:3], 40), np.complex64)
    signal[..., 17:18] = study.signal
    told = []
    maps = estimate(
        study.with_fields(signal=signal, unusable_mask=np.zeros(signal.shape[1:], bool)),
        method=method,
        network=weights_of(method),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 41) for done in range(42)]
    assert np.flatnonzero(maps.valid_mask.any(axis=(0, 1))).tolist() == [17]


def test_slices_that_are_solved_side_by_side_come_back_in_order(study):
    """Turned upside down, the study gives the maps upside down."""
    network = weights_of("ai_deal")
    maps = estimate(study, network=network)
    turned = estimate(study.with_fields(signal=study.signal[..., ::-1]), network=network)
    both = maps.valid_mask & turned.valid_mask[..., ::-1]
    assert both.sum() > 0.98 * maps.valid_mask.sum()
    assert np.quantile(np.abs(maps.pdff_percent - turned.pdff_percent[..., ::-1])[both], 0.95) < 0.5


def test_a_progress_that_raises_ends_the_work_and_leaves_torch_its_threads(study):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 1:
            raise Stop

    before = torch.get_num_threads()
    with pytest.raises(Stop):
        estimate(study, network=weights_of("ai_deal"), progress=stop)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("method", ["ai_deal_one_shot", *COMPARED])
def test_methods_without_a_fit_refuse_the_hybrid_one_and_name_one_that_has_it(method, study):
    with pytest.raises(UnsuitableInputError, match="needs the fit complex; found 'hybrid'. Take .*ai_deal"):
        estimate(study, method=method, network=weights_of(method), options=PdffOptions(fit="hybrid"))


def test_the_hybrid_fit_starts_from_the_networks_answer_as_well(study):
    network = weights_of("ai_deal")
    hybrid, plain = (estimate(study, network=network, options=PdffOptions(fit=f)) for f in ("hybrid", "complex"))
    low = plain.valid_mask & hybrid.valid_mask & (plain.pdff_percent < 30)
    assert np.array_equal(hybrid.field_map_hz[low], plain.field_map_hz[low])
    assert not np.array_equal(hybrid.pdff_percent[low], plain.pdff_percent[low])
    assert hybrid.settings["fit"] == "hybrid"


@pytest.mark.parametrize("method", [m for m in METHODS if m != "graph_cut"])
def test_weights_of_another_method_are_refused(method, study):
    other = weights_of("vet_net" if method != "vet_net" else "u_net")
    with pytest.raises(UnsuitableInputError, match="needs"):
        estimate(study, method=method, network=other)


@pytest.mark.parametrize("method", ["u_net", "mdwf_net"])
def test_networks_of_one_protocol_refuse_another_before_any_work(method):
    study, _ = make_phantom("vials", snr=50, size=48, field_strength_t=3.0)
    told = []
    with pytest.raises(UnsuitableInputError, match="needs the protocol it was trained on"):
        estimate(study, method=method, network=weights_of(method), progress=lambda *step: told.append(step))
    assert not told


@pytest.fixture(scope="module")
def magnitudes():
    study, truth = make_phantom("vials", snr=100, size=96)
    flat = np.abs(study.signal).astype(np.complex64)
    return study.with_fields(signal=flat, is_magnitude_only=True, precession=None), truth


class TestMagnitudes:
    def test_their_deviation_covers_their_error(self, magnitudes):
        study, truth = magnitudes
        maps = estimate(study)
        roi = truth.rois["vial_10_percent"] | truth.rois["vial_20_percent"]
        z = (maps.pdff_percent - truth.pdff_percent)[roi] / maps.pdff_std_percent[roi]
        assert 0.8 < z.std() < 1.3

    @pytest.mark.parametrize(
        "n_echoes",
        [
            pytest.param(
                4, marks=pytest.mark.xfail(reason="One degree of freedom: edges raise the noise.", strict=True)
            ),
            6,
        ],
    )
    def test_a_liver_s_errors_scatter_as_stated_for_any_number_of_them(self, n_echoes):
        study, truth = make_phantom("liver", snr=100, size=96, echo_times_s=1.3e-3 + 2.1e-3 * np.arange(n_echoes))
        flat = np.abs(study.signal).astype(np.complex64)
        maps = estimate(study.with_fields(signal=flat, is_magnitude_only=True, precession=None))
        z = ((maps.pdff_percent - truth.pdff_percent) / maps.pdff_std_percent)[truth.liver_mask]
        assert np.nanstd(z) == pytest.approx(1, abs=0.2)

    def test_three_of_them_do_not_state_that_nothing_is_uncertain(self, magnitudes):
        study, _ = magnitudes
        three = study.with_fields(signal=study.signal[:3], echo_times_s=study.echo_times_s[:3])
        maps = estimate(three)
        assert not (maps.pdff_std_percent[maps.valid_mask] < 0.01).any()

    def test_no_field_and_no_swap_probability_come_from_them(self, magnitudes):
        maps = estimate(magnitudes[0])
        for name in ("field_map_hz", "field_map_std_hz", "swap_probability"):
            assert np.isnan(getattr(maps, name)).all()

    @pytest.mark.parametrize("method", COMPARED)
    def test_a_compared_network_does_not_lend_them_its_name(self, magnitudes, method):
        with pytest.raises(UnsuitableInputError, match="needs complex images"):
            estimate(magnitudes[0], method=method, network=weights_of(method))


def test_blank_maps_hold_no_voxel():
    maps = blank_maps((3, 4, 5))
    assert set(maps) == set(VOLUME_FIELDS) and not maps.pop("valid_mask").any()
    assert all(np.isnan(values).all() and values.dtype == np.float32 for values in maps.values())
