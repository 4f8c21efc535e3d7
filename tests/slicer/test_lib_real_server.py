"""The client and LiverLabel's own running server: connect, cases, measure, save, next."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from LiverLabelLib.client import LiverLabelClient, new_request_id
from LiverLabelLib.errors import CannotConnect, ConnectError, RefusedError
from LiverLabelLib.geometry import geometry_difference
from LiverLabelLib.nifti import Volume, write_nifti
from LiverLabelLib.outbox import Outbox
from LiverLabelLib.protocol import class_label_bytes
from LiverLabelLib.stats import segment_table
from LiverLabelLib.transport import Call

pytest.importorskip("monailabel", reason="the server's environment: in Slicer's, its tests run against another process")
APPS = Path(__file__).resolve().parents[1] / "apps"
sys.path.insert(0, str(APPS))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """Case -> folder of its NIfTI and JSON files, as they were before they were imported."""
    from liver_models.io.export import write_bids
    from liver_models.mri.phantom import make_phantom

    folders = {}
    for case_id, seed in (("vials-1", 7), ("vials-2", 8)):
        study, _ = make_phantom("vials", snr=100, size=16, n_slices=2, oblique_deg=20, seed=seed)
        folders[case_id] = tmp_path_factory.mktemp("bids") / "sub-01"
        write_bids(study, folders[case_id])
    return folders


@pytest.fixture(scope="module")
def server(tmp_path_factory, sources):
    """LiverLabel's own server, but that its training of ``pdff`` counts epochs."""
    from client import start_server

    from liver_models.io.importer import import_source

    studies = tmp_path_factory.mktemp("studies")
    for case_id, source in sources.items():
        import_source(source, studies, case_id=case_id)
    log = tmp_path_factory.mktemp("server") / "log.txt"
    running = start_server(studies, log, (str(APPS / "training_server.py"),))
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


def test_the_circle_from_connecting_to_the_next_case(server, tmp_path):
    with pytest.raises(ConnectError) as refused:
        LiverLabelClient(server.address, "not-this-one").connect()
    assert refused.value.reason is CannotConnect.WRONG_TOKEN
    client = LiverLabelClient(server.address, server.token)
    connected = client.connect()
    assert "pdff" in [task.name for task in connected.tasks] and client.info()["name"]
    assert [(case.id, case.is_simulated, case.labels) for case in client.cases()] == [
        ("vials-1", True, ()),
        ("vials-2", True, ()),
    ]

    request_id, sizes = new_request_id(), []
    call = Call(on_received=lambda done, total: sizes.append((done, total)))
    answer = client.infer("pdff", "vials-1", {"method": "ai_deal"}, request_id=request_id, call=call)
    assert client.progress(request_id).state == "done" and sizes[-1][0] == sizes[-1][1]
    assert answer.units["pdff_percent"] == "%" and answer.is_simulated
    fat, std = (answer.maps[name] for name in ("pdff_percent", "pdff_std_percent"))
    assert np.array_equal(client.label_volume("vials-1", "pdff_percent").array, fat.array, equal_nan=True)

    mask = np.zeros(fat.shape, np.uint8)
    mask[4:12, 4:12] = 1
    outbox = Outbox(tmp_path)
    kept = outbox.keep(str(client.address), "vials-1", write_nifti(Volume(mask, fat.affine)), "vials-1.nii.gz", "anna")
    outbox.send(client, kept, Call())
    assert outbox.waiting() == []
    stored = client.labels("vials-1")
    assert ("final", "region", "anna") in [(one.tag, one.kind, one.reader) for one in stored]
    assert np.array_equal(client.label_volume("vials-1").array, mask)

    # What the server says of the region is what is computed here from its maps.
    theirs = client.infer("pdff", "vials-1", {"method": "ai_deal"}, roi_tag="final").rois[0]
    ours = segment_table(fat.array, std.array, {"liver": mask}, fat.affine)[0]
    assert ours.n_voxels == theirs["n_voxels"] and ours.volume_ml == pytest.approx(theirs["volume_ml"], rel=1e-5)
    pairs = {"mean": "mean", "std": "std", "median": "median", "weighted_mean": "weighted_mean"}
    pairs["weighted_mean_std"] = "weighted_mean_std"
    for here, there in pairs.items():
        assert getattr(ours, here) == pytest.approx(theirs[f"pdff_{there}_percent"], rel=1e-4), here

    following = client.next_case("liver_roi", "random", seed=1)
    assert (following.id, following.n_labelled) == ("vials-2", 1)
    assert len(client.reopen("vials-1")) >= 1 and client.next_case("liver_roi", "random").n_labelled == 0


def test_the_images_of_a_case_lie_where_its_maps_do_and_its_answer_is_reached_beside_a_region(server):
    client = LiverLabelClient(server.address, server.token)
    found = client.images("vials-2")
    (image,) = found.images
    answer = client.infer("liver_roi", "vials-2")
    difference = geometry_difference(
        image.volume.shape, image.volume.affine, answer.maps["liver_roi"].shape, answer.maps["liver_roi"].affine
    )
    assert not difference and found.is_simulated and len(found.echo_times_s) == 6
    region = write_nifti(Volume(np.ones(image.volume.shape, np.uint8), image.volume.affine))
    client.save_label("vials-2", region, "vials-2.nii.gz", "anna")
    assert client.class_answer("vials-2") is None
    answer = class_label_bytes("vials-2", "fibrotic_nash", False, "anna")
    client.save_label("vials-2", answer, "vials-2.label.json", "anna")
    assert client.class_answer("vials-2") is False and client.label("vials-2")[:2] == b"\x1f\x8b"
    client.reopen("vials-2")
    assert client.class_answer("vials-2") is None
    for ask in (client.images, client.class_answer):
        with pytest.raises(RefusedError, match="no case 'nobody'"):
            ask("nobody")


def until(ask, is_so, limit_s=30.0):
    """What is asked for, once it is so."""
    deadline = time.monotonic() + limit_s
    while not is_so(told := ask()):
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def test_files_that_are_not_stored_are_measured_like_a_stored_case(server, sources):
    client = LiverLabelClient(server.address, server.token)
    client.tasks()
    cases, files = client.cases(), sorted(path for path in sources["vials-2"].rglob("*") if path.is_file())
    stored = client.infer("pdff", "vials-2", {"method": "graph_cut"}).maps["pdff_percent"]
    mask = np.zeros(stored.shape, np.uint8)
    mask[4:12, 6:9, 1] = 1
    request_id, sent = new_request_id(), []
    answer = client.infer_files(
        "pdff",
        files,
        {"method": "graph_cut"},
        roi=Volume(mask, stored.affine),
        request_id=request_id,
        call=Call(on_sent=lambda done, total: sent.append((done, total))),
    )
    assert answer.method == "graph_cut" and answer.is_simulated
    assert np.array_equal(answer.maps["pdff_percent"].array, stored.array, equal_nan=True)
    assert [row["n_voxels"] for row in answer.rois] == [mask.sum()]
    assert sent[-1][0] == sent[-1][1] > sum(path.stat().st_size for path in files)
    assert client.progress(request_id).state == "done"
    assert [case.id for case in client.cases()] == [case.id for case in cases]


def test_the_unlabelled_cases_are_scored_when_it_is_asked_for(server):
    client = LiverLabelClient(server.address, server.token)
    begun = client.start_scoring("liver_roi")
    assert (begun.state, begun.done) == ("running", 0)
    ended = until(lambda: client.scoring("liver_roi"), lambda told: told.state == "idle", 60)
    assert (ended.done, ended.total) == (2, 2)


def test_a_misplaced_region_is_refused_with_the_servers_sentence(server):
    client = LiverLabelClient(server.address, server.token)
    with pytest.raises(RefusedError) as refused:
        client.save_label("vials-2", write_nifti(Volume(np.ones((4, 4, 1), np.uint8), np.eye(4))), "x.nii.gz", "anna")
    assert refused.value.status == 422 and "16" in str(refused.value)


def test_the_states_of_training_and_scoring_are_read(server):
    client = LiverLabelClient(server.address, server.token)
    training = client.training("pdff")
    assert (training.state, training.version, training.curve, training.can_resume) == ("idle", 0, (), False)
    assert client.stop_training("pdff").state == "idle"
    assert client.scoring("liver_roi").state in ("idle", "running") and client.disagreements() == ()
    with pytest.raises(RefusedError, match="the known|epochs|knows"):
        client.start_training("pdff", {"epoch": 1})


@pytest.mark.slow
def test_a_training_is_started_stopped_gone_on_with_and_rolled_back(server):
    client = LiverLabelClient(server.address, server.token)
    begun = client.start_training("pdff", {"epochs": 30, "max_minutes": 0.5})
    assert (begun.state, begun.curve) == ("running", ())
    with pytest.raises(RefusedError, match="One training at a time") as refused:
        client.start_training("pdff")
    assert refused.value.status == 429
    until(lambda: client.training("pdff"), lambda told: len(told.curve) >= 2)
    stopped = client.stop_training("pdff")
    assert (stopped.state, stopped.can_resume, stopped.version) == ("stopped", True, 0) and len(stopped.curve) < 30

    assert client.start_training("pdff", {"max_minutes": 0.001}).state == "running"
    done = until(lambda: client.training("pdff"), lambda told: told.state != "running")
    assert (done.state, done.can_resume, done.version, done.versions) == ("done", False, 1, (0, 1))
    assert [point.epoch for point in done.curve] == list(range(1, 31)), "it went on from where it was stopped"

    assert client.roll_back_training("pdff").version == 0
    assert client.roll_back_training("pdff", 1).version == client.training("pdff").version == 1
    with pytest.raises(RefusedError, match="7") as refused:
        client.roll_back_training("pdff", 7)
    assert refused.value.status == 422
