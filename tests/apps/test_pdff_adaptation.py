"""What ``pdff`` is trained on, and one real adaptation of tiny networks."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from liver_apps.liver.lib.trainers.job import TrainingRequest
from liver_apps.liver.lib.trainers.pdff_adaptation import adapt_to_site, settle, site_studies
from liver_models.errors import UnsuitableInputError
from liver_models.io.export import write_bids, write_ismrm_mat
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study
from liver_models.mri.adaptation import AdaptOptions


@pytest.fixture
def site(tmp_path, phantom):
    """A studies folder with a simulated, a measured and a magnitude-only case, and a plain image."""
    study = phantom[0]
    magnitude = study.with_fields(signal=np.abs(study.signal).astype(np.complex64), is_magnitude_only=True)
    folder = tmp_path / "studies"
    for case_id, made in (
        ("simulated", study),
        ("measured", study.with_fields(is_simulated=False)),
        ("magnitudes", magnitude.with_fields(is_simulated=False)),
    ):
        write_bids(made, tmp_path / case_id)
        import_source(tmp_path / case_id, folder, case_id=case_id)
    write_ismrm_mat(study.with_fields(is_simulated=False), folder / "plain.mat")
    (folder / "picture.nrrd").write_bytes(b"x")
    return folder


def case(site, name):
    return site / f"{name}.case.json"


def read(*sources, named=False):
    told = []
    return site_studies(sources, named, told.append), told


def test_of_all_cases_the_measured_complex_ones_are_taken(site):
    sources = [case(site, "magnitudes"), case(site, "measured"), site / "picture.nrrd", site / "plain.mat"]
    studies, told = read(*sources, case(site, "simulated"))
    assert [study.case_id for study in studies] == ["measured", "plain"]
    assert [step["epoch"] for step in told] == [0, 1, 2, 3, 4] and told[0]["stage"] == "reading"


def test_simulated_cases_are_taken_where_there_are_no_others_or_they_are_named(site):
    assert [study.case_id for study in read(case(site, "simulated"), case(site, "magnitudes"))[0]] == ["simulated"]
    named, _ = read(case(site, "measured"), case(site, "simulated"), named=True)
    assert [study.case_id for study in named] == ["measured", "simulated"]


def test_a_named_case_that_cannot_be_used_is_refused(site):
    with pytest.raises(UnsuitableInputError, match="complex images; 'magnitudes.case.json' holds magnitudes only"):
        read(case(site, "measured"), case(site, "magnitudes"), named=True)
    with pytest.raises(UnsuitableInputError, match="'picture.nrrd' holds none"):
        read(site / "picture.nrrd", named=True)


def test_without_a_case_that_can_be_used_nothing_is_trained(site):
    with pytest.raises(UnsuitableInputError, match="of 1 stored none can be used. The last: .*'picture.nrrd'.*Import"):
        read(site / "picture.nrrd")
    with pytest.raises(UnsuitableInputError, match="of 0 stored none can be used"):
        read()


def test_settings_are_completed_and_checked_by_the_method():
    assert settle({}) == asdict(AdaptOptions()) and settle({"seed": 3})["seed"] == 3
    for wrong in ({"epochs": 0}, {"device": "tpu"}, {"validation_fraction": 0.9}):
        with pytest.raises(UnsuitableInputError):
            settle(wrong)


def test_slicer_is_shown_the_methods_own_epochs():
    from liver_apps.entry import make_stand_ins_importable

    make_stand_ins_importable()
    from liver_apps.liver.lib.trainers.pdff import CONFIG

    assert CONFIG["epochs"] == AdaptOptions().epochs
    for device in CONFIG["device"]:
        AdaptOptions(device=device)


@pytest.fixture
def start(tmp_path):
    """A file of networks that were not trained."""
    import torch

    from liver_models.mri.ai_deal_networks import ARCHITECTURE, AiDealNetworks
    from liver_models.weights import save_weights

    torch.manual_seed(0)
    networks = AiDealNetworks()
    card = {"architecture": ARCHITECTURE, "config": networks.config(), "version": "7"}
    save_weights(tmp_path / "start.safetensors", networks.tensors(), card)
    return tmp_path / "start.safetensors"


def test_an_adaptation_goes_on_and_gives_weights_that_measure(site, start, tmp_path):
    from liver_models.mri.pdff import estimate

    sources = (case(site, "measured"), site / "plain.mat")
    options = settle({"epochs": 2, "validation_fraction": 0.5, "device": "cpu", "calibration_slices": 0})
    request = TrainingRequest(tmp_path / "checkpoint", sources, False, options, start)
    told = []

    def stopped(step):
        told.append(step)
        if step["epoch"] == 1 and step["stage"] != "reading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt_to_site(request, stopped)
    assert list(request.folder.iterdir())
    n_before = len(told)
    found = adapt_to_site(request, told.append)
    steps = [step for step in told[n_before:] if step["stage"] != "reading"]
    assert steps[0]["metric"] == found.metric_before and steps[-1]["metric"] == found.metric_after
    assert found.is_better == (found.metric_after < found.metric_before)
    assert found.weights.card["started_from"] == "7" and found.facts["n_cases"] == 2
    maps = estimate(read_study(sources[0]), method="ai_deal", network=found.weights)
    assert maps.settings["network"]["version"] == "7" and maps.valid_mask.any()


def test_an_adaptation_whose_time_is_over_keeps_its_checkpoint(site, start, tmp_path):
    sources = (case(site, "measured"), site / "plain.mat")
    options = settle(
        {"epochs": 50, "validation_fraction": 0.5, "device": "cpu", "calibration_slices": 0, "max_minutes": 1e-4}
    )
    with pytest.raises(UnsuitableInputError, match="Start it again to go on"):
        adapt_to_site(TrainingRequest(tmp_path / "checkpoint", sources, False, options, start), lambda told: None)
    assert list((tmp_path / "checkpoint").iterdir())


def test_a_stop_ends_the_reading(site):
    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site_studies((case(site, "measured"),), False, stop)
