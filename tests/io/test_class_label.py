"""The reader's answer is written and read as it was given."""

import json
from dataclasses import asdict, replace

import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.class_label import (
    ClassLabel,
    class_label_path,
    parse_yes_no,
    read_class_labels,
    write_class_label,
)

LABEL = ClassLabel("rat-001", "fibrotic_nash", True, reader="reader 1", source="histology")


def test_an_answer_reads_as_it_was_written(tmp_path):
    path = class_label_path(tmp_path, "rat-001")
    assert path == tmp_path / "labels" / "final" / "rat-001.label.json"
    write_class_label(LABEL, path)
    before = path.read_bytes()
    assert read_class_labels(path) == {"fibrotic_nash": LABEL}
    write_class_label(read_class_labels(path)["fibrotic_nash"], path)
    assert path.read_bytes() == before


def test_an_answer_to_another_question_keeps_the_first(tmp_path):
    fatty, path = ClassLabel("rat-001", "nafld", False, reader="reader 2"), tmp_path / "a.label.json"
    write_class_label(fatty, path)
    write_class_label(LABEL, path)
    assert read_class_labels(path) == {"fibrotic_nash": LABEL, "nafld": fatty}
    before = path.read_bytes()
    path.unlink()
    for label in (LABEL, fatty):
        write_class_label(label, path)
    assert path.read_bytes() == before
    write_class_label(replace(LABEL, value=False), path)
    assert read_class_labels(path) == {"fibrotic_nash": replace(LABEL, value=False), "nafld": fatty}


def test_one_answer_alone_stays_readable_by_the_first_version(tmp_path):
    write_class_label(LABEL, tmp_path / "a.label.json")
    content = json.loads((tmp_path / "a.label.json").read_text())
    assert content.pop("schema") == "liverlabel.class_label" and content.pop("schema_version") == 1
    assert content == asdict(LABEL)


def test_answers_to_two_cases_do_not_share_a_file(tmp_path):
    write_class_label(LABEL, tmp_path / "a.label.json")
    with pytest.raises(UnsuitableInputError, match="of one case; 'a.label.json' holds 'rat-001', not 'rat-002'"):
        write_class_label(replace(LABEL, case_id="rat-002", task="nafld"), tmp_path / "a.label.json")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({}, "needs an answer at least"),
        ([], "answers needs to be of type dict"),
        ({"nafld": True}, "an answer needs value, reader and source; found True"),
        ({"nafld": {"value": 1, "reader": "", "source": ""}}, "value needs to be one of True, False; found 1"),
        ({"nafld": {"value": True, "task": "fibrotic_nash"}}, "an answer needs value, reader and source"),
        ({"steatosis": {"value": True}}, "task needs to be one of fibrotic_nash, nafld; found 'steatosis'"),
    ],
)
def test_several_answers_with_a_fault_are_refused(tmp_path, answers, sentence):
    content = {"schema": "liverlabel.class_label", "schema_version": 2, "case_id": "a", "answers": answers}
    (tmp_path / "a.label.json").write_text(json.dumps(content))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_class_labels(tmp_path / "a.label.json")


@pytest.mark.parametrize("text", ["yes", "Yes", "1", "TRUE", " true ", 1.0, True])
def test_words_for_yes(text):
    assert parse_yes_no(text, "x") is True


@pytest.mark.parametrize("text", ["no", "0", "False", 0.0])
def test_words_for_no(text):
    assert parse_yes_no(text, "x") is False


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": 1}, "value needs to be one of True, False; found 1"),
        ({"value": "yes"}, "value needs to be one of True, False; found 'yes'"),
        ({"task": "nash"}, "task needs to be one of fibrotic_nash, nafld; found 'nash'"),
        ({"colour": 1}, "found colour"),
        ({"schema_version": 3}, '"schema_version": 1 or 2'),
        ({"schema_version": True}, '"schema_version": 1 or 2'),
        ({"case_id": "../x"}, "A case id needs"),
        ({"reader": None}, "reader needs to be of type str"),
    ],
)
def test_an_answer_with_a_fault_is_refused(tmp_path, change, sentence):
    path = tmp_path / "a.label.json"
    write_class_label(LABEL, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_class_labels(path)


def test_an_answer_cut_short_is_refused(tmp_path):
    (tmp_path / "a.label.json").write_text("{")
    with pytest.raises(UnsuitableInputError, match="class label needs to be JSON; 'a.label.json' cannot be read"):
        read_class_labels(tmp_path / "a.label.json")
