"""The whole circle over HTTP: asked for a case, outline it, train, better answers, asked again."""

from __future__ import annotations

import gzip
import signal
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from client import start_server
from discs import case_id, disc, import_discs, save_region, waited

from liver_models.learning.overlap import dice
from liver_models.mri.phantom import make_phantom

ROUTE, TRAIN = "/liver/infer/liver_roi", "/liver/train/liver_roi"
NEXT, SCORE = "/liver/next/liver_roi", "/liver/score/liver_roi"
N_CASES, N_OUTLINED = 14, 10


def served_discs(tmp_path_factory):
    """A server on discs that nobody outlined."""
    folder, studies = tmp_path_factory.mktemp("discs"), tmp_path_factory.mktemp("loop-studies")
    import_discs(studies, folder, N_CASES)
    running = start_server(studies, tmp_path_factory.mktemp("loop-server") / "log.txt")
    yield running[1]
    running[0].send_signal(signal.SIGTERM)
    running[0].wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from served_discs(tmp_path_factory)


def outlined(server, k: int, **params) -> tuple[np.ndarray, dict]:
    parts = server.call("POST", ROUTE, {"image": case_id(k), "params": params}).parts()
    volume = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(parts["liver_roi"])).dataobj)
    return volume[:, :, 0].T > 0, parts["reply"]


def go_around(server, device: str) -> None:
    held_out = range(N_OUTLINED, N_CASES)
    first = server.call("GET", NEXT).json()
    assert first["id"].startswith("simulated-disc") and "no case is scored yet" in first["reason"]
    assert waited(server, SCORE, lambda s: s["state"] == "idle")["done"] == N_CASES  # It began by itself.
    assert "scored cases" in server.call("GET", NEXT).json()["reason"]

    before = [outlined(server, k, device=device) for k in held_out]
    assert all("simulated" in reply["model"]["trained_on"] for _, reply in before)
    asked = set()
    for _ in range(N_OUTLINED):
        found = server.call("GET", f"{NEXT}?seed=1").json()
        k = int(found["id"][-2:])
        if k in held_out:  # Kept aside by this test alone; another one is outlined instead.
            k = next(j for j in range(N_OUTLINED) if j not in asked)
        assert k not in asked
        asked.add(k)
        assert save_region(server, k, disc(k)[1], reader="anna").status == 200
    started = server.call("POST", TRAIN, {"epochs": 6, "seed": 3, "device": device})
    assert started.status == 200, started.body
    assert server.call("POST", TRAIN, {"epochs": 6}).status == 429
    done = waited(server, TRAIN, lambda s: s["state"] != "running")
    assert done["state"] == "done", done["message"]
    assert done["options"]["device"] == device
    assert done["result"]["published_version"] == 1 and done["result"]["metric_after"] > done["result"]["metric_before"]
    assert done["curve"][-1]["loss"] < done["curve"][1]["loss"]

    scored = waited(server, SCORE, lambda s: s["state"] == "idle" and s["version"] == 1)
    assert scored["done"] == N_CASES - N_OUTLINED
    after = [outlined(server, k, device=device) for k in held_out]
    gained = [
        dice(new[0], disc(k)[1]) - dice(old[0], disc(k)[1]) for k, old, new in zip(held_out, before, after, strict=True)
    ]
    assert np.mean(gained) > 0.1
    assert all(reply["model"]["version"] == "site-v1" for _, reply in after)
    following = server.call("GET", NEXT).json()
    assert int(following["id"][-2:]) in held_out and following["n_labelled"] == N_OUTLINED

    for k in held_out:
        save_region(server, k, disc(k)[1])
    assert server.call("GET", NEXT).json()["id"] is None
    assert "All cases are labelled" in server.call("GET", NEXT).json()["reason"]
    server.call("POST", f"/liver/cases/{case_id(0)}/reopen")
    assert server.call("GET", NEXT).json()["id"] == case_id(0)


@pytest.mark.slow
def test_the_circle(server):
    go_around(server, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_circle_on_a_gpu(tmp_path_factory):
    for other in served_discs(tmp_path_factory):
        go_around(other, "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
@pytest.mark.parametrize(("route", "body"), [(TRAIN, {"device": "cuda"}), (ROUTE, {"params": {"device": "cuda"}})])
def test_a_gpu_that_is_not_there_is_refused(server, route, body):
    reply = server.call("POST", route, body if route == TRAIN else {"image": case_id(0), **body})
    assert reply.status == 422 and "The device cuda needs an NVIDIA GPU; none was found." in reply.detail


def test_clicks_refine_within_what_the_reader_said(server):
    region, reply = outlined(server, 3, foreground=[[5, 90, 0]], background=[[48, 48, 0]])
    assert region[90, 5] and not region[48, 48] and reply["result"]["is_refined"]


def test_stock_clients_are_told_the_next_case_and_the_types(server):
    info = server.call("GET", "/info/").json()
    assert info["models"]["liver_roi"]["type"] == "segmentation"
    assert info["models"]["liver_roi_clicks"]["type"] == "deepedit"
    assert {"default", "random", "variance"} <= set(info["strategies"])
    assert server.call("POST", "/activelearning/random", {}).json().get("id", "simulated-disc").startswith("simulated")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/liver/next/none", 404, "liver_roi, fibrotic_nash, nafld, pdff"),
        ("/liver/next/liver_roi?strategy=best", 422, "The strategy needs to be one of"),
    ],
)
def test_unknown_names_are_refused(server, path, status, sentence):
    reply = server.call("GET", path)
    assert reply.status == status and sentence in reply.detail


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"foreground": [[5, 90]]}, "voxels"),
        ({"foreground": [[5, 90, 4]]}, "slice 4"),
        ({"contour": [[5, 90, 0]]}, "three corners"),
        ({"threshold": 1}, "knows the parameters"),
        ({"device": "tpu"}, "device needs to be one of auto, cpu, cuda"),
    ],
)
def test_clicks_that_cannot_be_used_are_refused(server, params, sentence):
    reply = server.call("POST", ROUTE, {"image": case_id(0), "params": params})
    assert reply.status == 422 and sentence in reply.detail


def test_an_mri_gets_its_liver_and_a_region_in_each_lobe(tmp_path):
    from liver_apps.liver.lib.region_job import outline_liver
    from liver_models.io.export import write_bids

    study, truth = make_phantom("liver", snr=40, seed=12, size=128, n_slices=3, slice_thickness_mm=8)
    write_bids(study, tmp_path / "sub-01")
    result = outline_liver(tmp_path / "sub-01", None, {}, tmp_path, Path(tmp_path / "none"), progress=lambda *_: None)
    liver = np.asarray(nibabel.load(tmp_path / "liver_roi.nii.gz").dataobj) > 0
    rois = np.asarray(nibabel.load(tmp_path / "measurement_rois.nii.gz").dataobj)
    assert dice(liver, truth.liver_mask) > 0.85 and result["volume_ml"] > 0
    assert result["measurement_rois"] == ["right_lobe", "left_lobe"]
    assert all(truth.liver_mask[rois == number].mean() > 0.9 for number in (1, 2))
    world = study.affine[0, :3] @ np.argwhere(rois == 1).mean(0), study.affine[0, :3] @ np.argwhere(rois == 2).mean(0)
    assert world[0] > world[1]  # RAS+: the right lobe lies to the patient's right... by the phantom's own axes.
