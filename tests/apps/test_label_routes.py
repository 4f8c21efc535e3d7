"""Labels of several readers over HTTP, on a real server."""

from __future__ import annotations

import errno
import gzip
import json
import re

import nibabel as nib
import numpy as np
import pytest
from test_guards import refused

CASE = "simulated-vials"


def answer(value: bool, reader: str) -> bytes:
    content = {"schema": "liverlabel.class_label", "schema_version": 1, "case_id": CASE, "task": "fibrotic_nash"}
    return json.dumps({**content, "value": value, "reader": reader, "source": ""}).encode()


def region(study, first: int) -> bytes:
    """A region of four rows of a study, from ``first``."""
    mask = np.zeros(study.signal.shape[1:], np.uint8)
    mask[4:12, first : first + 4] = 1
    return gzip.compress(nib.Nifti1Image(mask, study.affine).to_bytes(), mtime=0)


def store(server, name, content, reader="", tag="final", case=CASE):
    path = f"/datastore/label?image={case}&tag={tag}"
    return server.send("PUT", path, [("label", name, content)], {"params": json.dumps({"reader": reader})})


@pytest.fixture
def two_readers(server, phantom):
    """A region and an answer of two readers that differ in both."""
    for reader, value, first in (("anna", True, 2), ("ben", False, 5)):
        assert store(server, "x.label.json", answer(value, reader)).status == 200
        assert store(server, "x.nii.gz", region(phantom[0], first), reader).status == 200
    yield
    server.call("DELETE", f"/datastore/label?id={CASE}&tag=final")


def test_readers_that_differ_are_listed_until_they_agree(server, phantom, two_readers):
    listed = server.call("GET", "/liver/disagreements").json()
    assert listed["tag"] == "final"
    answers, regions = listed["disagreements"]
    assert answers == {
        "id": CASE,
        "kind": "answer",
        "task": "fibrotic_nash",
        "is_labelled": True,
        "readers": {"anna": True, "ben": False},
    }
    # Four rows each, one of them shared.
    assert regions["kind"] == "region" and regions["dice"] == [{"readers": ["anna", "ben"], "dice": 0.25}]
    assert server.call("GET", "/liver/disagreements?tag=second").json()["disagreements"] == []
    store(server, "x.label.json", answer(True, "ben"))
    store(server, "x.nii.gz", region(phantom[0], 2), "ben")
    assert server.call("GET", "/liver/disagreements").json()["disagreements"] == []


def test_what_is_stored_with_a_case_is_told(server, two_readers):
    told = server.call("GET", f"/liver/labels/{CASE}").json()
    labels = [label for label in told["labels"] if label["tag"] == "final"]
    assert told["id"] == CASE and [(label["kind"], label["reader"]) for label in labels] == [
        ("answer", "ben"),
        ("region", "ben"),
    ]
    assert all(re.fullmatch(r"[0-9a-f]{64}", label["sha256"]) for label in labels)
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", label["time"]) for label in labels)
    refused(server.call("GET", "/liver/labels/nobody"), 404, "no case 'nobody'")


def test_each_of_a_region_and_an_answer_is_reached(server, two_readers):
    path = f"/datastore/label?label={CASE}&tag=final"
    plain, region, told = (server.call("GET", path + kind) for kind in ("", "&kind=region", "&kind=answer"))
    assert plain.body == region.body and plain.body[:2] == b"\x1f\x8b" and told.body == answer(False, "ben")
    assert told.headers["content-disposition"].endswith(f'"{CASE}.label.json"')
    refused(server.call("GET", path + "&kind=map"), 422, "kind: Input should be 'region' or 'answer'")
    refused(
        server.call("GET", path.replace("final", "second") + "&kind=answer"), 404, "no answer under the tag 'second'"
    )
    refused(server.call("GET", path.replace(CASE, "nobody")), 404, "The case 'nobody' has no label")
    server.call("DELETE", f"/datastore/label?id={CASE}&tag=final")
    refused(server.call("GET", path), 404, "no label under the tag 'final'")


def test_a_region_beside_an_answer_is_measured(server, two_readers):
    assert len(server.infer(CASE, roi="final").parts()["reply"]["result"]["rois"]) == 1
    assert server.call("GET", f"/datastore/label?label={CASE}&tag=final").body[:2] == b"\x1f\x8b"
    assert server.call("GET", "/datastore/").json()["completed"] == 1


def test_a_reopened_case_is_offered_again_and_its_labels_are_kept(server, two_readers):
    def offered() -> bool:
        return any(server.call("POST", "/activelearning/random", {}).json().get("id") == CASE for _ in range(20))

    assert not offered()
    told = server.call("POST", f"/liver/cases/{CASE}/reopen").json()
    assert told["id"] == CASE and len(told["former"]) == 2
    assert all((server.studies / name).is_file() for name in told["former"])
    assert offered()
    assert all(not item["is_labelled"] for item in server.call("GET", "/liver/disagreements").json()["disagreements"])
    refused(server.call("POST", f"/liver/cases/{CASE}/reopen"), 404, "no label under the tag 'final'")
    refused(server.call("POST", "/liver/cases/nobody/reopen"), 404, "no case 'nobody'")
    refused(server.call("POST", f"/liver/cases/{CASE}/reopen?tag=../x"), 422, "'tag' needs a name")


def test_a_reader_of_no_name_is_refused(server):
    refused(store(server, "x.nii.gz", b"x", "Dr. Anna"), 422, "'reader' needs a name of up to 128 letters")
    refused(store(server, "x.label.json", answer(True, "anna"), "ben"), 422, "needs one reader")


def test_a_damaged_label_is_refused(server):
    import os

    store(server, "x.nii.gz", b"as stored", tag="worn")
    path = server.studies / "labels" / "worn" / f"{CASE}.nii.gz"
    stamp = path.stat()
    path.write_bytes(b"as decayd")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    refused(
        server.call("GET", f"/datastore/label?label={CASE}&tag=worn"), 422, "is damaged .* Restore it from a backup"
    )
    refused(server.infer(CASE, roi="worn"), 422, "is damaged")
    server.call("DELETE", f"/datastore/label?id={CASE}&tag=worn")


def test_a_full_disk_is_answered_with_507_and_keeps_the_former_label(tmp_path, monkeypatch):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from liver_apps import entry

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib import errors
    from liver_apps.liver.lib.datastore import LiverDatastore

    (tmp_path / "one.nrrd").write_bytes(b"x")
    datastore, app = LiverDatastore(tmp_path), FastAPI()
    errors.install(app)

    @app.put("/label")
    def save(content: str):
        (tmp_path / "sent.nii.gz").write_bytes(content.encode())
        return datastore.save_label("one", str(tmp_path / "sent.nii.gz"), "final", {})

    @app.put("/upload")
    def receive():
        raise OSError(errno.ENOSPC, "No space left on device")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    client = TestClient(app)
    assert client.put("/label?content=former").status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        reply = client.put("/label?content=newer")
    assert reply.status_code == 507 and "No space left on device. Free some space" in reply.json()["detail"]
    assert datastore.label_file("one", "final").read_bytes() == b"former"
    assert client.put("/upload").status_code == 507
    datastore.close()
