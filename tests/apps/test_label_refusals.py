"""Regions that no method could learn from are refused when they are saved, and what was stored stays."""

from __future__ import annotations

import json
import signal

import nrrd
import numpy as np
import pytest
from client import start_server
from PIL import Image
from test_guards import refused

from liver_models.io.export import write_bids, write_dicom
from liver_models.io.importer import import_source
from liver_models.io.volumes import volume_bytes, write_volume
from liver_models.mri.phantom import make_phantom
from liver_models.segmentation.region_reading import read_frames

PICTURE, MRI, DICOM, PLAIN, BROKEN = "picture", "mri", "dicom", "plain", "broken"
COLUMNS, ROWS = 40, 32


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A picture, the same oblique study as NIfTI and as DICOM, a plain image, and a case that lost a file."""
    folder, studies = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("refusing-studies")
    (folder / PICTURE).mkdir()
    Image.fromarray(np.full((ROWS, COLUMNS), 90, np.uint8)).save(folder / PICTURE / "bmode_1.png")
    sidecar = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": "p", "species": "rat"}
    images = [{"file": "bmode_1.png", "role": "bmode", "name": "1"}]
    (folder / PICTURE / "ultrasound.json").write_text(json.dumps({**sidecar, "is_simulated": True, "images": images}))
    import_source(folder / PICTURE, studies, case_id=PICTURE)
    study, _ = make_phantom("vials", snr=50, size=16, n_slices=3, oblique_deg=20, seed=5)
    for case_id, write in ((MRI, write_bids), (DICOM, write_dicom), (BROKEN, write_bids)):
        write(study, folder / case_id / "sub-01")
        import_source(folder / case_id / "sub-01", studies, case_id=case_id)
    next((studies / "files" / BROKEN).rglob("*.nii.gz")).unlink()
    write_volume(studies / f"{PLAIN}.nii.gz", np.zeros((7, 5, 4), np.float32), np.diag([1.0, 2, 3, 1]))
    return studies


@pytest.fixture(scope="module")
def server(studies, tmp_path_factory):
    running = start_server(studies, tmp_path_factory.mktemp("refusing-server") / "log.txt")
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


def frame_of(studies, case_id):
    suffix = ".nii.gz" if case_id == PLAIN else ".case.json"
    return read_frames(studies / f"{case_id}{suffix}")[0]


def region(shape, affine, value=1) -> bytes:
    mask = np.zeros(shape, np.uint8)
    mask[1:4, 2:5, :] = value
    return volume_bytes(mask, affine)


def save(server, case_id, content, tag="final", name="region.nii.gz", **params):
    path = f"/datastore/label?image={case_id}&tag={tag}"
    return server.send("PUT", path, [("label", name, content)], {"params": json.dumps(params)})


def shown(server) -> dict:
    """Every visible or hidden file around the labels, with its bytes, but for the index."""
    return {path: path.read_bytes() for path in (server.studies / "labels").rglob("*") if path.is_file()}


@pytest.mark.parametrize("case_id", [PICTURE, MRI, DICOM, PLAIN])
def test_a_region_that_does_not_fit_is_refused_and_the_former_stays(server, case_id):
    frame = frame_of(server.studies, case_id)
    assert save(server, case_id, region(frame.shape, frame.affine), reader="anna").status == 200
    before, listed = shown(server), server.call("GET", f"/liver/labels/{case_id}").json()
    moved = frame.affine.copy()
    moved[:3, 3] += 0.3
    wrong = [
        (region(frame.shape, frame.affine, value=0), f"The region of '{case_id}' needs a voxel that is set; none is. "),
        (region((frame.shape[0] + 1, *frame.shape[1:]), frame.affine), f"{frame.shape[0] + 1} x {frame.shape[1]} x "),
        (b"no volume", "needed"),
        (region(frame.shape, frame.affine)[:-20], "damaged"),
    ]
    if case_id != PICTURE:
        wrong.append((region(frame.shape, moved), f"the region of '{case_id}' lies up to 0.52 mm from"))
    for content, sentence in wrong:
        refused(save(server, case_id, content, reader="ben"), 422, sentence)
    assert shown(server) == before
    assert server.call("GET", f"/liver/labels/{case_id}").json() == listed
    assert not list((server.folder / "tmp").iterdir())


def test_an_empty_region_is_refused_with_what_to_do(server):
    frame = frame_of(server.studies, PICTURE)
    reply = save(server, PICTURE, region(frame.shape, frame.affine, value=0))
    refused(reply, 422, "Outline the liver, or leave the case unlabelled.")


def test_a_region_stored_with_swapped_axes_or_rounded_numbers_fits(server):
    frame = frame_of(server.studies, MRI)
    mask = np.zeros(frame.shape, np.uint8)
    mask[2:9, 3:6, 1:] = 1
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, frame.shape[0] - 1
    turned = volume_bytes(mask[::-1].swapaxes(0, 1), (frame.affine @ flip)[:, [1, 0, 2, 3]])
    assert save(server, MRI, turned).status == 200
    assert save(server, MRI, volume_bytes(mask, np.round(frame.affine, 3))).status == 200


def test_a_nrrd_region_is_compared_too(server, tmp_path):
    frame = frame_of(server.studies, MRI)
    lps = np.diag([-1, -1, 1, 1]) @ frame.affine
    header = {"space": "left-posterior-superior", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]}
    for shape, status in ((frame.shape, 200), ((frame.shape[0] + 1, *frame.shape[1:]), 422)):
        nrrd.write(str(tmp_path / "region.nrrd"), np.ones(shape, np.uint8), header)
        content = (tmp_path / "region.nrrd").read_bytes()
        reply = save(server, MRI, content, name="region.nrrd")
        assert reply.status == status, reply.body


def test_pictures_have_no_position(server):
    assert save(server, PICTURE, region((COLUMNS, ROWS, 1), np.eye(4))).status == 200
    refused(save(server, PICTURE, region((ROWS, COLUMNS, 1), np.eye(4))), 422, f"needs {COLUMNS} x {ROWS} x 1 pixels")


def test_a_case_that_cannot_be_read_takes_every_region_but_an_empty_one(server):
    assert save(server, BROKEN, region((9, 8, 7), np.eye(4))).status == 200
    before = shown(server)
    refused(save(server, BROKEN, region((9, 8, 7), np.eye(4), value=0)), 422, "leave the case unlabelled")
    assert shown(server) == before


def test_answers_and_other_tags_are_not_compared(server):
    answer = {"schema": "liverlabel.class_label", "schema_version": 1, "case_id": PICTURE, "task": "fibrotic_nash"}
    content = json.dumps({**answer, "value": True, "reader": "anna", "source": ""}).encode()
    assert save(server, PICTURE, content, name="x.label.json").status == 200
    assert save(server, PICTURE, region((3, 6, 2), np.eye(4), value=0), tag="draft").status == 200


def test_a_case_that_is_not_there_is_not_found(server):
    before = shown(server)
    refused(save(server, "nobody", region((5, 6, 1), np.eye(4))), 404, "no case 'nobody' on this server")
    assert shown(server) == before


def test_images_are_read_once_and_not_at_all_for_a_region_that_fits_a_map(studies, tmp_path, monkeypatch):
    from liver_apps.liver.lib.region_check import RegionCheck
    from liver_models.segmentation import region_reading

    read, original = [], region_reading.read_frames
    monkeypatch.setattr(region_reading, "read_frames", lambda path: read.append(path.name) or original(path))
    frame, check = frame_of(studies, DICOM), RegionCheck()
    source, path, computed = studies / f"{DICOM}.case.json", tmp_path / "region.nii.gz", tmp_path / "map.nii.gz"
    path.write_bytes(region(frame.shape, frame.affine))
    computed.write_bytes(region(frame.shape, frame.affine))
    check.refuse_unfit(DICOM, source, path, computed)
    assert read == ["map.nii.gz"]
    for _ in range(2):
        check.refuse_unfit(DICOM, source, path)
    assert read == ["map.nii.gz", source.name]
    computed.write_bytes(region((4, 5, 6), frame.affine))
    check.refuse_unfit(DICOM, source, path, computed)  # A map that does not fit is no reason to refuse.
