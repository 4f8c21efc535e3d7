"""Fibrotic NASH over HTTP: a stored case and an upload are answered, answers are learnt from, refusals say why."""

from __future__ import annotations

import gzip
import json
import re
import signal
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from client import start_server
from test_contract import described, golden, hold, hold_whole, sent

from liver_models.io.class_label import class_label_path
from liver_models.io.importer import import_source
from liver_models.io.volumes import volume_bytes
from liver_models.ultrasound.phantom import simulate_cohort
from liver_models.ultrasound.phantom_files import write_cohort

ROUTE, TRAIN = "/liver/infer/fibrotic_nash", "/liver/train/fibrotic_nash"
CASE = "simulated-rat-0001"
N_RATS = 24


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "simulated"
    write_cohort(simulate_cohort(N_RATS, 10, seed=11, n_pairs=1, size=96), folder)
    return folder


@pytest.fixture(scope="module")
def server(cohort, tmp_path_factory):
    studies = tmp_path_factory.mktemp("ultrasound-studies")
    import_source(cohort, studies)
    running = start_server(studies, tmp_path_factory.mktemp("nash-server") / "log.txt")
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


@pytest.fixture(scope="module")
def answered(server):
    return sent(server, golden("fibrotic_nash.request.json")).parts()


def test_the_reply_is_the_golden_one(answered):
    told = {"parts": [described(name, content) for name, content in answered.items()]}
    hold("fibrotic_nash.reply.json", told)


def test_the_images_of_an_ultrasound_case_are_the_golden_ones(server):
    hold_whole("images.ultrasound", sent(server, golden("images.ultrasound.request.json")))


@pytest.fixture(scope="module")
def outlined(server):
    return sent(server, golden("liver_roi.request.json")).parts()


def test_the_outline_of_an_ultrasound_case_is_the_golden_one(outlined):
    told = {"parts": [described(name, content) for name, content in outlined.items()]}
    hold("liver_roi.reply.json", told)


def test_the_golden_outline_has_the_pixels_that_its_reply_counts(outlined):
    region = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(outlined["liver_roi"])).dataobj)
    assert set(np.unique(region)) == {0, 1} and region.sum() == outlined["reply"]["result"]["n_pixels"]


def test_the_next_case_is_the_golden_one(server):
    reply = sent(server, golden("liver_roi.next.request.json"))
    assert reply.status == 200
    hold("liver_roi.next.reply.json", reply.json())


def test_a_stored_case_is_answered_with_everything_a_reader_needs(answered, server):
    reply = answered["reply"]
    result = reply["result"]
    assert reply["task"] == "fibrotic_nash" and reply["is_simulated"] and "not a medical device" in reply["notice"]
    assert "simulated" in reply["model"]["trained_on"] and result["is_trained_on_simulated_data"]
    assert 0 <= result["probability_low"] <= result["probability"] <= result["probability_high"] <= 1
    assert result["threshold"] == 0.5 and set(result["contributions"]) == set(result["inputs_used"])
    assert isinstance(result["is_abstention"], bool) and result["inputs_missing"] == []
    assert str(server.studies) not in json.dumps(reply)


def test_the_map_lies_on_the_picture_as_slicer_reads_it(answered, cohort):
    from PIL import Image

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answered["grad_cam"]))
    values = np.asarray(image.dataobj)
    with Image.open(cohort / CASE / "bmode_1.png") as picture:
        assert values.shape == (*picture.size, 1)
    assert np.array_equal(np.diag(image.affine), [-1, -1, 1, 1]) and 0 <= values.min() <= values.max() <= 1


def test_the_map_is_stored_under_its_name_and_is_no_annotation(answered, server):
    case = next(one for one in server.call("GET", "/liver/cases").json()["cases"] if one["id"] == CASE)
    assert "grad_cam" in case["maps"] and case["labels"] == ["final"]


def test_the_task_is_listed_with_its_input(server):
    task = next(t for t in server.call("GET", "/liver/tasks").json()["tasks"] if t["name"] == "fibrotic_nash")
    assert task["maps"][0]["name"] == "grad_cam" and "ultrasound" in task["input"]


def test_values_sent_with_the_request_stand_in_for_those_of_the_case(answered, server):
    params = {"clinical": {"alt_u_per_l": 900.0, "ast_u_per_l": 1500.0}}
    other = server.call("POST", ROUTE, {"image": CASE, "params": params}).parts()["reply"]["result"]
    assert other["probability"] != answered["reply"]["result"]["probability"]


def test_an_upload_is_answered_and_a_region_cuts_its_image_out(server, cohort):
    region = np.zeros((96, 96, 1), np.uint8)
    region[30:60, 20:50] = 1
    files = [("files", path.name, path.read_bytes()) for path in sorted((cohort / CASE).iterdir()) if path.is_file()]
    roi = ("roi", "roi.nii.gz", volume_bytes(region, np.diag([-1.0, -1, 1, 1])))
    reply = server.send("POST", ROUTE, [*files, roi])
    assert reply.status == 200, reply.body[:300]
    assert "weight_g" in reply.parts()["reply"]["result"]["inputs_missing"]
    values = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(reply.parts()["grad_cam"])).dataobj)
    assert values[30:60, 20:50].any() and not values[:25].any() and not values[:, 60:].any()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"params": {"method": "resnet"}}, "knows the parameters threshold, clinical; found method"),
        ({"params": {"threshold": 1.5}}, "A threshold needs to lie between 0 and 1; found 1.5"),
        ({"params": {"threshold": "high"}}, "The threshold needs to be a number"),
        ({"params": {"clinical": {"glucose": 5}}}, "The clinical values are weight_g, .*found 'glucose'"),
        ({"params": {"clinical": {"alt_u_per_l": -3}}}, "alt_u_per_l needs a positive number; found '-3'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(server, body, sentence):
    reply = server.call("POST", ROUTE, {"image": CASE, **body})
    assert reply.status == 422 and re.search(sentence, reply.detail), reply.detail


def test_an_mri_task_refuses_an_ultrasound_case(server):
    reply = server.call("POST", "/liver/infer/pdff", {"image": CASE})
    assert reply.status == 422 and "MRI" in reply.detail


def test_training_learns_from_answers_and_the_next_infer_says_which_weights(server):
    started = server.call("POST", TRAIN, {"epochs": 1, "device": "cpu"})
    assert started.status == 200, started.body
    state = ended(server)
    assert state["state"] == "done", state["message"]
    result = state["result"]
    assert result["n_cases"] == N_RATS and result["n_held_out_subjects"] >= 4 and result["is_simulated"]
    reply = server.call("POST", ROUTE, {"image": CASE}).parts()["reply"]
    expected = f"site-v{result['published_version']}" if result["is_better"] else reply["model"]["version"]
    assert reply["model"]["version"] == expected


def test_too_few_answers_are_refused(server):
    server.call("POST", TRAIN, {"epochs": 1, "cases": [CASE, "simulated-rat-0002"], "resume": False})
    state = ended(server)
    assert state["state"] == "failed" and "Add patients" in state["message"]


@pytest.mark.slow
def test_a_named_case_without_an_answer_is_refused(server):
    class_label_path(server.studies, "simulated-rat-0003").unlink()
    cases = [f"simulated-rat-{k:04d}" for k in range(1, 13)]
    server.call("POST", TRAIN, {"epochs": 1, "cases": cases, "resume": False})
    state = ended(server)
    assert state["state"] == "failed" and "has no label under the tag final" in state["message"]


@pytest.mark.slow
def test_answers_of_one_class_are_refused(server):
    answers = {path: json.loads(path.read_text()) for path in (server.studies / "labels/final").glob("*.label.json")}
    healthy = [content["case_id"] for content in answers.values() if content["value"] is False]
    server.call("POST", TRAIN, {"epochs": 1, "cases": healthy, "validation_fraction": 0.5, "resume": False})
    state = ended(server)
    found = re.search(r"both classes; found 0 with fibrotic NASH of (\d+)", state["message"])
    assert state["state"] == "failed" and found and int(found[1]) >= 4


def test_an_outline_is_not_trained_before_one_was_drawn(server):
    server.call("POST", "/liver/train/liver_roi", {"epochs": 1})
    state = ended(server, "/liver/train/liver_roi")
    assert state["state"] == "failed" and "has none under the tag final" in state["message"]
    assert state["message"].endswith("Outline the liver in some.") and state["published"]["version"] == 0


def ended(server, route=TRAIN, limit_s=240):
    """The state after the end of what runs."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        state = server.call("GET", route).json()
        if state["state"] != "running":
            return state
        time.sleep(0.5)
    raise AssertionError("the training did not end")
