"""What the server answers, tried on a real one."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import threading
import time
import zipfile
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import pytest

from liver_models.mri.maps import VOLUME_FIELDS

CASE = "simulated-vials"


def opened(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


@pytest.fixture(scope="module")
def reply(server):
    return server.infer(CASE)


def test_a_stored_case_is_answered_with_json_and_every_map_in_order(server, reply):
    assert reply.status == 200, reply.body[:2000]
    assert reply.headers["content-type"].startswith("multipart/form-data; boundary=")
    parts = reply.parts()
    assert list(parts) == ["reply", *VOLUME_FIELDS]
    told = parts["reply"]
    assert told["task"] == "pdff" and told["is_simulated"] is True and "not a medical device" in told["notice"]
    assert told["model"]["name"] == "ai_deal"
    assert told["result"]["case_id"] == CASE
    assert [item["name"] for item in told["result"]["maps"]] == list(VOLUME_FIELDS)


def test_each_part_says_its_length(reply):
    for name, content in reply.parts().items():
        if name != "reply":
            head = reply.body.split(f'name="{name}"'.encode(), 1)[1].split(b"\r\n\r\n", 1)[0]
            assert f"Content-Length: {len(content)}".encode() in head


def test_every_map_lies_where_the_oblique_study_lies(reply, phantom):
    study = phantom[0]
    assert np.abs(study.affine[:3, :3] * (1 - np.eye(3))).max() > 0.1, "the study of this test needs to be oblique"
    for name in VOLUME_FIELDS:
        image = opened(reply.parts()[name])
        assert image.shape == study.signal.shape[1:]
        assert image.get_data_dtype() == (np.uint8 if name == "valid_mask" else np.float32)
        np.testing.assert_allclose(image.affine, study.affine, atol=1e-4)
        np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(study.affine[:3, :3], axis=0), rtol=1e-5)


def test_the_vials_read_their_fat_fraction(reply, phantom):
    truth = phantom[1]
    image = np.asarray(opened(reply.parts()["pdff_percent"]).dataobj)
    valid = np.asarray(opened(reply.parts()["valid_mask"]).dataobj) > 0
    for roi in truth.rois.values():
        if (roi & valid).sum() > 3:
            assert abs(image[roi & valid].mean() - truth.pdff_percent[roi & valid].mean()) < 3


def test_the_stock_route_serves_each_map_under_its_tag(server, reply):
    for name in VOLUME_FIELDS:
        stored = server.call("GET", f"/datastore/label?label={CASE}&tag={name}")
        assert stored.status == 200 and stored.body == reply.parts()[name]


def test_a_measured_case_lists_its_maps(server, reply):
    cases = {case["id"]: case for case in server.call("GET", "/liver/cases").json()["cases"]}
    assert cases[CASE]["maps"] == list(VOLUME_FIELDS)
    assert cases[CASE]["is_simulated"] is True and cases[CASE]["kind"] == "case"
    assert cases["plain"]["is_simulated"] is None and cases["plain"]["kind"] == "image"


def test_maps_are_not_taken_for_annotations(server, reply):
    status = server.call("GET", "/datastore/").json()
    assert status["completed"] == 0 and status["label_tags"]["pdff_percent"] == 1


def test_the_same_request_gives_the_same_bytes(server, reply):
    assert server.infer(CASE).body == reply.body


def test_requests_at_once_are_answered_one_after_the_other_and_alike(server, reply):
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(server.infer(CASE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [item.body == reply.body for item in replies] == [True] * 4


def test_uploaded_files_are_measured_like_the_stored_case(server, reply):
    folder = server.studies / "files" / CASE
    files = [("files", path.name, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    uploaded = server.send("POST", "/liver/infer/pdff", files, {"params": "{}"})
    assert uploaded.status == 200, uploaded.body[:2000]
    for name in VOLUME_FIELDS:
        assert uploaded.parts()[name] == reply.parts()[name]
    listed = [case["id"] for case in server.call("GET", "/liver/cases").json()["cases"]]
    assert uploaded.parts()["reply"]["result"]["case_id"] not in set(listed) - {CASE}


def test_an_uploaded_archive_is_measured_like_its_files(server, reply):
    folder = server.studies / "files" / CASE
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, "a scan of ä/" + path.relative_to(folder).as_posix())
    uploaded = server.send("POST", "/liver/infer/pdff", [("files", "scan.zip", packed.getvalue())])
    assert uploaded.status == 200, uploaded.body[:2000]
    assert uploaded.parts()["pdff_percent"] == reply.parts()["pdff_percent"]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "c:/x"])
def test_an_archive_cannot_reach_outside_its_folder(server, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"x")
    refused = server.send("POST", "/liver/infer/pdff", [("files", "scan.zip", packed.getvalue())])
    assert refused.status == 422 and "inside its own folder only" in refused.detail


def test_a_damaged_archive_is_refused(server):
    refused = server.send("POST", "/liver/infer/pdff", [("files", "scan.zip", b"PK\x03\x04 no archive")])
    assert refused.status == 422 and "is not an archive that can be read" in refused.detail


def test_two_files_of_one_name_are_refused(server):
    refused = server.send("POST", "/liver/infer/pdff", [("files", "a.dcm", b"x"), ("files", "a.dcm", b"y")])
    assert refused.status == 422 and "'a.dcm' was sent twice" in refused.detail


def test_an_upload_leaves_nothing_behind(server, reply):
    server.send("POST", "/liver/infer/pdff", [("files", "a.dcm", b"x")])
    server.infer(CASE)
    assert not list((server.folder / "tmp").iterdir())


def test_a_region_sent_along_is_summarised(server, phantom):
    from liver_models.io.volumes import volume_bytes

    study, truth = phantom
    folder = server.studies / "files" / CASE
    files = [("files", path.name, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]
    mask = truth.body_mask.astype(np.uint8)
    uploaded = server.send(
        "POST", "/liver/infer/pdff", [*files, ("roi", "roi.nii.gz", volume_bytes(mask, study.affine))]
    )
    assert uploaded.status == 200, uploaded.body[:2000]
    assert [row["name"] for row in uploaded.parts()["reply"]["result"]["rois"]] == ["roi_1"]
    other = study.affine + np.diag([0.5, 0, 0, 0])
    refused = server.send("POST", "/liver/infer/pdff", [*files, ("roi", "roi.nii.gz", volume_bytes(mask, other))])
    assert refused.status == 422


def test_a_stored_region_is_summarised(server, phantom, tmp_path):
    from liver_models.io.volumes import volume_bytes

    study, truth = phantom
    content = volume_bytes(truth.body_mask, study.affine)
    saved = server.send("PUT", f"/datastore/label?image={CASE}&tag=liver", [("label", "roi.nii.gz", content)])
    assert saved.status == 200, saved.body
    told = server.infer(CASE, roi="liver").parts()["reply"]
    assert len(told["result"]["rois"]) == 1
    server.call("DELETE", f"/datastore/label?id={CASE}&tag=liver")
    assert "liver" not in str(server.call("GET", "/datastore/").json()["label_tags"])


def test_fewer_than_three_echoes_are_refused_with_the_sentence(server, phantom, tmp_path):
    from liver_models.io.export import write_bids

    write_bids(phantom[0], tmp_path / "bids")
    files = [path for path in sorted((tmp_path / "bids").rglob("*")) if path.is_file()]
    few = [("files", path.name, path.read_bytes()) for path in files if "echo-1" in path.name or "echo-2" in path.name]
    assert few, [path.name for path in files]
    refused = server.send("POST", "/liver/infer/pdff", few)
    assert refused.status == 422 and "PDFF needs at least 3 echoes" in refused.detail, refused.body
    assert "liverlabel-" not in refused.detail


def test_info_answers_while_a_measurement_runs(server):
    finished = threading.Thread(
        target=server.call, args=("POST", "/liver/infer/pdff?request_id=long", {"image": "simulated-larger"})
    )
    finished.start()
    state = wait_for(server, "long", "running")
    assert state["state"] == "running"
    assert server.call("GET", "/info/").status == 200
    assert server.call("GET", "/liver/info").status == 200
    finished.join()
    state = server.call("GET", "/liver/progress/long").json()
    assert state["state"] == "done" and state["done"] == state["total"] > 0


def wait_for(server, request_id: str, wanted: str) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = server.call("GET", f"/liver/progress/{request_id}")
        if found.status == 200 and found.json()["state"] in (wanted, "done", "failed"):
            return found.json()
        time.sleep(0.005)
    raise AssertionError(f"{request_id} never came to be {wanted}")


def test_the_progress_of_a_refused_request_says_failed(server):
    server.call("POST", "/liver/infer/pdff?request_id=bad", {"image": "plain"})
    assert server.call("GET", "/liver/progress/bad").json()["state"] == "failed"
    assert server.call("GET", "/liver/progress/never").status == 404


def test_a_client_that_goes_away_does_no_harm(server, reply):
    url = urlsplit(server.address)
    for _ in range(3):
        connection = http.client.HTTPConnection(url.hostname, url.port)
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        connection.request("POST", "/liver/infer/pdff", json.dumps({"image": CASE}), headers)
        connection.close()
    assert server.call("GET", "/liver/health", token=None).status == 200
    assert server.infer(CASE).body == reply.body


def test_a_new_case_in_the_folder_is_seen(server):
    (server.studies / "later.nrrd").write_bytes(b"x")
    assert "later" in [case["id"] for case in server.call("GET", "/liver/cases").json()["cases"]]
    (server.studies / "later.nrrd").unlink()
    assert "later" not in [case["id"] for case in server.call("GET", "/liver/cases").json()["cases"]]


def test_nan_in_a_stored_description_is_sent_as_null(server):
    info = {"info": '{"score": NaN}'}
    assert server.send("PUT", "/datastore/image/info?image=plain", [], info).status == 200
    reply = server.call("GET", "/datastore/image/info?image=plain")
    assert reply.status == 200 and b"NaN" not in reply.body and reply.json()["score"] is None


def test_the_tasks_name_their_maps_and_units(server):
    task = next(one for one in server.call("GET", "/liver/tasks").json()["tasks"] if one["name"] == "pdff")
    assert [item["name"] for item in task["maps"]] == list(VOLUME_FIELDS)
    assert task["maps"][0]["unit"] == "%"


def test_the_root_lists_every_route(server):
    routes = server.call("GET", "/").json()["routes"]
    assert {"POST /liver/infer/{task}", "POST /infer/{model}", "GET /datastore/label"} <= set(routes)


def test_no_identifier_is_written_to_the_log(server, reply):
    log = (server.folder / "log.txt").read_text()
    started = log.split("Application startup complete", 1)[1]
    assert CASE not in started and str(server.studies) not in started
