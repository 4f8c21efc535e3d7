"""Cases, waiting annotations, disagreements and trainings in words."""

import time

import pytest
from LiverLabelLib import case_list, learning
from LiverLabelLib.outbox import Annotation
from LiverLabelLib.protocol import Case, CurvePoint, Disagreement, Scoring, Training

CASES = [
    Case("abdomen-01", "case", True, ("pdff_percent",), ("final",)),
    Case("rat-07", "image", None, (), ("draft",)),
]


def training(**changed):
    values = dict(
        task="pdff", state="idle", message="", can_resume=False, progress=None, curve=(), version=0, versions=(0,)
    )
    return Training(**{**values, **changed})


def test_only_a_final_label_counts_as_labelled():
    assert [case_list.is_labelled(case) for case in CASES] == [True, False]
    assert case_list.case_row(CASES[1]) == ("rat-07", "single image", "not known", "–", "–")


@pytest.mark.parametrize(("typed", "n"), [("", 2), ("ABDOMEN", 1), ("rat image", 1), ("rat simulated", 0), ("pdff", 1)])
def test_every_typed_word_has_to_occur(typed, n):
    assert len(case_list.filtered(CASES, typed)) == n


def test_the_count_says_what_is_not_shown():
    assert case_list.count_of_cases(2, CASES) == "2 cases, 1 labelled."
    assert case_list.count_of_cases(1, CASES) == "1 found of 2 cases, 1 labelled."
    many = CASES * case_list.MAX_ROWS
    assert f"The first {case_list.MAX_ROWS} are shown" in case_list.count_of_cases(len(many), many)


def test_each_two_regions_that_differ_have_a_row_and_unusable_files_are_named():
    found = [
        Disagreement("a", "region", True, {}, (("anna", "ben", 0.254), ("anna", "cleo", 0.5)), ("dora",)),
        Disagreement("b", "answer", False, {"anna": True, "ben": False}, (), ()),
        Disagreement("c", "answer", True, {"anna": True, "ben": False}, (), (), "nafld"),
    ]
    assert case_list.disagreement_rows(found) == [
        ("a", "region", "0.25", "anna, ben"),
        ("a", "region", "0.50", "anna, cleo"),
        ("a", "region", "–", "the file of dora cannot be used"),
        ("b", "answer (reopened)", "–", "anna: yes, ben: no"),
        ("c", "answer: Fatty liver (NAFLD)", "–", "anna: yes, ben: no"),
    ]


def test_why_an_annotation_waits_depends_on_the_connected_server():
    kept_s = time.mktime((2026, 1, 31, 12, 5, 0, 0, 0, -1))
    waiting = Annotation(f"{int(kept_s * 1e9):020d}-abc", "http://a:1", "case-1", "final", "x.label.json", "", b"")
    row = case_list.annotation_row(waiting, "http://a:1")
    assert row == ("case-1", "answer", "–", "Not sent yet.", "2026-01-31 12:05", "http://a:1")
    assert "belongs to http://a:1" in case_list.annotation_row(waiting, "http://b:2")[3]
    assert case_list.annotation_row(waiting, None)[3] == "No server is connected."
    refused = Annotation("odd", "http://a:1", "case-1", "final", "x.nii.gz", "anna", b"", "Another matrix.")
    assert case_list.annotation_row(refused, "http://a:1")[1:5] == ("region", "anna", "Another matrix.", "–")


def test_what_is_left_to_the_method_is_not_asked_for():
    assert learning.training_options(0, 0.0, "auto", False) == {"device": "auto"}
    assert learning.training_options(5, 2.5, "cpu", True) == {
        "device": "cpu",
        "epochs": 5,
        "max_minutes": 2.5,
        "resume": False,
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (130, "2 min"), (5399, "90 min"), (7200, "2.0 h")]
)
def test_a_duration_is_in_the_unit_that_fits(seconds, text):
    assert learning.duration(seconds) == text


def test_a_training_says_its_stage_its_time_and_its_weights():
    now = CurvePoint("adaptation", 2, 4, 0.5, None, None, 130.0)
    running = training(state="running", progress=now, version=2, versions=(0, 1, 2))
    assert learning.state_text(running) == "Training: adaptation"
    assert learning.left_text(now) == "About 2 min left" and learning.left_text(None) == ""
    assert learning.version_text(running) == "Weights in use: version 2; also kept: 0, 1"
    assert learning.version_text(training()) == "Weights in use: those of the package (version 0)"
    assert learning.state_text(training(state="unheard of")) == "unheard of"


def test_scoring_is_counted():
    assert learning.scoring_text(Scoring("idle", 0, 0, "")) == "No case was scored yet."
    assert learning.scoring_text(Scoring("running", 3, 30, "Goes on.")) == "3 of 30 cases scored. Goes on."
