"""Answers of one case to several tasks lie in one file, and none is lost when another is stored."""

from __future__ import annotations

import json
import threading

import pytest

from liver_models.io.class_label import class_label_path, read_class_labels


def answer(task: str, value: bool, reader: str = "", case: str = "one") -> bytes:
    """As Slicer's client writes one."""
    content = {"schema": "liverlabel.class_label", "schema_version": 1, "case_id": case, "task": task}
    return json.dumps({**content, "value": value, "reader": reader, "source": ""}).encode()


def stored(folder, case: str = "one") -> dict:
    """Task -> (answer, reader) in the file that trainings read."""
    labels = read_class_labels(class_label_path(folder, case))
    return {task: (label.value, label.reader) for task, label in labels.items()}


@pytest.fixture
def put(opened, sent):
    """A function that stores an answer, and the store it goes to."""
    store = opened()

    def save(task, value, reader="", **how):
        sent(store, "one", answer(task, value, reader), suffix=".label.json", **how)

    save.store = store
    return save


def test_an_answer_to_another_task_is_kept_with_its_reader(put, folder):
    put("fibrotic_nash", True, "anna")
    assert class_label_path(folder, "one").read_bytes() == answer("fibrotic_nash", True, "anna")
    put("nafld", False, "ben")
    assert stored(folder) == {"fibrotic_nash": (True, "anna"), "nafld": (False, "ben")}
    put("fibrotic_nash", False)
    assert stored(folder) == {"fibrotic_nash": (False, ""), "nafld": (False, "ben")}
    assert put.store.verify() == []


def test_another_tag_and_a_reopened_case_keep_nothing(put, folder):
    put("fibrotic_nash", True)
    put("nafld", True, tag="second")
    assert stored(folder) == {"fibrotic_nash": (True, "")}
    put.store.reopen("one")
    put("nafld", False)
    assert stored(folder) == {"nafld": (False, "")}


def test_a_damaged_file_is_replaced_by_what_is_sent(put, folder):
    put("fibrotic_nash", True)
    path = class_label_path(folder, "one")
    path.write_bytes(b"no answer")
    put("nafld", True)
    assert stored(folder) == {"nafld": (True, "")}


def test_what_is_no_answer_of_ours_is_stored_as_it_is(put, sent, folder):
    put("fibrotic_nash", True)
    sent(put.store, "one", b'{"value": "S2"}', suffix=".label.json")
    assert class_label_path(folder, "one").read_bytes() == b'{"value": "S2"}'


def test_two_answers_that_come_at_once_are_both_kept(put, folder):
    tasks = ("fibrotic_nash", "nafld")
    for k in range(10):
        threads = [threading.Thread(target=put, args=(task, bool(k % 2))) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored(folder) == dict.fromkeys(tasks, (bool(k % 2), ""))
        put.store.reopen("one")


def test_two_servers_of_one_folder_keep_each_others_answers(put, opened, sent, folder):
    other = opened()

    def answer_there(value):
        sent(other, "one", answer("nafld", value, "ben"), suffix=".label.json")

    for k in range(20):
        threads = [
            threading.Thread(target=put, args=("fibrotic_nash", bool(k % 2), "anna")),
            threading.Thread(target=answer_there, args=(bool(k % 2),)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored(folder) == {"fibrotic_nash": (bool(k % 2), "anna"), "nafld": (bool(k % 2), "ben")}
        for path in (folder / "labels").rglob("*.label.json"):
            path.unlink()


def test_answers_to_both_tasks_may_come_in_one_file_and_each_reader_is_compared(put, sent):
    both = {"nafld": {"value": True, "reader": "anna"}, "fibrotic_nash": {"value": False, "reader": "ben"}}
    told = {"schema": "liverlabel.class_label", "schema_version": 2, "case_id": "one", "answers": both}
    sent(put.store, "one", json.dumps(told).encode(), suffix=".label.json", reader="anna")
    put("nafld", False, "ben")
    put("fibrotic_nash", False, "anna")
    listed = put.store.disagreements()
    assert [(one["task"], one["readers"]) for one in listed] == [("nafld", {"anna": True, "ben": False})]


def test_readers_are_compared_task_by_task(put):
    put("fibrotic_nash", True, "anna")
    put("nafld", True, "anna")
    put("nafld", False, "ben")
    listed = put.store.disagreements()
    assert [(one["task"], one["readers"]) for one in listed] == [("nafld", {"anna": True, "ben": False})]
    put("fibrotic_nash", False, "ben")
    assert [one["task"] for one in put.store.disagreements()] == ["fibrotic_nash", "nafld"]
    put("nafld", True, "ben")
    put("fibrotic_nash", True, "ben")
    assert put.store.disagreements() == []


def test_a_case_is_labelled_for_the_task_that_was_answered(put, sent):
    put("nafld", True)
    sent(put.store, "two", b'{"value": 2}', suffix=".label.json")
    assert set(put.store.labelled_with("answer", task="nafld")) == {"one", "two"}
    assert put.store.labelled_with("answer", task="fibrotic_nash") == ["two"]
    put("fibrotic_nash", True)
    assert set(put.store.labelled_with("answer", task="fibrotic_nash")) == {"one", "two"}
