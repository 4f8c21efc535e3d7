"""Fatty liver from the command line: simulate, train with and without synthetic images, ask."""

import json

import numpy as np
import pytest
from tiny_frames import tiny_frames

from liver_models.__main__ import main
from liver_models.io.files import sha256_of_bytes
from liver_models.io.picture_file import open_picture
from liver_models.io.synthetic_set import SyntheticImage, SyntheticManifest, picture_bytes, write_manifest
from liver_models.ultrasound.frames import frames_of
from liver_models.ultrasound.phantom_nafld import simulate_nafld_cohort, simulate_nafld_frames
from liver_models.ultrasound.reading import read_cohort

SIMULATE = ["phantom", "nafld", "--healthy", "4", "--fatty", "5", "--frames", "2", "--seed", "3"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("Grüße x") / "cohort"
    assert main([*SIMULATE, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def weights(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model.safetensors"
    command = ["nafld", "train", "--cases", str(cohort), "--out", str(out), "--steps", "2", "--device", "cpu"]
    assert main(command) == 0
    return out


def write_set(folder, patients, n=40):
    made = tiny_frames(n, 1, side=64)
    images = []
    (folder / "images").mkdir(parents=True)
    for k, image in enumerate(made.images):
        data = picture_bytes(image)
        (folder / "images" / f"{k}.png").write_bytes(data)
        images.append(SyntheticImage(f"images/{k}.png", bool(made.is_fatty[k]), sha256_of_bytes(data)))
    manifest = SyntheticManifest("ldm_class", "0" * 64, {}, tuple(patients), 0, {}, True, tuple(images))
    write_manifest(manifest, folder)
    return folder


def test_simulated_patients_are_read_back_as_they_were_drawn(cohort):
    frames, simulated = frames_of(read_cohort(cohort, needs_stiffness=False)), simulate_nafld_frames(4, 5, 2, seed=3)
    assert frames.names == simulated.names and frames.patient_ids == simulated.patient_ids
    assert np.array_equal(frames.is_fatty, simulated.is_fatty) and frames.is_simulated
    drawn = simulate_nafld_cohort(4, 5, 2, seed=3).frame(1, 1).b_mode
    assert np.array_equal(open_picture(cohort / "simulated-patient-002" / "bmode_02.png").grey(), drawn)


def test_the_truth_lies_apart_and_says_that_it_is_simulated(cohort):
    truth = json.loads((cohort / "simulated_truth" / "simulated_truth.json").read_text())
    assert truth["is_simulated"] and len(truth["subjects"]) == 9
    assert all((one["fat_percent"] >= 5) == one["nafld"] for one in truth["subjects"])
    assert "fat" not in (cohort / "clinical.csv").read_text()


def test_a_trained_model_answers_about_a_subject_and_about_a_cohort(cohort, weights, tmp_path, capsys):
    one = ["nafld", "predict", str(cohort / "simulated-patient-001"), "--out", str(tmp_path), "--weights", str(weights)]
    assert main(one) == 0
    told = capsys.readouterr().out
    assert "trained on 9 simulated patients" in told and "simulated-patient-001: " in told
    folder = tmp_path / "simulated-patient-001"
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "liverlabel.nafld.v1" and result["n_frames"] == 2 and result["is_simulated"]
    assert sorted(path.name for path in folder.glob("*.png")) == [
        f"{kind}_{k}.png" for kind in ("grad_cam", "gradient_shap") for k in (1, 2)
    ]
    assert main(["nafld", "predict", str(cohort), "--out", str(tmp_path), "--weights", str(weights), "--no-maps"]) == 0
    assert len(list(tmp_path.glob("*/result.json"))) == 9


def test_synthetic_images_of_another_fold_are_refused(cohort, tmp_path, capsys):
    command = ["nafld", "train", "--cases", str(cohort), "--out", str(tmp_path / "a.safetensors"), "--steps", "1"]
    stranger = write_set(tmp_path / "stranger", ["simulated-patient-001", "somebody"])
    assert main([*command, "--synthetic", str(stranger)]) == 2
    assert "not in this fold's training part: 'somebody'" in capsys.readouterr().err
    assert not (tmp_path / "a.safetensors").exists()


def test_synthetic_images_of_this_fold_are_mixed_in(cohort, tmp_path, capsys):
    folder = write_set(tmp_path / "set", ["simulated-patient-001", "simulated-patient-002"])
    command = ["nafld", "train", "--cases", str(cohort), "--out", str(tmp_path / "a.safetensors"), "--steps", "1"]
    assert main([*command, "--synthetic", str(folder), "--device", "cpu"]) == 0
    assert "synthetic images mixed in" in capsys.readouterr().out


def test_a_set_that_is_given_twice_is_refused(cohort, tmp_path, capsys):
    folder = write_set(tmp_path / "set", ["simulated-patient-001", "simulated-patient-002"])
    command = ["nafld", "train", "--cases", str(cohort), "--out", str(tmp_path / "a.safetensors"), "--steps", "1"]
    assert main([*command, "--synthetic", str(folder), "--synthetic", str(folder)]) == 2
    assert "'images/0.png' of 'set' is 'set/images/0.png', too" in capsys.readouterr().err


@pytest.mark.parametrize("augment", ["none", "stacked_gan"])
def test_a_place_that_cannot_be_written_is_named_not_traced(cohort, augment, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["nafld", "train", "--cases", str(cohort), "--out", str(tmp_path / "file" / "a.safetensors")]
    assert main([*command, "--steps", "1", "--device", "cpu", "--augment", augment]) == 2
    assert "A folder with free space that can be written is needed" in capsys.readouterr().err


def test_a_cohort_without_answers_is_refused(cohort, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    picture = (cohort / "simulated-patient-001" / "bmode_01.png").read_bytes()
    (tmp_path / "a" / "bmode_1.png").write_bytes(picture)
    (tmp_path / "clinical.csv").write_text("subject_id,patient_id,weight (kg)\na,p,80\n")
    out = str(tmp_path / "m.safetensors")
    command = ["nafld", "train", "--cases", str(tmp_path), "--out", out]
    assert main(command) == 2
    assert "State it in ultrasound.json" in capsys.readouterr().err
    sidecar = {"schema": "liverlabel.ultrasound", "schema_version": 1, "patient_id": "p", "is_simulated": True}
    sidecar |= {"species": "human", "images": [{"file": "bmode_1.png", "role": "bmode", "name": "1"}]}
    (tmp_path / "a" / "ultrasound.json").write_text(json.dumps(sidecar))
    assert main(command) == 2
    assert "known answer, fatty or not; found none" in capsys.readouterr().err
