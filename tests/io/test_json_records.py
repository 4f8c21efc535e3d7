"""Records of a long computation: whole or not there, and of no other computation."""

from __future__ import annotations

import pytest

from liver_models.io.json_records import JsonRecords


def test_a_record_comes_back_as_it_was(tmp_path):
    records = JsonRecords(tmp_path / "units", {"code": "a", "sizes": (1, 2)})
    assert records.load("one") is None
    records.save("one", {"quality": [0.1, 1 / 3], "name": "Grüße"})
    assert JsonRecords(tmp_path / "units", {"sizes": [1, 2], "code": "a"}).load("one") == {
        "quality": [0.1, 1 / 3],
        "name": "Grüße",
    }


def test_a_record_of_another_computation_or_one_cut_off_is_not_there(tmp_path):
    JsonRecords(tmp_path, {"code": "a"}).save("one", {"quality": 1.0})
    assert JsonRecords(tmp_path, {"code": "b"}).load("one") is None
    text = (tmp_path / "one.json").read_text()
    for broken in (text[:-10], "[]", "{}", ""):
        (tmp_path / "one.json").write_text(broken)
        assert JsonRecords(tmp_path, {"code": "a"}).load("one") is None


def test_a_number_that_json_has_not_is_a_defect_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        JsonRecords(tmp_path, {}).save("one", {"quality": float("nan")})
    assert list(tmp_path.iterdir()) == []
