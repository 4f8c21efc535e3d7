"""Simulated cohorts on disk: read back as they were made, and from the command line."""

import json

import numpy as np
import pytest

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.io.picture_file import open_picture
from liver_models.ultrasound.phantom import simulate_cohort
from liver_models.ultrasound.phantom_files import write_cohort
from liver_models.ultrasound.reading import read_cohort

BOTH = ("ecg", "text")


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(6, 3, seed=5, n_pairs=2, size=112, shortcuts=BOTH)


@pytest.fixture(scope="module")
def folder(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("Grüße x") / "cohort"
    write_cohort(cohort, out)
    return out


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_written_cohort_is_read_back_as_it_was_made(cohort, folder):
    read = read_cohort(folder)
    assert [subject.case_id for subject in read] == list(cohort.case_ids)
    for made, found in zip(cohort, read, strict=True):
        assert (found.patient_id, found.is_fibrotic_nash) == (made.patient_id, made.is_fibrotic_nash)
        assert found.is_simulated and len(found.pairs) == 2
        assert found.clinical == pytest.approx(dict(made.clinical), rel=1e-3)
        assert found.median_stiffness_kpa() == pytest.approx(made.median_stiffness_kpa(), abs=0.05)
        for mine, theirs in zip(made.pairs, found.pairs, strict=True):
            assert mine.name == theirs.name
            assert np.array_equal(np.isfinite(mine.stiffness_kpa), np.isfinite(theirs.stiffness_kpa))
            assert np.nanmax(np.abs(mine.stiffness_kpa - theirs.stiffness_kpa)) < 0.15
            assert np.array_equal(mine.swe_rgb, theirs.swe_rgb)


def test_the_reader_masks_what_is_burned_in_and_keeps_the_sector(cohort, folder):
    marked = next(index for index, marks in enumerate(cohort.marks) if marks == BOTH)
    sector = cohort.frame(marked, 0).organ_map > 0
    raw = open_picture(folder / cohort.case_ids[marked] / "bmode_1.png").grey()
    read = read_cohort(folder)[marked].pairs[0].b_mode
    assert (raw[~sector] > 100).sum() > 40
    assert not (read[~sector] > 100).any()
    assert np.mean(read[sector] == raw[sector]) > 0.97


def test_the_same_cohort_gives_the_same_files(cohort, folder, tmp_path):
    again = simulate_cohort(6, 3, seed=5, n_pairs=2, size=112, shortcuts=BOTH)
    write_cohort(again, tmp_path / "again")
    assert files_of(folder) == files_of(tmp_path / "again")


def test_the_truth_lies_in_a_folder_that_says_it_is_simulated(cohort, folder):
    truth = folder / "simulated_truth"
    assert len(list(truth.iterdir())) == 13 and all(path.name.startswith("simulated") for path in truth.iterdir())
    about = json.loads((truth / "simulated_truth.json").read_text("utf-8"))
    assert about["is_simulated"] is True and about["organs"]["2"] == "liver"
    assert [subject["fat_percent"] for subject in about["subjects"]] == cohort.fat_percent.tolist()
    organs = open_picture(truth / f"simulated_organs_{cohort.case_ids[2]}_2.png").grey()
    assert np.array_equal(organs, cohort.frame(2, 1).organ_map)


def test_a_folder_that_holds_something_is_refused(cohort, folder):
    with pytest.raises(UnsuitableInputError, match="needs a new or empty folder; 'cohort' holds something"):
        write_cohort(cohort, folder)


def test_progress_is_told_after_each_subject(tmp_path):
    told = []
    write_cohort(simulate_cohort(3, 1, n_pairs=1, size=64), tmp_path / "out", on_subject=told.append)
    assert told == [1, 2, 3]


def test_the_command_writes_the_cohort_of_its_options_and_import_takes_it(cohort, folder, tmp_path, capsys):
    options = "--subjects 6 --fibrotic 3 --seed 5 --pairs 2 --size 112 --shortcuts ecg,text".split()
    assert main(["phantom", "ultrasound", "--out", str(tmp_path / "out"), *options]) == 0
    assert "simulated cohort of 6 subjects, 3 fibrotic" in capsys.readouterr().out
    assert files_of(folder) == files_of(tmp_path / "out")
    assert main(["import", str(tmp_path / "out"), "--studies", str(tmp_path / "studies")]) == 0
    assert len(list((tmp_path / "studies" / "labels" / "final").iterdir())) == 6
    assert "skipped" not in capsys.readouterr().out


def test_the_command_refuses_with_a_sentence_and_leaves_nothing(tmp_path, capsys):
    assert main(["phantom", "ultrasound", "--out", str(tmp_path / "out"), "--subjects", "3"]) != 0
    assert "needs 0 to 3 fibrotic subjects" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    assert main(["phantom", "ultrasound", "--out", str(tmp_path / "full")]) != 0
    assert "A phantom needs a new or empty folder" in capsys.readouterr().err
