"""The images of stored cases over HTTP: where they lie, how they look, what is known of them, and refusals."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import sys
import threading
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from client import start_server
from PIL import Image
from remote_studies import write_ultrasound
from test_guards import refused

from liver_models.io.importer import import_source
from liver_models.io.picture_file import PICTURE_AFFINE
from liver_models.segmentation.region_reading import magnitude_of, read_region_case

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ultrasound"))
from make_ultrasound import BOX, SHAPE, edit, make_cohort  # noqa: E402

MRI, RAT, HUMAN = "simulated-vials", "rat-001", "rat-002"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """rat-001 has a pair of pictures; the other case an elastogram before its B-mode pictures, and no species."""
    folder = make_cohort(tmp_path_factory.mktemp("cohort"), 2)

    def other(content):
        b_mode, swe = content["images"]
        second = {"file": "bmode_2.png", "role": "bmode", "name": "right"}
        content["images"] = [swe | {"scale": None, "box": None}, second, b_mode | {"name": "left"}]
        content["species"], content["is_simulated"] = "rat", False

    Image.fromarray(np.full((40, 50, 3), (90, 80, 70), np.uint8)).save(folder / HUMAN / "bmode_2.png")
    edit(folder / HUMAN, other)
    return folder


@pytest.fixture(scope="module")
def server(studies, cohort, tmp_path_factory):
    """The shared cases, two of ultrasound, two ultrasound files of one patient, and a damaged case."""
    folder = tmp_path_factory.mktemp("image-studies") / "studies"
    shutil.copytree(studies, folder, ignore=lambda _, names: [name for name in names if name.startswith(".")])
    import_source(cohort, folder)
    for number, seed in enumerate((1, 2), start=1):
        write_ultrasound(folder / "source", seed, n_images=1)
        (folder / "source" / "8.dcm").rename(folder / f"plain-{number}.dcm")
        _set_patient(folder / f"plain-{number}.dcm")
    (folder / "source").rmdir()
    manifest = folder / f"{RAT}.case.json"
    damaged = json.loads(manifest.read_text()) | {"case_id": "damaged"}
    (folder / "damaged.case.json").write_text(json.dumps(damaged))
    shutil.copytree(folder / "files" / RAT, folder / "files" / "damaged")
    (folder / "files" / "damaged" / "swe_1.png").write_bytes(b"no picture")
    running = start_server(folder, tmp_path_factory.mktemp("image-server") / "log.txt")
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


def _set_patient(path: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.PatientID = "one-patient"
    dataset.save_as(path)


def asked(server, case_id: str):
    reply = server.call("GET", f"/liver/cases/{case_id}/images")
    assert reply.status == 200, reply.body[:400]
    parts = reply.parts()
    volumes = {name: nib.Nifti1Image.from_bytes(gzip.decompress(parts[name])) for name in parts if name != "reply"}
    assert [image["name"] for image in parts["reply"]["images"]] == list(volumes)
    return parts["reply"], volumes


def picture_of(volume) -> np.ndarray:
    """Pixels as files of pictures hold them, shape (rows, columns) or (rows, columns, 3)."""
    values = np.asarray(volume.dataobj)[:, :, 0].T
    return np.stack([values[name] for name in "RGB"], axis=-1) if values.dtype.names else values


def test_an_mri_lies_where_its_study_does_and_is_what_the_liver_is_outlined_on(server, phantom):
    reply, volumes = asked(server, MRI)
    study, volume = phantom[0], volumes["magnitude"]
    np.testing.assert_allclose(volume.affine, study.affine, atol=1e-4)
    assert np.count_nonzero(np.abs(study.affine[:3, :3]) > 0.1) > 3  # It is oblique.
    values = np.asarray(volume.dataobj)
    case = read_region_case(server.studies / f"{MRI}.case.json")
    assert values.dtype == np.float32 and np.array_equal(values, case.volume(list(case.images)))
    assert (reply["kind"], reply["is_simulated"], reply["clinical"], reply["species"]) == ("mri", True, [], None)
    assert reply["echo_times_s"] == pytest.approx(study.echo_times_s.tolist(), abs=1e-6)
    assert reply["field_strength_t"] == pytest.approx(study.field_strength_t)
    assert "not a medical device" in reply["notice"]


def test_pictures_come_as_the_reader_sees_them_and_fit_the_outline(server, cohort):
    reply, volumes = asked(server, RAT)
    for name, file in {"bmode_left": "bmode_1.png", "swe_left": "swe_1.png"}.items():
        with Image.open(cohort / RAT / file) as picture:
            assert np.array_equal(picture_of(volumes[name]), np.asarray(picture)), name
        assert np.array_equal(volumes[name].affine, PICTURE_AFFINE)
    colour = volumes["swe_left"].header
    assert (int(colour["datatype"]), volumes["bmode_left"].get_data_dtype()) == (128, np.uint8)
    outline = server.call("POST", "/liver/infer/liver_roi", {"image": RAT}).parts()["liver_roi"]
    outlined = nib.Nifti1Image.from_bytes(gzip.decompress(outline))
    assert outlined.shape == volumes["bmode_left"].shape == (SHAPE[1], SHAPE[0], 1)
    assert np.array_equal(outlined.affine, volumes["bmode_left"].affine)
    assert (reply["kind"], reply["is_simulated"], reply["echo_times_s"]) == ("ultrasound", True, None)


def test_spacing_box_and_scale_are_told_and_null_where_not_known(server):
    b_mode, swe = asked(server, RAT)[0]["images"]
    assert b_mode["pixel_spacing_mm"] == [0.1, 0.2] and b_mode["scale"] is b_mode["box"] is b_mode["unit"] is None
    assert swe["pixel_spacing_mm"] is None and swe["box"] == list(BOX)
    assert swe["scale"] == {"low": 0, "high": 20, "unit": "kPa"}
    assert asked(server, HUMAN)[0]["images"][1]["scale"] is None


def test_the_first_b_mode_picture_is_the_outlined_one_whatever_the_order(server):
    reply, volumes = asked(server, HUMAN)
    assert [image["role"] for image in reply["images"]] == ["bmode", "swe", "bmode"] and not reply["is_simulated"]
    outline = server.call("POST", "/liver/infer/liver_roi", {"image": HUMAN}).parts()["liver_roi"]
    outlined = nib.Nifti1Image.from_bytes(gzip.decompress(outline))
    assert outlined.shape == volumes[reply["images"][0]["name"]].shape
    assert outlined.shape != volumes["bmode_right"].shape
    # A B-mode picture in colour is not made grey.
    assert np.array_equal(picture_of(volumes["bmode_right"])[0, 0], [90, 80, 70])


def test_clinical_values_are_those_of_the_case_with_their_ranges(server):
    told = {one["name"]: one for one in asked(server, HUMAN)[0]["clinical"]}
    assert told["weight_g"] == {
        "name": "weight_g",
        "title": "Weight",
        "unit": "g",
        "low": 50,
        "high": 1500,
        "value": 452,
    }
    assert len(told) == 9 and told["ggt_u_per_l"]["value"] is None and told["ast_alt_ratio"]["unit"] == ""


def test_the_same_request_gives_the_same_bytes(server):
    for case_id in (MRI, RAT):
        first, again = (server.call("GET", f"/liver/cases/{case_id}/images") for _ in range(2))
        assert first.body == again.body and first.headers["content-type"] == again.headers["content-type"]


def test_a_stored_file_is_itself_and_not_another_one_of_its_patient(server):
    import pydicom

    for name in ("plain-1", "plain-2"):
        reply, volumes = asked(server, name)
        stored = pydicom.dcmread(server.studies / f"{name}.dcm").pixel_array
        (volume,) = volumes.values()
        assert np.array_equal(picture_of(volume), stored) and reply["is_simulated"] is None
        outlined = read_region_case(server.studies / f"{name}.dcm").images[0]
        assert np.array_equal(outlined[outlined > 0], stored[outlined > 0]) and (outlined > 0).mean() > 0.5


@pytest.mark.parametrize(
    ("case_id", "status", "words"),
    [
        ("nobody", 404, "There is no case 'nobody' on this server"),
        ("plain", 422, "PDFF needs"),
        ("damaged", 422, "'swe_1.png' has changed. Restore it"),
        ("..%2Fplain", 404, "This server has no GET"),
        (".hidden", 422, "'id' needs a name"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(server, case_id, status, words):
    reply = server.call("GET", f"/liver/cases/{case_id}/images")
    refused(reply, status, words)
    assert str(server.studies) not in reply.detail


def test_an_image_of_names_that_become_the_same_stays_apart(tmp_path):
    from liver_models.segmentation.case_images import read_case_images

    folder = make_cohort(tmp_path / "cohort", 1) / RAT
    shutil.copy(folder / "bmode_1.png", folder / "bmode_2.png")
    names = ("Lappen 1", "Lappen_1")
    files = [{"file": f"bmode_{k}.png", "role": "bmode", "name": name} for k, name in enumerate(names, start=1)]
    (folder / "swe_1.png").unlink()
    edit(folder, lambda content: content.update(images=files))
    assert [image.name for image in read_case_images(folder).images] == ["bmode_Lappen_1", "bmode_Lappen_1_2"]


def test_the_magnitude_of_many_echoes_needs_little_more_than_one():
    from liver_models.io.study import MultiEchoStudy

    signal = np.full((24, 32, 32, 16), 3 + 4j, np.complex64)
    times = np.arange(1, 25) * 1e-3
    study = MultiEchoStudy.from_echoes(signal, times, field_strength_t=3.0, affine=np.diag((2.0, 3, 4, 1)))
    tracemalloc.start()
    magnitude = magnitude_of(study)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (magnitude == 5).all() and peak < 4 * signal[0].nbytes


def test_a_case_of_a_dicomweb_store_is_fetched_when_its_images_are_asked_for(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from fake_store import FakeStore
    from fastapi import FastAPI

    from liver_apps import entry

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib import image_routes
    from liver_apps.liver.lib.dicomweb import DicomWebDatastore
    from liver_apps.liver.lib.dicomweb_client import StoreClient
    from liver_apps.liver.lib.failures import StoreUnreachableError

    remote = FakeStore()
    case_id = write_ultrasound(tmp_path / "us")
    remote.send(tmp_path / "us")
    store = DicomWebDatastore(StoreClient(remote.address), tmp_path / "cache", look_every_s=None)
    monkeypatch.setattr(image_routes, "app_instance", lambda: SimpleNamespace(datastore=lambda: store))
    app = FastAPI()
    image_routes.add_image_routes(app, max_waiting=8)
    ask = app.routes[-1].endpoint
    try:
        remote.fault = "half"
        with pytest.raises(StoreUnreachableError, match="Try again"):
            ask(case_id)
        remote.fault = ""
        assert ask(case_id).status_code == 200
        images = image_routes.read_case_images(store.case_source(case_id)).images
        stored = [np.random.default_rng([1, number]).integers(20, 200, (48, 64), np.uint8) for number in (1, 2)]
        for image, pixels in zip(images, stored, strict=True):
            assert np.array_equal(picture_of(nib.Nifti1Image.from_bytes(gzip.decompress(image.nifti()))), pixels)
    finally:
        store.close()
        remote.close()


def test_of_too_many_requests_the_last_is_told_to_come_back(monkeypatch):
    from types import SimpleNamespace

    from fastapi import FastAPI

    from liver_apps import entry

    entry.make_stand_ins_importable()
    from liver_apps.liver.lib import image_routes
    from liver_apps.liver.lib.failures import ServerBusyError

    is_reading, may_end = threading.Event(), threading.Event()

    def read(_):
        is_reading.set()
        assert may_end.wait(30)
        return image_routes.CaseImages("mri", None, ())

    store = SimpleNamespace(case_source=lambda _: Path("x.nii.gz"))
    monkeypatch.setattr(image_routes, "read_case_images", read)
    monkeypatch.setattr(image_routes, "app_instance", lambda: SimpleNamespace(datastore=lambda: store))
    app = FastAPI()
    image_routes.add_image_routes(app, max_waiting=0)
    ask = app.routes[-1].endpoint
    reading = threading.Thread(target=ask, args=("a",))
    reading.start()
    assert is_reading.wait(30)
    with pytest.raises(ServerBusyError, match="0 already wait. Try again"):
        ask("b")
    may_end.set()
    reading.join(30)
    assert ask("b").status_code == 200
