"""A DICOMweb store as the datastore: nothing is fetched early, nothing is lost, and every fault is one sentence."""

import hashlib
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from remote_studies import draw_region, write_mri, write_ultrasound
from stored_labels import answer

from liver_apps.liver.lib import dicomweb_client
from liver_apps.liver.lib.activelearning.chooser import Chooser
from liver_apps.liver.lib.cases import listed_cases
from liver_apps.liver.lib.dicomweb import DicomWebDatastore
from liver_apps.liver.lib.dicomweb_client import StoreClient
from liver_apps.liver.lib.failures import StoreError, StoreRefusedError, StoreUnreachableError, UnknownNameError
from liver_apps.liver.lib.layout import ANSWER, REGION
from liver_apps.liver.lib.published import PublishedWeights
from liver_models.errors import UnsuitableInputError


@pytest.fixture
def opened(caches):
    """A function that opens a cache of the store as each start of a server does."""
    return caches


def saved(store, case_id, path, reader="anna", shift=0, tag="final"):
    return store.save_label(case_id, str(draw_region(store, case_id, path, shift)), tag, {"reader": reader})


def shown(store, case_id) -> list[tuple]:
    return [(item.tag, item.kind, item.reader) for item in store.labels_of(case_id)]


def pixels(path: Path) -> int:
    from liver_models.io.volumes import read_volume

    return int(np.asarray(read_volume(path)[0] > 0).sum())


def test_listing_fetches_no_image_and_the_first_use_fetches_one_study(remote, opened, tmp_path):
    cases = [write_mri(tmp_path / "mri"), *(write_ultrasound(tmp_path / f"us{n}", n) for n in range(3))]
    remote.send(tmp_path)
    store = opened()
    assert store.list_images() == sorted(cases) and store.get_unlabeled_images() == sorted(cases)
    assert [(one["kind"], one["is_simulated"]) for one in listed_cases(store)] == [("case", None)] * 4
    assert len(remote.asked) == 4 and not [path for path in remote.asked if "/series/" in path]
    source = store.case_source(cases[0])
    assert json.loads(source.read_bytes())["cse_mri"]["format"] == "dicom"
    assert len([path for path in remote.asked if "/series/" in path]) == 1
    n_asked = len(remote.asked)
    assert store.case_source(cases[0]) == source and len(remote.asked) == n_asked
    assert [one["is_simulated"] for one in listed_cases(store)] == [True, None, None, None]


def test_a_long_list_is_asked_for_in_pages(remote, opened, tmp_path, monkeypatch):
    for seed in range(7):
        write_ultrasound(tmp_path / f"us{seed}", seed, n_images=1)
    remote.send(tmp_path)
    monkeypatch.setattr(dicomweb_client, "PAGE", 3)
    assert len(opened().list_images()) == 7
    assert len([path for path in remote.asked if "Modality=US" in path]) == 3


def test_every_server_fetches_the_images_in_their_order_whatever_the_files_are_called(remote, opened, picture):
    first = [json.loads(opened(n).case_source(picture).read_bytes())["ultrasound"]["images"][0] for n in "ab"]
    assert first[0]["sha256"] == first[1]["sha256"]
    cases = opened("a").folder / "files" / picture
    by_digest = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in cases.iterdir()}
    import pydicom

    assert pydicom.dcmread(by_digest[first[0]["sha256"]]).InstanceNumber == 1


def test_two_servers_see_each_others_labels_with_their_readers(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    assert there.get_unlabeled_images() == [picture]
    there.refresh()
    assert shown(there, picture) == [("final", REGION, "anna")]
    assert there.get_unlabeled_images() == [] and there.labelled_with(REGION) == [picture]
    assert not (there.folder / "files").exists()  # A label needs no images.
    saved(there, picture, tmp_path / "r.nii.gz", "ben", shift=30)
    here.refresh()
    assert shown(here, picture) == [("final", REGION, "ben")]
    expected = [{"readers": ["anna", "ben"], "dice": 0.0}]
    assert [store.disagreements()[0]["dice"] for store in (here, there)] == [expected] * 2
    assert pixels(here.label_file(picture, "final")) == 20 * 16


def test_regions_of_an_mri_are_compared_in_one_geometry(remote, opened, tmp_path):
    case_id = write_mri(tmp_path / "mri")
    remote.send(tmp_path)
    here, there = opened("a"), opened("b")
    saved(here, case_id, tmp_path / "r.nii.gz", "anna")
    there.refresh()
    saved(there, case_id, tmp_path / "r.nii.gz", "ben", shift=2)
    here.refresh()
    (one,) = here.disagreements()
    assert one["dice"] == [{"readers": ["anna", "ben"], "dice": 0.6}] == there.disagreements()[0]["dice"]


def test_answers_go_over_the_store_too_and_stay_beside_a_region(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    (tmp_path / "a.label.json").write_bytes(answer(True, "ben"))
    here.save_label(picture, str(tmp_path / "a.label.json"), "final", {})
    there.refresh()
    assert shown(there, picture) == [("final", ANSWER, "ben"), ("final", REGION, "anna")]
    assert there.label_file(picture, "final", ANSWER).read_bytes() == answer(True, "ben")
    assert {header.Modality for header, _ in remote.files.values()} == {"US", "SEG", "SR"}


def test_a_reopened_case_is_offered_again_everywhere_and_labelled_again(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    there.refresh()
    (former,) = there.reopen(picture)
    assert (there.folder / former).is_file()
    assert there.get_unlabeled_images() == [picture]
    here.refresh()
    assert here.get_unlabeled_images() == [picture] and shown(here, picture) == []
    new = opened("c")
    assert new.get_unlabeled_images() == [picture]
    saved(new, picture, tmp_path / "r.nii.gz", "ben")
    for store in (here, there):
        store.refresh()
        assert shown(store, picture) == [("final", REGION, "ben")]
    with pytest.raises(UnknownNameError, match="has no label under the tag 'none'"):
        here.reopen(picture, "none")


def test_a_removed_label_is_gone_on_every_server_and_computed_maps_stay_here(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    here.save_maps(picture, {"liver_roi": b"map"}, {})
    there.refresh()
    here.remove_label(picture, "final")
    there.refresh()
    assert shown(there, picture) == [] and shown(here, picture) == [("liver_roi", REGION, "")]
    n_objects = len(remote.files)
    here.remove_label(picture, "liver_roi")
    assert shown(here, picture) == [] and len(remote.files) == n_objects


@pytest.mark.parametrize("seed", range(6))
def test_every_server_comes_to_the_same_labels_in_whatever_order_they_arrive(remote, opened, picture, tmp_path, seed):
    here = opened("here")
    (tmp_path / "a.label.json").write_bytes(answer(False, "ben"))
    for shift, reader in enumerate(("anna", "ben", "cleo")):
        saved(here, picture, tmp_path / "r.nii.gz", reader, shift=shift * 10)
    here.save_label(picture, str(tmp_path / "a.label.json"), "final", {})
    here.remove_label(picture, "final", REGION)
    saved(here, picture, tmp_path / "r.nii.gz", "anna", shift=5)
    here.reopen(picture)
    saved(here, picture, tmp_path / "r.nii.gz", "ben", shift=25)
    images = {uid: one for uid, one in remote.files.items() if one[0].Modality == "US"}
    labels = [one for one in remote.files.items() if one[0] not in images]
    assert len(labels) == 8
    remote.files = dict(images)
    there = opened("there")
    for k in np.random.default_rng(seed).permutation(len(labels)):
        remote.files |= [labels[k]]
        there.refresh()
    assert shown(there, picture) == shown(here, picture) == [("final", REGION, "ben")]
    assert there.disagreements() == here.disagreements()
    assert there.disagreements()[0]["readers"] == ["anna", "ben"]


def test_a_lost_cache_is_made_again_from_the_store(remote, opened, picture, tmp_path):
    here = opened("a")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    saved(here, picture, tmp_path / "r.nii.gz", "ben", shift=8)
    here.reopen(picture)
    saved(here, picture, tmp_path / "r.nii.gz", "anna", shift=4)
    expected = shown(here, picture), here.disagreements()
    here.close()
    (here.folder / ".liverlabel-dicomweb.sqlite").write_bytes(b"damaged" * 500)
    assert (shown(again := opened("a"), picture), again.disagreements()) == expected
    assert (shown(new := opened("new"), picture), new.disagreements()) == expected
    assert pixels(new.label_file(picture, "final")) == 20 * 16


def test_a_study_that_grew_is_fetched_again(remote, opened, picture, tmp_path):
    store = opened()
    assert len(json.loads(store.case_source(picture).read_bytes())["ultrasound"]["images"]) == 2
    write_ultrasound(tmp_path / "more", n_images=3)
    remote.send(tmp_path / "more")
    store.refresh()
    assert len(json.loads(store.case_source(picture).read_bytes())["ultrasound"]["images"]) == 3
    write_ultrasound(tmp_path / "most", n_images=4)
    remote.send(tmp_path / "most")
    store.refresh()
    remote.fault = "status:503"
    assert len(json.loads(store.case_source(picture).read_bytes())["ultrasound"]["images"]) == 3


def test_a_filter_chooses_series_and_a_study_that_left_is_listed_no_more(remote, opened, picture, tmp_path):
    mri = write_mri(tmp_path / "mri")
    remote.send(tmp_path / "mri")
    assert opened("a", search={"Modality": "MR"}).list_images() == [mri]
    assert opened("b", search={"SeriesDescription": "*abdo*"}).list_images() == [picture]
    store = opened("c")
    remote.files = {uid: one for uid, one in remote.files.items() if one[0].Modality == "US"}
    store.refresh()
    assert store.list_images() == [picture]


FAULTS = {
    "status:503": (StoreUnreachableError, "needs to answer; it failed with 503. Look into its log"),
    "status:401": (StoreRefusedError, "needs a user it knows; it answered 401 to no user. Set MONAI_LABEL_DICOMWEB_"),
    "status:404": (StoreRefusedError, "--studies needs the root of a DICOMweb service, .* answered 404"),
    "status:400": (StoreRefusedError, "refused a request with 400"),
    "page": (StoreRefusedError, "--studies needs the root of a DICOMweb service, .* answered with something else"),
    "hang": (StoreUnreachableError, r"needs to answer; it does not \(no reply in time\). Start it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_fails_at_the_start_is_told_in_a_sentence_and_found_later(
    remote, opened, picture, fault, monkeypatch
):
    monkeypatch.setattr(dicomweb_client, "READ_S", 0.3)
    remote.fault = fault
    store = opened()
    kind, sentence = FAULTS[fault]
    for ask in (store.list_images, store.listing, store.refresh):
        with pytest.raises(kind, match=sentence):
            ask()
    assert not store.status()["store"]["is_reachable"]
    remote.fault = ""
    store.refresh()
    assert store.list_images() == [picture] and store.status()["store"]["is_reachable"]


def test_a_store_that_is_not_there_is_named(tmp_path):
    store = DicomWebDatastore(StoreClient("http://127.0.0.1:9/dicom-web"), tmp_path, look_every_s=None)
    with pytest.raises(StoreUnreachableError, match=r"127.0.0.1:9/dicom-web needs to answer; .*\(Connection refused\)"):
        store.list_images()
    store.close()


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        ("half", StoreUnreachableError, "delivered 1 of 2 images of a series. Try again; nothing was kept"),
        ("cut", StoreError, r"it does not \(the connection ended\)|delivered . of 2 images"),
        ("status:500", StoreUnreachableError, "it failed with 500"),
    ],
)
def test_a_half_delivered_study_is_refused_and_nothing_of_it_stays(remote, opened, picture, fault, kind, sentence):
    store = opened()
    remote.fault = fault
    with pytest.raises(kind, match=sentence):
        store.case_source(picture)
    assert store.list_images() == [picture] and not (store.folder / "files").exists()
    assert not list(store.folder.glob(".fetching-*"))
    remote.fault = ""
    assert store.case_source(picture).is_file()


def test_a_study_still_arriving_is_refused_by_what_it_lacks(remote, opened, tmp_path):
    case_id = write_mri(tmp_path / "mri")
    remote.send(tmp_path)
    last = max(remote.of("MR"), key=lambda header: header.InstanceNumber).SOPInstanceUID
    held_back = remote.files.pop(last)
    store = opened()
    with pytest.raises(
        UnsuitableInputError, match="Export every image. If the study is still arriving at the store, try"
    ):
        store.case_source(case_id)
    remote.files[last] = held_back
    assert store.case_source(case_id).is_file()


def test_a_label_saved_while_the_store_is_down_waits_over_a_restart(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    here.case_source(picture)
    remote.fault = "status:502"
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    assert shown(here, picture) == [("final", REGION, "anna")] and remote.of("SEG") == []
    assert here.status()["store"]["n_labels_waiting"] == 1
    here.close()
    again = opened("a")
    assert shown(again, picture) == [("final", REGION, "anna")]
    assert again.list_images() == [picture] and again.status()["store"]["n_labels_waiting"] == 1
    remote.fault = ""
    again.refresh()
    there.refresh()
    assert again.status()["store"]["n_labels_waiting"] == 0 and len(remote.of("SEG")) == 1
    assert shown(there, picture) == [("final", REGION, "anna")]


def test_a_waiting_label_does_not_replace_one_that_was_drawn_later(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b")
    here.case_source(picture)
    remote.fault = "status:503"
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    remote.fault = ""
    saved(there, picture, tmp_path / "r.nii.gz", "ben", shift=8)
    for store in (here, there):
        store.refresh()
    for store in (here, there):
        assert shown(store, picture) == [("final", REGION, "ben")]
        assert store.disagreements()[0]["readers"] == ["anna", "ben"]


def test_a_waiting_label_that_is_refused_does_not_hold_up_the_next(remote, opened, picture, tmp_path):
    store = opened()
    store.case_source(picture)
    remote.fault = "status:503"
    saved(store, picture, tmp_path / "r.nii.gz", "anna")
    saved(store, picture, tmp_path / "r.nii.gz", "ben", tag="second")
    remote.fault = "refuse once"
    store.refresh()
    assert store.status()["store"]["n_labels_waiting"] == 1 and len(remote.of("SEG")) == 1
    store.close()
    assert opened().status()["store"]["n_labels_waiting"] == 0 and len(remote.of("SEG")) == 2


def test_scoring_passes_over_a_study_of_no_use_and_ends_with_a_sentence_without_the_store(remote, opened, tmp_path):
    cases = write_ultrasound(tmp_path / "us"), write_mri(tmp_path / "mri")
    remote.send(tmp_path)
    first_echo = {uid: one for uid, one in remote.files.items() if one[0].get("EchoNumbers", 1) == 1}
    remote.files = first_echo
    store, published = opened(), PublishedWeights(tmp_path / "models", "liver_roi")
    chooser = Chooser("liver_roi", ScoresAll(), published, store)

    def scored() -> str:
        chooser.start_scoring()
        chooser._thread.join(timeout=30)
        return chooser.describe()["message"]

    remote.fault = "status:503"
    assert "needs to answer; it failed with 503" in scored()
    remote.fault = ""
    assert scored() == "Every unlabelled case is scored by the weights in use."
    found = chooser.next_case("random", seed=0)
    assert (found["id"], found["n_unlabelled"]) == (cases[0], 2)
    saved(store, cases[0], tmp_path / "r.nii.gz")
    found = chooser.next_case("random", seed=0)
    assert found["id"] is None and "PDFF needs at least 3 echoes" in found["reason"]


class ScoresAll:
    """A worker that finds every case as uncertain."""

    quiet_s = float("inf")

    def run(self, job, source, *_, is_background):
        return {"patient_id": source.name, "uncertainty": 0.5}


def test_a_label_the_store_refuses_leaves_the_former_one(remote, opened, picture, tmp_path):
    store = opened()
    saved(store, picture, tmp_path / "r.nii.gz", "anna")
    before = store.label_file(picture, "final").read_bytes()
    for fault, sentence in (("refuse", "DICOM failure 272"), ("status:403", "needs a user it knows")):
        remote.fault = fault
        with pytest.raises(StoreRefusedError, match=sentence):
            saved(store, picture, tmp_path / "r.nii.gz", "ben", shift=8)
        with pytest.raises(StoreRefusedError, match=sentence):
            store.reopen(picture)
    assert store.label_file(picture, "final").read_bytes() == before
    assert shown(store, picture) == [("final", REGION, "anna")] and store.status()["store"]["n_labels_waiting"] == 0
    remote.fault = ""
    store.refresh()
    assert shown(store, picture) == [("final", REGION, "anna")]


def test_what_a_store_cannot_hold_is_refused_before_anything_is_sent(remote, opened, picture, tmp_path):
    store = opened()
    path = draw_region(store, picture, tmp_path / "r.nii.gz")
    with pytest.raises(UnsuitableInputError, match="needs a tag of up to"):
        store.save_label(picture, str(path), "t" * 60, {})
    (tmp_path / "a.label.json").write_bytes(b"\xff")
    with pytest.raises(UnsuitableInputError, match="needs to be JSON in UTF-8"):
        store.save_label(picture, str(tmp_path / "a.label.json"), "final", {})
    with pytest.raises(UnsuitableInputError, match="Images come from the DICOMweb store at http://127.0.0.1.*Send it"):
        store.add_image("x", str(path), {})
    with pytest.raises(UnsuitableInputError, match="is removed there"):
        store.remove_image(picture)
    with pytest.raises(UnknownNameError, match="There is no case 'none'"):
        store.save_label("none", str(path), "final", {})
    assert {header.Modality for header, _ in remote.files.values()} == {"US"}


def test_a_foreign_or_damaged_object_is_passed_over(remote, opened, picture, tmp_path):
    here = opened("a")
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    (uid,) = [header.SOPInstanceUID for header in remote.of("SEG")]
    header, content = remote.files[uid]
    assert (n := content.count(b"label 1")) == 1
    remote.files[uid] = (header, content.replace(b"label 1", b"lapel x"))
    there = opened("b")
    assert there.list_images() == [picture] and shown(there, picture) == []
    remote.files[uid] = (header, content)
    assert shown(opened("c"), picture) == [("final", REGION, "anna")] * n


def test_training_reads_what_is_labelled_or_here_and_fetches_no_more(remote, opened, tmp_path):
    cases = [write_ultrasound(tmp_path / f"us{n}", n) for n in range(4)]
    remote.send(tmp_path)
    here, there = opened("a"), opened("b")
    saved(here, cases[2], tmp_path / "r.nii.gz")
    there.refresh()
    there.case_source(cases[0])
    assert there.cases_at_hand() == sorted([cases[0], cases[2]])
    assert [pair["image"].endswith(f"{cases[2]}.case.json") for pair in there.datalist()] == [True]
    assert len(list((there.folder / "files").iterdir())) == 2


def test_a_case_is_fetched_once_by_many_threads(remote, opened, picture):
    store, found = opened(), []
    threads = [threading.Thread(target=lambda: found.append(store.case_source(picture))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 6
    assert len([path for path in remote.asked if "/series/" in path]) == 1


def test_a_server_looks_at_the_store_by_itself(remote, opened, picture, tmp_path):
    here, there = opened("a"), opened("b", look_every_s=0.05)
    saved(here, picture, tmp_path / "r.nii.gz", "anna")
    deadline = time.monotonic() + 10
    while there.get_unlabeled_images() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert shown(there, picture) == [("final", REGION, "anna")]


def test_a_store_that_does_not_answer_is_503_and_one_that_refuses_502():
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from liver_apps.liver.lib import errors

    app = FastAPI()
    errors.install(app)

    @app.get("/{kind}")
    def fail(kind: str):
        raise {"down": StoreUnreachableError, "refused": StoreRefusedError}[kind]("One sentence.")

    client = TestClient(app)
    down, refused = client.get("/down"), client.get("/refused")
    assert (down.status_code, down.json(), down.headers["retry-after"]) == (503, {"detail": "One sentence."}, "30")
    assert (refused.status_code, refused.json()) == (502, {"detail": "One sentence."})


def test_serve_hands_the_address_of_a_store_on_and_makes_no_folder(tmp_path, monkeypatch):
    from liver_models.__main__ import main

    called = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.execve", lambda program, command, environment: called.append(command))
    main(["serve", "--studies", "http://127.0.0.1:8042/dicom-web"])
    (command,) = called
    assert command[command.index("--studies") + 1] == "http://127.0.0.1:8042/dicom-web"
    assert not list(tmp_path.iterdir())
