"""The experiment from cases to a finished folder: what the tables find, resuming, and what is refused."""

import csv
import errno
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from quick_experiment import CALLS, CODE_SHA256, METHODS, OPTIONS, REFUSAL, estimate, options, small_methods, unpainted  # noqa: F401  (fixtures)

from liver_models.errors import UnsuitableInputError
from liver_models.mri.experiment import plots, run, simulated, units
from liver_models.mri.experiment.options import ExperimentOptions
from liver_models.mri.experiment.run import run_experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole small experiment, and what it returned."""
    out = tmp_path_factory.mktemp("experiment") / "out"
    return out, run_experiment(out, ExperimentOptions(**OPTIONS))


def rows_of(folder: Path, name: str) -> list[dict]:
    with open(folder / "tables" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the running times and the page, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("timings.json", "report.html"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_method_that_reads_one_point_more_has_one_point_more_bias_and_equal_spread(finished):
    rows = finished[1]["tables"]["bias_simulated"]
    by = {(row["region"], row["method"]): row for row in rows}
    for region in ("right_lobe", "left_lobe"):
        shifted, plain = by[region, "shifted"], by[region, "graph_cut"]
        assert shifted["bias_points"] - plain["bias_points"] == pytest.approx(1, abs=1e-3)
        assert shifted["bias_std_points"] == pytest.approx(plain["bias_std_points"], abs=1e-3)
        assert abs(plain["bias_points"]) < 1 and plain["reference"] == "truth" and plain["n_cases"] == 2
        assert plain["bias_low_points"] <= plain["bias_points"] <= plain["bias_high_points"]


def test_vials_without_noise_have_no_bias(finished):
    for row in finished[1]["tables"]["vials_simulated"]:
        if row["noise"] == "none":
            assert row["bias_points"] == pytest.approx(float(row["method"] == "shifted"), abs=0.05)
    assert len({row["vial_percent"] for row in finished[1]["tables"]["vials_simulated"]}) == 7


def test_the_noise_series_covers_and_a_method_without_deviation_has_none_stated(finished):
    rows = {(row["snr"], row["method"]): row for row in finished[1]["tables"]["noise_simulated"]}
    assert 90 < rows[50, "graph_cut"]["coverage_percent"] <= 100
    assert rows[50, "graph_cut"]["stated_std_points"] == pytest.approx(
        rows[50, "graph_cut"]["error_std_points"], rel=0.3
    )
    assert rows[50, "shifted"]["stated_std_points"] is None and rows[None, "graph_cut"]["coverage_percent"] is None


def test_all_slices_together_hold_the_failures_of_each(finished):
    rows = [row for row in finished[1]["tables"]["images_simulated"] if row["method"] == "graph_cut"]
    *single, together = rows
    assert together["case"] == "all 2 cases"
    assert together["n_image_voxels"] == sum(row["n_image_voxels"] for row in single)
    for key in ("large_error_percent", "without_estimate_percent"):
        failures = sum(row[key] * row["n_image_voxels"] for row in single)
        assert together[key] * together["n_image_voxels"] == pytest.approx(failures, abs=0.1)


def test_a_refused_protocol_is_not_applicable_with_the_methods_sentence(finished):
    out, results = finished
    rows = {(row["protocol"], row["method"]): row for row in results["tables"]["protocols_simulated"]}
    refused = rows["3-echoes", "shifted"]
    assert (refused["status"], refused["reason"]) == ("not_applicable", REFUSAL)
    assert abs(rows["3-echoes", "graph_cut"]["bias_points"]) < 1
    page = (out / "report.html").read_text("utf-8")
    assert "not applicable" in page and REFUSAL in page


def test_every_table_is_also_a_file_and_simulated_data_are_called_so_everywhere(finished):
    out, results = finished
    names = {path.stem for path in (out / "tables").iterdir()}
    assert names == set(results["tables"])
    assert {name for name in names if "simulated" not in name} == {"not_applicable"}
    assert all(path.name.startswith("simulated-") for path in (out / "units").iterdir())
    for name in names - {"not_applicable", "sensitivity_simulated"}:
        assert {row["data"] for row in rows_of(out, name)} == {"simulated"}
    assert "SIMULATED DATA · every number" in (out / "report.html").read_text("utf-8")


def test_numbers_in_the_files_are_those_in_the_json(finished):
    out, results = finished
    assert json.loads((out / "results.json").read_text("utf-8")) == json.loads(json.dumps(results))
    for row, known in zip(rows_of(out, "bias_simulated"), results["tables"]["bias_simulated"], strict=True):
        assert float(row["bias_points"]) == known["bias_points"]


def test_a_figure_is_the_same_bytes_every_time_and_says_that_it_is_simulated():
    simulated_data, measured_data = (plots.png_of(Figure(), is_simulated) for is_simulated in (True, False))
    assert simulated_data == plots.png_of(Figure(), True) and simulated_data.startswith(b"\x89PNG")
    assert simulated_data != measured_data


class Checker(HTMLParser):
    """Every tag that is opened is closed, in order; addresses lie in the page."""

    void = {"meta", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_offline_and_shows_each_figure(finished):
    page = (finished[0] / "report.html").read_text("utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    pictures = [address for address in checker.addresses if address.startswith("data:image/png;base64,")]
    assert len(pictures) == 8 and all(a.startswith(("data:image/png", "#s")) for a in checker.addresses)
    assert "http" not in re.sub(r"data:[^\"]+", "", page) and "not a medical device" in page
    assert "liverlabel experiment pdff --out DIR --simulated 2 --methods shifted,graph_cut" in page


@pytest.mark.usefixtures("unpainted")
def test_an_interrupted_experiment_computes_what_is_missing_or_torn_and_ends_with_the_same_bytes(finished, tmp_path):
    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    out, stored = tmp_path / "out", tmp_path / "out" / "units"
    with pytest.raises(KeyboardInterrupt):
        run_experiment(out, ExperimentOptions(**OPTIONS), progress=stop)
    assert len(list(stored.glob("*.json"))) == 4 and not (out / "results.json").exists()
    torn = stored / "simulated-liver-001__graph_cut.npz"
    torn.write_bytes(torn.read_bytes()[:-100])
    CALLS.clear()
    run_experiment(out, ExperimentOptions(**OPTIONS))
    assert len(CALLS) == 5 * len(METHODS) - 4 + 1
    assert contents(out) == contents(finished[0])
    timed = set(json.loads((out / "timings.json").read_text())["seconds"])
    assert timed == {path.stem for path in stored.glob("*.json")}


@pytest.mark.usefixtures("unpainted")
def test_a_refusal_is_asked_again_and_nothing_else(finished):
    CALLS.clear()
    out, _ = finished
    before, page = contents(out), (out / "report.html").read_bytes()
    run_experiment(out, ExperimentOptions(**OPTIONS))
    (out / "report.html").write_bytes(page)
    assert contents(out) == before
    assert CALLS == ["shifted"]


def test_units_of_another_case_or_of_other_code_are_not_reused(finished):
    case, other = (simulated.simulated_cases(ExperimentOptions(**OPTIONS | {"seed": seed}))[0] for seed in (0, 1))
    folder = finished[0] / "units"
    assert units.UnitStore(folder, CODE_SHA256).load(case, "graph_cut") is not None
    assert units.UnitStore(folder, "0" * 64).load(case, "graph_cut") is None
    assert units.UnitStore(folder, CODE_SHA256).load(other, "graph_cut") is None


def test_other_code_and_other_weights_have_other_digests(tmp_path):
    files = [tmp_path / "mri" / "fit.py", tmp_path / "pretrained" / "a.safetensors"]
    for file in files:
        file.parent.mkdir()
        file.write_text("1")
    digests = [units.code_digest(tmp_path)]
    for file in files:
        file.write_text("2")
        digests.append(units.code_digest(tmp_path))
    assert len(set(digests)) == 3 and units.code_digest(tmp_path) == digests[-1]


@pytest.mark.usefixtures("unpainted")
def test_with_graph_cut_as_reference_it_is_not_compared_with_itself(tmp_path):
    results = run_experiment(tmp_path / "out", options(methods=("shifted",), reference="graph_cut"))
    rows = results["tables"]["bias_simulated"]
    assert {(row["method"], row["reference"]) for row in rows} == {("shifted", "graph_cut")}
    for row in rows:
        assert row["bias_points"] == pytest.approx(1, abs=1e-4) and row["bias_std_points"] == pytest.approx(0, abs=1e-4)


@pytest.mark.usefixtures("unpainted")
def test_swap_probability_and_fallbacks_are_shown_where_a_method_gives_them(tmp_path, monkeypatch):
    def with_swaps(study, *, method):
        maps = estimate(study, method=method)
        quarter = np.full_like(maps.pdff_percent, 0.25)
        return replace(maps, swap_probability=quarter, settings={"fallback_fraction": 0.125})

    monkeypatch.setattr(units, "estimate", with_swaps)
    results = run_experiment(tmp_path / "out", options(methods=("graph_cut",), has_critical_regions=True))
    rows = results["tables"]["critical_regions_simulated"]
    assert [row["place"] for row in rows] == ["Liver dome", "Lower abdomen"]
    assert [row["mean_swap_probability"] for row in rows] == [0.25, 0.25]
    assert {row["fallback_percent"] for row in results["tables"]["images_simulated"]} == {12.5}
    assert "probability that water and fat are swapped" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UnsuitableInputError, match="a folder of its own; .* also holds mine.txt"):
        run_experiment(tmp_path, options())
    with pytest.raises(UnsuitableInputError, match="needs to be a folder; .* is a file"):
        run_experiment(tmp_path / "mine.txt", options())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_full_disk_keeps_the_former_result(finished, monkeypatch):
    out, _ = finished
    before = contents(out)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "_finished", lambda *_: ({}, {"report.html": b"new", "results.json": b"{}"}))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnsuitableInputError, match="folder with free space"):
        run_experiment(out, ExperimentOptions(**OPTIONS))
    assert contents(out) == before
