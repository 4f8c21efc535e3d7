"""``liverlabel experiment nash``: the paper's tables and figures for a cohort, resumable and offline."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from tiny_subjects import tiny_cohort

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.experiment import run as experiment
from liver_models.ultrasound.experiment.options import NashExperimentOptions
from liver_models.ultrasound.experiment.run import run_experiment

QUICK = NashExperimentOptions(models=("combined", "clinical", "swe_value"), n_folds=2, epochs=1, n_resamples=50)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("experiment") / "out"
    return run_experiment(out, tiny_cohort(), replace(QUICK, with_paper_mode=True)), out


def test_every_table_and_figure_is_there_and_says_simulated(finished):
    document, out = finished
    names = set(document["tables"])
    for stem in (
        "table1_characteristics",
        "table2_odds_ratios",
        "table3_folds",
        "table4_performance",
        "auc_differences",
        "answers",
        "figure3_explanation",
        "figure4_roc",
        "figure5_decision_curve",
        "figure6_calibration",
    ):
        assert f"{stem}_simulated" in names and (out / "tables" / f"{stem}_simulated.csv").is_file()
    page = (out / "report.html").read_text("utf-8")
    assert "SIMULATED DATA" in page and "not a medical device" in page.lower()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert json.loads((out / "results.json").read_text("utf-8")) == document


def test_both_modes_stand_side_by_side_with_the_papers_own_figures(finished):
    rows = finished[0]["tables"]["table3_folds_simulated"]
    means = [row for row in rows if row["fold"] == "mean ± SD"]
    assert {row["mode"] for row in means} == {"default", "paper"} and len(means) == 6
    assert {row["paper_auc"] for row in means} == {"0.879 ± 0.032", "0.727 ± 0.059", "0.515 ± 0.217"}


def test_every_subject_is_answered_once_and_by_a_model_that_did_not_see_it(finished):
    document, out = finished
    answers = [
        row for row in document["tables"]["answers_simulated"] if (row["mode"], row["model"]) == ("default", "combined")
    ]
    assert sorted(row["case"] for row in answers) == sorted(subject.case_id for subject in tiny_cohort())
    for path in (out / "units").glob("*.json"):
        unit = json.loads(path.read_text("utf-8"))
        assert not set(unit["value"]["case_ids"]) & set(unit["value"]["train_ids"])


def test_clear_values_are_told_apart(finished):
    rows = finished[0]["tables"]["table4_performance_simulated"]
    swe = next(row for row in rows if row["model"] == "SWE value" and row["mode"] == "default")
    assert swe["auc"] == 1.0 and swe["accuracy"] == 1.0


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(finished, tmp_path, monkeypatch):
    options = replace(QUICK, models=("clinical", "swe_value"))

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(tmp_path / "resumed", tiny_cohort(), options, stop)
    computed, compute = [], experiment.compute_unit
    monkeypatch.setattr(
        experiment, "compute_unit", lambda place, *rest: computed.append(place) or compute(place, *rest)
    )
    run_experiment(tmp_path / "resumed", tiny_cohort(), options)
    assert len(computed) == 2
    run_experiment(tmp_path / "whole", tiny_cohort(), options)
    for name in ("report.html", "results.json"):
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_units_of_another_cohort_are_computed_again(tmp_path):
    options = replace(QUICK, models=("swe_value",))
    first = run_experiment(tmp_path, tiny_cohort(), options)
    second = run_experiment(tmp_path, tiny_cohort(seed=3), options)
    assert first["cohort_sha256"] != second["cohort_sha256"]
    assert first["tables"]["answers_simulated"] != second["tables"]["answers_simulated"]


@pytest.mark.parametrize(
    ("subjects", "sentence"),
    [
        (lambda: tiny_cohort(3), "at least 12 subjects .* found 1 with fibrotic NASH and 2 without"),
        (lambda: [s for s in tiny_cohort(60) if s.is_fibrotic_nash], "found 20 with fibrotic NASH and 0 without"),
    ],
)
def test_cohorts_that_allow_no_experiment_are_refused(tmp_path, subjects, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        run_experiment(tmp_path / "out", subjects(), QUICK)
    assert not (tmp_path / "out").exists()


def test_options_and_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match="needs models among combined.*found 'ct'"):
        NashExperimentOptions(models=("ct",))
    with pytest.raises(UnsuitableInputError, match="2 to 20 folds"):
        NashExperimentOptions(n_folds=1)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UnsuitableInputError, match="a folder of its own; .* also holds thesis.txt"):
        run_experiment(tmp_path, tiny_cohort(), QUICK)
