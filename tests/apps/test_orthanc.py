"""Two servers, each with a cache of its own, over a real Orthanc on loopback."""

import json
import signal
import time

import pytest
from client import start_server
from orthanc import PASSWORD, USER, make_orthanc
from remote_studies import draw_region, write_mri, write_ultrasound
from stored_labels import answer

from liver_apps.liver.lib.dicomweb import DicomWebDatastore
from liver_apps.liver.lib.dicomweb_client import StoreClient
from liver_apps.liver.lib.failures import StoreRefusedError, StoreUnreachableError
from liver_apps.liver.lib.layout import ANSWER, REGION
from liver_models.io.reading import read_study

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """An Orthanc with an MRI study and an ultrasound study of the same kind as a scanner sends."""
    found = make_orthanc(tmp_path_factory.mktemp("orthanc"))
    yield found
    found.stop()


@pytest.fixture
def stored(orthanc, tmp_path):
    """The ids of a new MRI case, an enhanced one and an ultrasound case; what was in Orthanc before is removed."""
    for study in orthanc.call("/studies"):
        orthanc.remove(f"/studies/{study}")
    made = (
        write_mri(tmp_path / "mr"),
        write_mri(tmp_path / "enhanced", 8, "enhanced"),
        write_ultrasound(tmp_path / "us"),
    )
    orthanc.send(tmp_path)
    return made


@pytest.fixture
def opened(orthanc, tmp_path):
    """A function that opens a cache of Orthanc as each start of a server does."""
    stores = []

    def make(name, user=USER, password=PASSWORD) -> DicomWebDatastore:
        client = StoreClient(orthanc.address, user, password)
        stores.append(DicomWebDatastore(client, tmp_path / name, look_every_s=None))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def shown(store, case_id) -> list[tuple]:
    return [(item.tag, item.kind, item.reader) for item in store.labels_of(case_id)]


def test_each_kind_of_case_goes_through_the_loop_on_two_servers(orthanc, stored, opened, tmp_path):
    here = opened("a")
    assert here.list_images() == sorted(stored) == here.get_unlabeled_images()
    assert not (tmp_path / "a" / "files").exists()
    for n, case_id in enumerate(stored, start=1):
        path = draw_region(here, case_id, tmp_path / "region.nii.gz")
        here.save_label(case_id, str(path), "final", {"reader": "anna"})
        assert len(orthanc.series("SEG")) == n
    there = opened("b")
    assert there.get_unlabeled_images() == []
    for case_id in stored:
        assert shown(there, case_id) == [("final", REGION, "anna")]
        path = draw_region(there, case_id, tmp_path / "region.nii.gz", shift=9)
        there.save_label(case_id, str(path), "final", {"reader": "ben"})
        there.reopen(case_id)
    here.refresh()
    assert here.get_unlabeled_images() == sorted(stored)
    expected = {case_id: [{"readers": ["anna", "ben"], "dice": 0.0 if "mr" in case_id else 0.55}] for case_id in stored}
    for store in (here, there):
        assert {one["id"]: one["dice"] for one in store.disagreements()} == expected
        assert [one["is_labelled"] for one in store.disagreements()] == [False] * 3


def test_the_images_that_come_back_are_those_that_went_up(stored, opened, tmp_path):
    store = opened("a")
    for case_id, folder in zip(stored, ("mr", "enhanced"), strict=False):
        fetched, original = read_study(store.case_source(case_id)), read_study(tmp_path / folder)
        assert (fetched.signal == original.signal).all() and (fetched.affine == original.affine).all()
        assert fetched.is_simulated and fetched.patient_id == original.patient_id


def test_a_segmentation_in_orthanc_says_what_it_is_of(orthanc, stored, opened, tmp_path):
    store = opened("a")
    for case_id in stored:
        path = draw_region(store, case_id, tmp_path / "region.nii.gz")
        store.save_label(case_id, str(path), "final", {"reader": "anna", "label_info": [{"name": "liver", "idx": 1}]})
    found = {}
    for instance in orthanc.call("/instances"):
        dataset = orthanc.dataset(f"/instances/{instance}/file")
        found.setdefault(dataset.Modality, []).append(dataset)
    images = {one.SOPInstanceUID: one for modality in ("MR", "US") for one in found[modality]}
    assert len(found["SEG"]) == 3
    for segmentation in found["SEG"]:
        assert str(segmentation.ContentCreatorName).rstrip("^") == "anna"
        assert [item.SegmentLabel for item in segmentation.SegmentSequence] == ["liver"]
        (series,) = segmentation.ReferencedSeriesSequence
        for one in series.ReferencedInstanceSequence:
            image = images[one.ReferencedSOPInstanceUID]
            assert image.SeriesInstanceUID == series.SeriesInstanceUID
            assert (image.StudyInstanceUID, image.PatientID) == (segmentation.StudyInstanceUID, segmentation.PatientID)
        assert segmentation.SeriesDescription == f"LiverLabel {image.Modality} region final"


def test_an_answer_is_found_by_the_other_server(orthanc, stored, opened, tmp_path):
    here, there = opened("a"), opened("b")
    (tmp_path / "a.label.json").write_bytes(answer(True, "anna"))
    here.save_label(stored[2], str(tmp_path / "a.label.json"), "final", {})
    there.refresh()
    assert shown(there, stored[2]) == [("final", ANSWER, "anna")]
    assert there.label_file(stored[2], "final").read_bytes() == answer(True, "anna")
    assert [one["SeriesDescription"] for one in orthanc.series("SR")] == ["LiverLabel US answer final"]


def test_an_object_that_is_sent_twice_is_stored_once(orthanc, stored, opened, tmp_path):
    store = opened("a")
    store.save_label(stored[2], str(draw_region(store, stored[2], tmp_path / "region.nii.gz")), "final", {})
    (series,) = [one["SeriesInstanceUID"] for one in orthanc.series("SEG")]
    found = [orthanc.dataset(f"/instances/{instance}/file") for instance in orthanc.call("/instances")]
    (segmentation,) = [dataset for dataset in found if dataset.Modality == "SEG"]
    StoreClient(orthanc.address, USER, PASSWORD).send(segmentation)
    assert [one["SeriesInstanceUID"] for one in orthanc.series("SEG")] == [series]


def test_wrong_credentials_are_told_and_lose_nothing(stored, opened):
    store = opened("a", password="wrong")
    with pytest.raises(StoreRefusedError, match=f"answered 401 to the user '{USER}'. Set MONAI_LABEL_DICOMWEB"):
        store.list_images()
    assert opened("a").list_images() == sorted(stored)


def test_a_stop_of_orthanc_loses_no_label(orthanc, stored, opened, tmp_path):
    here, there = opened("a"), opened("b")
    path = draw_region(here, stored[2], tmp_path / "region.nii.gz")
    orthanc.stop()
    try:
        here.save_label(stored[2], str(path), "final", {"reader": "anna"})
        with pytest.raises(StoreUnreachableError, match=r"needs to answer; it does not \(Connection refused\)"):
            here.case_source(stored[0])
        assert here.list_images() == sorted(stored) and shown(here, stored[2]) == [("final", REGION, "anna")]
        here.close()
    finally:
        orthanc.start()
    again = opened("a")
    there.refresh()
    assert again.status()["store"]["n_labels_waiting"] == 0
    assert shown(again, stored[2]) == shown(there, stored[2]) == [("final", REGION, "anna")]


@pytest.mark.slow
def test_a_server_on_an_address_infers_stores_and_offers_the_next(orthanc, stored, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_USERNAME", USER)
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("MONAI_LABEL_DICOMWEB_CACHE_EXPIRY", "1")
    process, server = start_server(orthanc.address, tmp_path / "log.txt")
    try:
        cases = server.call("GET", "/liver/cases").json()["cases"]
        assert [one["id"] for one in cases] == sorted(stored) and {one["is_simulated"] for one in cases} == {None}
        for case_id in (stored[0], stored[2]):
            reply = server.call("POST", "/liver/infer/liver_roi", {"image": case_id})
            assert reply.status == 200, reply.body
            region = draw_region(opened("b"), case_id, tmp_path / "region.nii.gz").read_bytes()
            sent = [("label", "region.nii.gz", region)]
            path = f"/datastore/label?image={case_id}&tag=final"
            assert server.send("PUT", path, sent, {"params": json.dumps({"reader": "anna"})}).status == 200
        assert server.call("GET", "/liver/next/liver_roi").json()["id"] == stored[1]
        other = opened("c")
        assert shown(other, stored[0]) == shown(other, stored[2]) == [("final", REGION, "anna")]
        other.reopen(stored[0])
        deadline = time.monotonic() + 30
        while server.call("GET", "/liver/next/liver_roi").json()["n_unlabelled"] < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        (region, *_) = server.call("GET", f"/liver/labels/{stored[2]}").json()["labels"]
        assert (region["tag"], region["reader"]) == ("final", "anna")
        left = {one["tag"] for one in server.call("GET", f"/liver/labels/{stored[0]}").json()["labels"]}
        assert "liver_roi" in left and "final" not in left
        orthanc.stop()
        refused = server.call("POST", "/liver/infer/liver_roi", {"image": stored[1]})
        assert refused.status == 503 and refused.headers["retry-after"] == "30"
        assert refused.detail.startswith(f"The store at {orthanc.address} needs to answer; it does not (Connection ref")
        assert server.call("POST", "/liver/infer/liver_roi", {"image": stored[2]}).status == 200
        orthanc.start()
        assert server.call("POST", "/liver/infer/liver_roi", {"image": stored[1]}).status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    uid = stored[0].removeprefix("mr-")
    assert uid not in (tmp_path / "log.txt").read_text() and PASSWORD not in (tmp_path / "log.txt").read_text()
