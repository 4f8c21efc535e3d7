"""``liverlabel audit``: a planted shortcut and a patient under two ids are found, a plain cohort passes."""

from __future__ import annotations

import json
import shutil

import pytest

from liver_models.__main__ import main
from liver_models.ultrasound.audit_samples import audit_samples
from liver_models.ultrasound.phantom import simulate_cohort
from liver_models.ultrasound.phantom_files import write_cohort
from liver_models.ultrasound.reading import read_cohort


def written(folder, **options):
    write_cohort(simulate_cohort(30, 12, seed=4, n_pairs=1, size=96, **options), folder)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return written(tmp_path_factory.mktemp("plain") / "simulated")


def test_a_cohort_without_faults_passes(plain, capsys):
    assert main(["audit", str(plain)]) == 0
    assert "error:" not in capsys.readouterr().out


def test_a_planted_shortcut_is_found(tmp_path, capsys):
    marked = written(tmp_path / "simulated-marked", shortcuts=("ecg", "text"))
    assert main(["audit", str(marked), "--out", str(tmp_path / "found.json")]) == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert "shortcut" in {finding["kind"] for finding in found["findings"]}
    assert "error:" in capsys.readouterr().out


def test_the_same_picture_under_two_patients_is_found(plain, tmp_path, capsys):
    copied = tmp_path / "copied"
    shutil.copytree(plain, copied)
    shutil.copy(copied / "simulated-rat-0001" / "bmode_1.png", copied / "simulated-rat-0002" / "bmode_1.png")
    assert main(["audit", str(copied)]) == 1
    assert "simulated-rat-0001" in capsys.readouterr().out


def test_answers_to_two_questions_are_not_mixed(plain, tmp_path):
    cohort = shutil.copytree(plain, tmp_path / "cohort")
    lines = (cohort / "clinical.csv").read_text().splitlines()
    column = lines[0].split(",").index("fibrotic_nash")
    rows = [line.split(",") for line in lines]
    for k, row in enumerate(rows[1:]):
        row[column] = row[column] if k < 2 else ""
    text = "\n".join(",".join([*row, "nafld" if k == 0 else "yes"]) for k, row in enumerate(rows))
    (cohort / "clinical.csv").write_text(text + "\n")
    assert {one.label for one in audit_samples(read_cohort(cohort, needs_stiffness=False))} == {True}
    assert len({one.label for one in audit_samples(read_cohort(plain, needs_stiffness=False))}) == 2


def test_a_seed_below_0_is_refused(plain, capsys):
    assert main(["audit", str(plain), "--seed", "-1"]) == 2
    assert "An audit needs a seed from 0; found -1" in capsys.readouterr().err
