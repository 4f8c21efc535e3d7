"""Fatty liver over HTTP: a stored case and an upload are answered, answers are learnt from, refusals say why."""

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
from nafld_cases import SIDE, import_livers
from test_contract import described, golden, hold, sent
from test_nash import ended

from liver_apps.liver.lib import nafld_job
from liver_apps.liver.lib.nafld_job import ARCHITECTURE, predict_nafld
from liver_apps.liver.lib.published import PublishedWeights
from liver_models.errors import UnsuitableInputError
from liver_models.io.class_label import class_label_path, read_class_labels
from liver_models.io.volumes import volume_bytes
from liver_models.weights import save_weights

ROUTE, TRAIN = "/liver/infer/nafld", "/liver/train/nafld"
CASE = "liver-001"
N_PATIENTS = 16


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("livers") / "pictures"


@pytest.fixture(scope="module")
def server(pictures, tmp_path_factory):
    """With weights published that a few steps made of tiny frames."""
    from liver_models.ultrasound.nafld_options import NafldOptions
    from liver_models.ultrasound.nafld_training import train_nafld

    studies = tmp_path_factory.mktemp("liver-studies")
    import_livers(studies, pictures, N_PATIENTS)
    weights = train_nafld(_frames(studies), NafldOptions(steps=20))
    finished = studies / "finished.safetensors"
    (studies / "models" / "nafld").mkdir(parents=True)
    save_weights(finished, weights.tensors, {**weights.card, "version": "site-v1"})
    PublishedWeights(studies / "models" / "nafld", ARCHITECTURE).publish(finished, 1)
    running = start_server(studies, tmp_path_factory.mktemp("liver-server") / "log.txt")
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


def _frames(studies):
    from liver_models.ultrasound.frames import frames_of
    from liver_models.ultrasound.reading import read_cohort

    return frames_of(read_cohort(studies))


@pytest.fixture(scope="module")
def answered(server):
    return sent(server, golden("nafld.request.json")).parts()


def test_the_reply_is_the_golden_one(answered):
    told = {"parts": [described(name, content) for name, content in answered.items()]}
    hold("nafld.reply.json", told)


def test_a_stored_case_is_answered_with_everything_a_reader_needs(answered, server):
    reply = answered["reply"]
    result = reply["result"]
    assert reply["task"] == "nafld" and reply["is_simulated"] and "not a medical device" in reply["notice"]
    assert result["schema"] == "liverlabel.nafld.v1" and result["is_trained_on_simulated_data"]
    assert (
        "simulated" in reply["model"]["trained_on"] == result["trained_on"] and reply["model"]["version"] == "site-v1"
    )
    assert 0 <= result["probability_low"] <= result["probability"] <= result["probability_high"] <= 1
    assert result["n_frames"] == 2 and [one["name"] for one in result["frames"]] == ["place_1", "place_2"]
    assert isinstance(result["is_abstention"], bool) and result["is_calibrated"]
    assert str(server.studies) not in json.dumps(reply)


def test_the_maps_lie_on_the_first_picture_as_slicer_reads_it(answered):
    cam, shap = (
        nibabel.Nifti1Image.from_bytes(gzip.decompress(answered[name]))
        for name in ("nafld_grad_cam", "nafld_gradient_shap")
    )
    for image in (cam, shap):
        assert image.shape == (SIDE, SIDE, 1) and np.array_equal(np.diag(image.affine), [-1, -1, 1, 1])
    assert 0 <= np.asarray(cam.dataobj).min() <= np.asarray(cam.dataobj).max() <= 1
    assert np.abs(np.asarray(shap.dataobj)).max() == pytest.approx(1)


def test_the_maps_of_nafld_and_nash_have_tags_of_their_own(answered, server):
    case = next(one for one in server.call("GET", "/liver/cases").json()["cases"] if one["id"] == CASE)
    assert case["maps"] == ["nafld_grad_cam", "nafld_gradient_shap"] and case["labels"] == ["final"]
    tasks = {one["name"]: one for one in server.call("GET", "/liver/tasks").json()["tasks"]}
    assert not {one["name"] for one in tasks["nafld"]["maps"]} & {one["name"] for one in tasks["fibrotic_nash"]["maps"]}


def test_an_upload_is_answered_as_the_stored_case_and_a_region_changes_nothing(answered, server, pictures):
    files = [("files", path.name, path.read_bytes()) for path in sorted((pictures / CASE).iterdir())]
    region = volume_bytes(np.ones((SIDE, SIDE, 1), np.uint8), np.diag([-1.0, -1, 1, 1]))
    for more in ([], [("roi", "roi.nii.gz", region)]):
        reply = server.send("POST", ROUTE, [*files, *more])
        assert reply.status == 200, reply.body[:300]
        assert reply.parts()["reply"]["result"]["probability"] == answered["reply"]["result"]["probability"]


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"clinical": {}}, "The task nafld knows the parameters threshold; found clinical"),
        ({"threshold": 1.5}, "A threshold needs to lie between 0 and 1; found 1.5"),
        ({"threshold": "high"}, "The threshold needs to be a number"),
        ({"threshold": 10**400}, "The threshold needs to be a number"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(server, params, sentence):
    reply = server.call("POST", ROUTE, {"image": CASE, "params": params})
    assert reply.status == 422 and re.search(sentence, reply.detail), reply.detail


def test_an_elastogram_is_not_read_and_alone_not_enough(server, pictures):
    about = json.loads((pictures / CASE / "ultrasound.json").read_bytes())
    box = {"box": [0, 0, 40, 40], "scale": {"low": 0.0, "high": 20.0, "unit": "kPa", "colormap": "jet"}}
    grey = {"file": "swe_1.png", "role": "swe", "name": "place_1", **box}
    picture = (pictures / CASE / "bmode_1.png").read_bytes()

    def asked(images, *names):
        told = json.dumps({**about, "images": images}).encode()
        files = [*(("files", name, picture) for name in names), ("files", "ultrasound.json", told)]
        return server.send("POST", ROUTE, files)

    reply = asked([about["images"][0], grey], "bmode_1.png", "swe_1.png")
    assert reply.status == 200 and reply.parts()["reply"]["result"]["n_frames"] == 1, reply.body[:300]
    reply = asked([grey], "swe_1.png")
    assert reply.status == 422 and "B-mode" in reply.detail, reply.detail


def test_the_weights_of_the_package_answer_and_say_what_they_learnt_from(server):
    rollback = f"{TRAIN}/rollback"
    assert server.call("POST", rollback, {"version": 0}).json()["published"]["version"] == 0
    try:
        reply = server.call("POST", ROUTE, {"image": CASE})
        assert reply.status == 200, reply.body[:300]
        told = reply.parts()["reply"]
        result, card = told["result"], nafld_job.weights_in_package().card
        assert told["model"] == {"name": "nafld", "version": card["version"], "trained_on": card["trained_on"]}
        assert (
            "simulated" in result["trained_on"] and result["is_trained_on_simulated_data"] and result["is_calibrated"]
        )
        assert 0 <= result["probability_low"] <= result["probability"] <= result["probability_high"] <= 1
        # Whom a model saw is in its card, and in no reply.
        assert not [key for key in result if "patients" in key] and "simulated-patient" not in json.dumps(told)
    finally:
        assert server.call("POST", rollback, {"version": 1}).json()["published"]["version"] == 1


def test_no_route_gives_out_a_generator_or_its_images(server):
    for route in ("/liver/infer/ldm_class", "/liver/next/ldm_class", "/liver/score/ldm_class"):
        method = "GET" if "next" in route else "POST"
        reply = server.call(method, route, {"image": CASE} if method == "POST" else None)
        assert reply.status == 404, (route, reply.status)
    assert "ldm_class" not in {one["name"] for one in server.call("GET", "/liver/tasks").json()["tasks"]}
    info = server.call("GET", "/liver/info").body.decode()
    assert "ldm_class" in info and "training_patients" not in info and str(server.studies.parent) not in info


def test_without_weights_the_task_says_how_to_get_some(server, tmp_path, monkeypatch):
    monkeypatch.setattr(nafld_job, "PRETRAINED_FOLDER", tmp_path)
    source = server.studies / f"{CASE}.case.json"
    with pytest.raises(UnsuitableInputError, match="needs trained weights; none come .* POST /liver/train/nafld"):
        predict_nafld(source, None, {}, tmp_path, tmp_path / "none", progress=lambda *_: None)


def test_a_case_is_scored_by_what_other_calibration_patients_would_have_said(answered, server):
    from liver_apps.liver.lib.activelearning.score_job import score_case

    folder = server.studies / "models" / "nafld"
    found = score_case(server.studies / f"{CASE}.case.json", "nafld", folder, progress=lambda *_: None)
    assert found["patient_id"] == CASE and len(found["members"]) > 10
    assert found["probability"][1] == pytest.approx(answered["reply"]["result"]["probability"], abs=1e-5)
    # Every case has its answer, so there is none to ask for.
    assert server.call("GET", "/liver/next/nafld").json()["id"] is None
    assert server.call("GET", "/liver/next/fibrotic_nash?strategy=random").json()["n_unlabelled"] == N_PATIENTS


def test_a_training_is_started_and_stopped_and_publishes_nothing(server):
    options = {"augment": "ldm_class", "mixing_rate": 0.5, "generator_steps": 500, "device": "cpu", "seed": 7}
    started = server.call("POST", TRAIN, {**options, "resume": False}).json()
    assert started["state"] == "running" and not started["is_resumed"] and len(started["cases"]) == N_PATIENTS
    assert {key: started["options"][key] for key in options} == options and started["options"]["steps"] == 300
    assert server.call("POST", "/liver/train/stacked_gan", {"steps": 1}).status == 429
    stopped = server.call("DELETE", TRAIN).json()
    assert stopped["state"] == "stopped" and stopped["published"] == started["published"]
    assert str(server.studies) not in json.dumps(stopped)


@pytest.mark.slow
def test_training_learns_from_answers_and_tells_what_was_mixed_in(server):
    options = {"steps": 30, "device": "cpu", "augment": "geometric", "mixing_rate": 0.5, "resume": False}
    assert server.call("POST", TRAIN, options).status == 200
    state = ended(server, TRAIN)
    assert state["state"] == "done", state["message"]
    result = state["result"]
    assert result["n_cases"] == N_PATIENTS and result["n_held_out_subjects"] == 4 and result["is_simulated"]
    assert result["compared_with"] == "site-v1" and result["n_mixed_in"] == 9
    assert {point["stage"] for point in state["curve"]} == {"training"}
    version = server.call("POST", ROUTE, {"image": CASE}).parts()["reply"]["model"]["version"]
    assert version == f"site-v{result['published_version'] or 1}"


def test_a_training_that_gets_an_unknown_option_or_kind_is_refused(server):
    for options, sentence in (
        ({"augment": "mixup"}, "augment needs to be one of none, geometric, ldm_semantic"),
        ({"processes": 2}, "A training knows the options epochs, .*augment.*; found processes"),
    ):
        reply = server.call("POST", TRAIN, options)
        assert reply.status == 422 and re.search(sentence, reply.detail), reply.detail
    reply = server.call("POST", "/liver/train/ldm_class", {"epochs": 3})
    assert reply.status == 422 and "counts steps; found epochs" in reply.detail


def test_slicers_answer_is_stored_beside_that_of_the_other_task(server):
    content = json.loads(class_label_path(server.studies, CASE).read_bytes())
    told = json.dumps({**content, "task": "fibrotic_nash", "value": False, "reader": "ben"}).encode()
    path = f"/datastore/label?image={CASE}&tag=final"
    assert server.send("PUT", path, [("label", f"{CASE}.label.json", told)], {"params": "{}"}).status == 200
    labels = read_class_labels(class_label_path(server.studies, CASE))
    assert (labels["nafld"].value, labels["fibrotic_nash"].value) == (True, False)
    found = json.loads(server.call("GET", f"/datastore/label?label={CASE}&tag=final&kind=answer").body)
    assert found["schema_version"] == 2 and found["answers"]["nafld"]["reader"] == "anna"


@pytest.mark.slow
def test_a_generator_is_trained_stopped_gone_on_with_and_taken_for_the_next_training(server):
    route, seed = "/liver/train/ldm_class", {"seed": 0, "device": "cpu"}
    started = server.call("POST", route, {"steps": 20, "resume": False, **seed}).json()
    assert started["state"] == "running"
    until(server, route, lambda state: (one := state["progress"] or {}).get("loss") is not None and one["epoch"] >= 5)
    stopped = server.call("DELETE", route).json()
    assert stopped["state"] == "stopped" and stopped["can_resume"] and stopped["published"]["versions"] == [0]
    assert server.call("POST", route, {}).json()["is_resumed"]
    state = ended(server, route)
    assert state["state"] == "done", state["message"]
    result = state["result"]
    assert result["metric_before"] is None and result["n_training_subjects"] < N_PATIENTS - 4 and result["is_simulated"]
    assert (result["published_version"] is None) == result["is_collapsed"]
    options = {"steps": 4, "augment": "ldm_class", "mixing_rate": 0.2, "generator_steps": 2, "resume": False, **seed}
    server.call("POST", TRAIN, options)
    state = ended(server, TRAIN)
    assert state["state"] == "done", state["message"]
    generator = state["result"]["generator"]
    assert generator["kind"] == "ldm_class" and generator["is_new"] == result["is_collapsed"]
    assert len(server.call("GET", "/liver/cases").json()["cases"]) == N_PATIENTS
    assert not list((server.studies / "models").rglob("*.png"))


def until(server, route: str, is_so) -> None:
    deadline = time.monotonic() + 120
    while not is_so(server.call("GET", route).json()):
        assert time.monotonic() < deadline, server.call("GET", route).json()
        time.sleep(0.2)
