"""Answers of readers to several tasks, over a DICOMweb store that several servers share."""

import json

import numpy as np
import pytest
from stored_labels import answer

from liver_apps.liver.lib.layout import ANSWER
from liver_models.io.class_label import parse_class_labels


@pytest.fixture
def put(picture, tmp_path):
    """A function by which a reader answers one task at one server."""

    def save(store, task, value, reader):
        (tmp_path / "a.label.json").write_text(json.dumps({**json.loads(answer(value, reader)), "task": task}))
        store.save_label(picture, str(tmp_path / "a.label.json"), "final", {})

    return save


def test_answers_to_two_tasks_are_joined_on_every_server_of_a_store(caches, put, picture):
    here, there = caches("a"), caches("b")

    put(here, "fibrotic_nash", True, "anna")
    put(there, "nafld", False, "ben")  # Before it has seen the other.
    here.refresh()
    found = json.loads(here.label_file(picture, "final", ANSWER).read_bytes())["answers"]
    assert {task: (one["value"], one["reader"]) for task, one in found.items()} == {
        "fibrotic_nash": (True, "anna"),
        "nafld": (False, "ben"),
    }
    put(here, "nafld", True, "anna")
    there.refresh()
    now = [store.label_file(picture, "final", ANSWER).read_bytes() for store in (here, there)]
    assert now[0] == now[1] and json.loads(now[0])["answers"]["nafld"]["value"] is True
    for store in (here, there):
        assert [(one["task"], one["readers"]) for one in store.disagreements()] == [
            ("nafld", {"anna": True, "ben": False})
        ]


@pytest.mark.parametrize("seed", range(6))
def test_the_last_answer_to_each_task_counts_in_whatever_order_they_arrive(remote, caches, put, picture, seed):
    here = caches("here")
    put(here, "nafld", True, "anna")
    put(here, "fibrotic_nash", True, "anna")
    here.reopen(picture)
    put(here, "nafld", True, "ben")
    put(here, "nafld", False, "ben")
    put(here, "fibrotic_nash", False, "anna")
    put(here, "nafld", True, "cleo")
    put(here, "fibrotic_nash", True, "ben")
    images = {uid: one for uid, one in remote.files.items() if one[0].Modality == "US"}
    labels = [one for one in remote.files.items() if one[0] not in images]
    assert len(labels) == 8
    remote.files = dict(images)
    there = caches("there")
    for k in np.random.default_rng(seed).permutation(len(labels)):
        remote.files |= [labels[k]]
        there.refresh()
    files = [parse_class_labels(one.label_file(picture, "final", ANSWER).read_bytes(), "it") for one in (here, there)]
    assert files[0] == files[1] and [
        [(item.kind, item.reader) for item in one.labels_of(picture)] for one in (here, there)
    ] == 2 * [[(ANSWER, "ben")]]
    assert {task: (one.value, one.reader) for task, one in files[0].items()} == {
        "nafld": (True, "cleo"),
        "fibrotic_nash": (True, "ben"),
    }
    assert there.disagreements() == here.disagreements() and len(here.disagreements()) == 2
    assert there.verify() == []


def test_an_earlier_answer_to_another_task_is_taken_over_unless_the_case_was_reopened(caches, put, picture):
    here, there, third = caches("a"), caches("b"), caches("c")

    def answers(store):
        found = parse_class_labels(store.label_file(picture, "final", ANSWER).read_bytes(), "the answer")
        return {task: (one.value, one.reader) for task, one in found.items()}

    put(here, "fibrotic_nash", True, "anna")
    put(there, "nafld", False, "ben")  # Before it has seen the other.
    there.refresh()
    assert answers(there) == {"fibrotic_nash": (True, "anna"), "nafld": (False, "ben")}
    (now,) = [one for one in there.labels_of(picture) if one.kind == ANSWER]
    assert now.reader == "ben"
    third.refresh()
    third.reopen(picture)
    put(third, "nafld", True, "cleo")
    late = caches("d")
    put(late, "fibrotic_nash", False, "dora")
    late.refresh()
    assert answers(late) == {"fibrotic_nash": (False, "dora"), "nafld": (True, "cleo")}
    here.refresh()
    assert answers(here) == answers(late)
