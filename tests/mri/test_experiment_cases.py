"""Cases that are given to the experiment: how they are found, named and compared, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from quick_experiment import REFUSAL, options, remembered_phantom, small_methods, unpainted  # noqa: F401  (fixtures)

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.io.export import write_bids
from liver_models.io.volumes import write_volume
from liver_models.mri.experiment.cases import find_given_cases
from liver_models.mri.experiment.run import run_experiment

pytestmark = pytest.mark.usefixtures("unpainted")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A folder of two studies as a scanner would have written them, one with regions, and a text file."""
    folder = tmp_path_factory.mktemp("cases")
    for seed in (7, 8):
        study, truth = remembered_phantom("liver", snr=60, size=48, seed=seed, n_slices=5 if seed == 7 else 1)
        write_bids(study.with_fields(is_simulated=False, case_id=f"patient-{seed}"), folder / f"patient-{seed}")
        if seed == 7:
            labels = truth.rois["right_lobe"] + 2 * truth.rois["left_lobe"] + 3 * truth.rois["spleen"]
            write_volume(folder / "patient-7" / "drawn_rois.nii.gz", labels.astype(np.uint8), study.affine)
            names = {"Right lobe": 1, "LHL": 2, "vial_5_percent": 3}
            (folder / "patient-7" / "drawn_rois.json").write_text(json.dumps(names))
    return folder


def test_given_cases_are_found_with_their_regions_and_called_measured(measured, tmp_path):
    results = run_experiment(tmp_path / "out", options(n_simulated=0), [measured])
    assert [(case["name"], case["data"]) for case in results["cases"]] == [
        ("patient-7", "measured"),
        ("patient-8", "measured"),
    ]
    rows = {row["region"]: row for row in results["tables"]["bias_measured"]}
    assert set(rows) == {"right_lobe", "left_lobe"}
    assert rows["left_lobe"]["bias_points"] == pytest.approx(1, abs=1e-4) and rows["left_lobe"]["n_cases"] == 1
    assert rows["left_lobe"]["bias_low_points"] is None
    vial = next(row for row in results["tables"]["vials_measured_given"] if row["method"] == "graph_cut")
    assert (vial["compared_with"], vial["known_percent"]) == ("nominal value", 5)
    assert [row["case"] for row in results["tables"]["images_measured"]] == ["patient-7", "patient-8", "all 2 cases"]
    assert [row["place"] for row in results["tables"]["ends_measured"]] == 2 * ["Highest slice", "Lowest slice"]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert '<div class="banner' not in page and "SIMULATED" not in page


def test_measured_and_simulated_cases_are_never_pooled(measured, tmp_path):
    results = run_experiment(tmp_path / "out", options(), [measured / "patient-7"])
    tables = results["tables"]
    assert {row["n_cases"] for row in tables["bias_measured"]} == {1}
    assert {row["n_cases"] for row in tables["bias_simulated"]} == {2}
    assert "PARTLY SIMULATED DATA" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_given_case_that_is_simulated_is_named_so(tmp_path):
    study, _ = remembered_phantom("liver", snr=60, size=48, seed=8, n_slices=1)
    write_bids(study, tmp_path / "anybody")
    (case,) = find_given_cases([tmp_path / "anybody"]).cases
    assert (case.name, case.data) == ("simulated-anybody", "simulated")


def test_a_label_volume_that_does_not_fit_is_refused(measured, tmp_path):
    study, truth = remembered_phantom("liver", snr=60, size=48, seed=8, n_slices=1)
    write_bids(study, tmp_path / "case")
    write_volume(tmp_path / "case" / "right_lobe.nii.gz", truth.liver_mask[:-1], study.affine)
    with pytest.raises(UnsuitableInputError, match="needs the matrix of the images"):
        run_experiment(tmp_path / "out", options(), [tmp_path / "case"])
    assert not (tmp_path / "out").exists()


def test_two_cases_of_one_patient_give_no_interval_over_patients(tmp_path):
    study, truth = remembered_phantom("liver", snr=60, size=48, seed=8, n_slices=1)
    for name in ("first", "second"):
        write_bids(study.with_fields(is_simulated=False, case_id="one"), tmp_path / "cases" / name)
        write_volume(tmp_path / "cases" / name / "right_lobe.nii.gz", truth.rois["right_lobe"], study.affine)
    results = run_experiment(tmp_path / "out", options(n_simulated=0), [tmp_path / "cases"])
    (row,) = results["tables"]["bias_measured"]
    assert (row["n_cases"], row["n_patients"], row["bias_low_points"]) == (2, 1, None)


@pytest.mark.parametrize(
    ("changes", "given", "sentence"),
    [
        ({"methods": ("magic",)}, [], "methods among shifted, graph_cut; found 'magic'"),
        ({"methods": ()}, [], "each method once, and at least one; found none"),
        ({"methods": ("graph_cut", "graph_cut")}, [], "each method once"),
        ({"reference": "oracle"}, [], "one of graph_cut, truth; found 'oracle'"),
        ({"reference": "truth"}, ["measured"], "'truth' needs simulated livers; 'patient-7' was given"),
        ({"n_simulated": 0}, [], "needs cases; there are none"),
        ({"n_simulated": -1}, [], "0 or above; found -1"),
        ({"size": 8}, [], "32 to 512 voxels across; found 8"),
        ({}, ["nowhere"], "existing folder or file"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(changes, given, sentence, measured, tmp_path):
    paths = [measured if name == "measured" else tmp_path / name for name in given]
    with pytest.raises(UnsuitableInputError, match=sentence):
        run_experiment(tmp_path / "out", options(**changes), paths)
    assert not (tmp_path / "out").exists()


def test_methods_that_refuse_everything_end_with_their_sentence(tmp_path):
    study, _ = remembered_phantom("liver", snr=60, size=48, seed=8, n_slices=1)
    write_bids(study.with_fields(signal=study.signal[:3], echo_times_s=study.echo_times_s[:3]), tmp_path / "short")
    with pytest.raises(UnsuitableInputError, match=f"all refused all. The first said: {REFUSAL}"):
        run_experiment(tmp_path / "out", options(methods=("shifted",), n_simulated=0), [tmp_path / "short"])
    assert not (tmp_path / "out" / "results.json").exists()


def test_the_command_prints_biases_and_refusals(measured, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["experiment", "pdff", "--out", str(out), "--cases", str(measured), "--methods", "shifted"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"measured +right_lobe +shifted +1 +1\.00 ± –", shown) and "report.html" in shown
    assert "SIMULATED" not in shown
    assert main(["experiment", "pdff", "--out", str(out), "--methods", "magic"]) == 2
    assert "found 'magic'. Correct --methods." in capsys.readouterr().err
