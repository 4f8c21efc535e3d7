"""The reader's answer is written and read as it was given."""

import json

import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.class_label import (
    ClassLabel,
    class_label_path,
    parse_yes_no,
    read_class_label,
    write_class_label,
)

LABEL = ClassLabel("rat-001", "fibrotic_nash", True, reader="reader 1", source="histology")


def test_an_answer_reads_as_it_was_written(tmp_path):
    path = class_label_path(tmp_path, "rat-001")
    assert path == tmp_path / "labels" / "final" / "rat-001.label.json"
    write_class_label(LABEL, path)
    before = path.read_bytes()
    assert read_class_label(path) == LABEL
    write_class_label(read_class_label(path), path)
    assert path.read_bytes() == before


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
        ({"task": "nash"}, "task needs to be one of fibrotic_nash; found 'nash'"),
        ({"colour": 1}, "found colour"),
        ({"schema_version": 2}, '"schema_version": 1'),
        ({"case_id": "../x"}, "A case id needs"),
        ({"reader": None}, "reader needs to be of type str"),
    ],
)
def test_an_answer_with_a_fault_is_refused(tmp_path, change, sentence):
    path = tmp_path / "a.label.json"
    write_class_label(LABEL, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_class_label(path)


def test_an_answer_cut_short_is_refused(tmp_path):
    (tmp_path / "a.label.json").write_text("{")
    with pytest.raises(UnsuitableInputError, match="class label needs to be JSON; 'a.label.json' cannot be read"):
        read_class_label(tmp_path / "a.label.json")
