"""``liverlabel experiment nafld``: tables, figures, what did not work; shared, resumed, and bound to one cohort."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import liver_models
from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.experiment.options import NafldExperimentOptions
from liver_models.synthesis.experiment.run import rows_of, run_experiment
from liver_models.ultrasound.frames import FrameSet

QUICK = NafldExperimentOptions(
    data=("none", "geometric"),
    rates=(0.0, 1.0),
    n_folds=2,
    n_seeds=2,
    simulated=(6, 8, 2),
    classifier={"steps": 2},
    n_resamples=50,
)
TINY_GAN = {"stacked_gan": {"steps": 2, "steps_per_round": 1, "width": 8}}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(liver_models.__file__).parents[1])}


def frames(seed: int = 0, n_patients: int = 12) -> FrameSet:
    """Noise, brighter where fatty; not simulated, so that nothing says it is."""
    rng = np.random.default_rng(seed)
    answers = np.repeat(np.arange(n_patients) % 2 == 0, 2)
    images = np.clip(rng.normal(90, 30, (len(answers), 80, 80)) + 40 * answers[:, None, None], 0, 255).astype(np.uint8)
    patients = tuple(np.repeat([f"p{k:02d}" for k in range(n_patients)], 2))
    return FrameSet(images, answers, patients, tuple(f"{one}/{k}" for k, one in enumerate(patients)))


def files_of(out: Path) -> dict[str, bytes]:
    """Everything that is published."""
    found = [out / "report.html", out / "results.json", *sorted((out / "tables").iterdir())]
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("nafld") / "out"
    return run_experiment("nafld", out, QUICK, frames()), out


def test_the_report_is_one_offline_page_that_says_what_did_not_work(finished):
    document, out = finished
    page = (out / "report.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page) and "SIMULATED" not in page
    assert "What did not work" in page or "What worked" in page
    assert "not a medical device" in page.lower() and "10.1038/s41598-023-48062-z" in page
    assert json.loads((out / "results.json").read_text("utf-8")) == document
    said = rows_of(document, "did_not_work") + rows_of(document, "worked")
    assert any(row["what"].startswith("geometric images at r = 1") for row in said)
    for name in document["tables"]:
        assert (out / "tables" / f"{name}.csv").is_file()


def test_every_frame_is_answered_out_of_fold_by_every_way_of_training(finished):
    rows = rows_of(finished[0], "answers")
    for data in ("none", "geometric"):
        names = [row["frame"] for row in rows if row["data"] == data]
        assert sorted(names) == sorted(frames().names)


def test_the_verdict_follows_the_interval(finished):
    gains = rows_of(finished[0], "table2_gain")
    assert len(gains) == 1
    expected = "gain" if gains[0]["patient_low"] > 0 else "harm" if gains[0]["patient_high"] < 0 else "not shown"
    said = rows_of(finished[0], "did_not_work") + rows_of(finished[0], "worked")
    assert said[0]["verdict"] == expected


def test_more_seeds_in_the_same_folder_compute_only_what_is_new(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    times = {path.name: path.stat().st_mtime_ns for path in (out / "units").iterdir()}
    before = len(list((out / "units").glob("classifier*.json")))
    document = run_experiment("nafld", out, replace(QUICK, n_seeds=3), frames())
    assert len(list((out / "units").glob("classifier*.json"))) == before + 4
    assert times.items() <= {path.name: path.stat().st_mtime_ns for path in (out / "units").iterdir()}.items()
    assert {row["n_seeds"] for row in rows_of(document, "table1_auc")} == {3}


def test_another_cohort_in_the_same_folder_is_refused_and_nothing_is_changed(finished):
    before = files_of(finished[1])
    with pytest.raises(UnsuitableInputError, match="needs the cohort that the folder's experiment began with"):
        run_experiment("nafld", finished[1], QUICK, frames(seed=1))
    assert files_of(finished[1]) == before


def test_folders_and_options_that_cannot_be_used_are_refused(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UnsuitableInputError, match="a folder of its own; .* also holds thesis.txt"):
        run_experiment("nafld", tmp_path, QUICK, frames())
    with pytest.raises(UnsuitableInputError, match="2 folds need at least 2 patients"):
        run_experiment("nafld", tmp_path / "out", QUICK, frames(n_patients=2))
    assert not (tmp_path / "out").exists()
    command = ["experiment", "nafld", "--out", str(tmp_path / "out")]
    for words, sentence in (
        (["--rates", "much"], "Mixing rates need numbers"),
        (["--option", "gpu.steps=1"], "needs the form PART.NAME=VALUE with a part of ldm_semantic"),
        (["--imagenet", "resnet50=file"], "need the form MODEL=FILE,SHA256"),
        (["--workers", "0"], "1 to 64 workers"),
    ):
        assert main([*command, *words]) == 2
        assert sentence in capsys.readouterr().err


def test_stopped_by_the_user_it_goes_on_to_the_same_bytes(finished, tmp_path):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment("nafld", tmp_path / "out", QUICK, frames(), progress=stop)
    assert not (tmp_path / "out" / "results.json").exists()
    run_experiment("nafld", tmp_path / "out", QUICK, frames())
    assert files_of(tmp_path / "out") == files_of(finished[1])


@pytest.mark.slow
def test_processes_that_share_a_folder_one_of_them_killed_end_with_the_same_bytes(tmp_path):
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    options = replace(QUICK, simulated=(4, 4, 2), classifier={"steps": 3}, seed=1)
    script = (
        "import sys; from pathlib import Path; from test_experiment_nafld import QUICK, replace, run_experiment; "
        "run_experiment('nafld', sys.argv[1], replace(QUICK, simulated=(4, 4, 2), classifier={'steps': 3}, seed=1), "
        "workers=int(sys.argv[2]))"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{Path(__file__).parent}"}

    def start(out, workers):
        return subprocess.Popen([sys.executable, "-c", script, str(out), str(workers)], env=environment)

    victim = start(shared, 2)
    end = time.monotonic() + 120
    while len(list((shared / "units").glob("classifier*.json")) if (shared / "units").is_dir() else []) < 2:
        assert time.monotonic() < end and victim.poll() is None
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    others = [start(shared, 2), start(shared, 1)]
    assert [process.wait(200) for process in others] == [0, 0]
    run_experiment("nafld", alone, options)
    assert files_of(shared) == files_of(alone)
    assert sorted(path.name for path in (shared / "units").iterdir()) == sorted(
        path.name for path in (alone / "units").iterdir()
    )
    assert not list((shared / "leases").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("is_filtered", [False, True])
def test_generated_images_are_bound_to_their_fold_judged_shown_and_explained(tmp_path, is_filtered):
    options = replace(
        QUICK, data=("none", "stacked_gan"), generator=TINY_GAN, is_filtered=is_filtered, n_seeds=1, simulated=(6, 8, 2)
    )
    document = run_experiment("nafld", tmp_path, options)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert document["data"] == "simulated" and "SIMULATED DATA" in page
    for stem in ("table3_images", "figure3_images", "figure4_explanation", "table4_baselines", "figure1_auc_by_rate"):
        assert rows_of(document, stem), stem
    scores = {row["score"] for row in rows_of(document, "table4_baselines")}
    assert {"Hepatorenal index", "Attenuation slope", "Texture and random forest"} < scores
    for folder in (tmp_path / "files").glob("draw__*"):
        manifest = json.loads((folder / "synthetic.json").read_text("utf-8"))
        fold = folder.name.partition("fold")[2][0]
        held_out = {row["patient"] for row in rows_of(document, "answers") if row["fold"] == int(fold)}
        assert manifest["audit"]["n_images"] == len(manifest["images"])
        assert held_out and not held_out & set(manifest["training_patients"])
    assert not list(tmp_path.glob("unfinished/*"))
