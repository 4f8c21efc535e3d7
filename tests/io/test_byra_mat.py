"""The public set of fatty livers: a file of its layout becomes cases with their answers."""

import hashlib

import numpy as np
import pytest
import scipy.io

from liver_models.errors import UnsuitableInputError
from liver_models.io import byra_mat
from liver_models.io.byra_mat import FIELDS, is_byra, read_byra, recognised
from liver_models.io.case import load_case
from liver_models.io.class_label import class_label_path, read_class_labels
from liver_models.io.importer import import_source
from liver_models.ultrasound.frames import frames_of
from liver_models.ultrasound.reading import read_cohort

TYPES = [(name, object) for name in FIELDS]


def patient(number, rows=60, columns=80):
    rng = np.random.default_rng(number)
    images = np.zeros((3, rows, columns), np.uint8)
    images[:, 10:50, 15:65] = rng.integers(20, 200, (3, 40, 50))
    fat = 3 if number % 2 else 30 + number
    return (np.array([[number]]), np.array([[fat > 5]], np.uint8), np.array([[fat]], np.uint8), images)


def write(path, patients, types=TYPES, **options):
    data = np.array([patients], dtype=types)
    scipy.io.savemat(path, {"data": data}, do_compression=True, **options)
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "dataset.mat", [patient(k) for k in (1, 2, 3)])


def test_patients_come_out_as_they_were_stored(file):
    assert is_byra(file)
    for number, found in enumerate(read_byra(file), start=1):
        assert found.patient_id == str(number) and found.is_fatty == (number == 2)
        assert found.fat_percent == (3 if number % 2 else 32)
        assert np.array_equal(found.images, patient(number)[3])


def test_every_patient_becomes_a_case_with_answer_and_fat(file, tmp_path):
    report = import_source(file, tmp_path / "studies")
    assert report.case_ids == ("byra-01", "byra-02", "byra-03") and "not its SHA-256" in report.note
    case = load_case(tmp_path / "studies" / "byra-02.case.json")
    assert case.species == "human" and case.clinical == {"histology_fat_percent": 32.0} and not case.is_simulated
    assert len(case.ultrasound.images) == 3
    label = read_class_labels(class_label_path(tmp_path / "studies", "byra-02"))["nafld"]
    assert label.value is True and label.source == "clinical.csv"
    subjects = read_cohort(tmp_path / "studies")
    assert [subject.is_fatty for subject in subjects] == [False, True, False]
    assert np.array_equal(subjects[1].pairs[2].b_mode[16:44, 21:59], patient(2)[3][2, 16:44, 21:59])
    assert all("histology_fat_percent" not in subject.clinical for subject in subjects)
    frames = frames_of(subjects)
    assert len(frames) == 9 and frames.patients == {"byra-01", "byra-02", "byra-03"} and not frames.is_simulated


def test_the_same_file_is_not_imported_twice(file, tmp_path):
    import_source(file, tmp_path / "studies")
    assert import_source(file, tmp_path / "studies").existing_ids == ("byra-01", "byra-02", "byra-03")


def test_the_published_file_is_recognised_by_its_digest(file, monkeypatch):
    assert "not its SHA-256" in recognised(file)
    monkeypatch.setattr(byra_mat, "BYRA_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    assert "is the public set 10.5281/zenodo.1009146, unchanged" in recognised(file)


def test_a_multi_echo_file_is_not_taken_for_it(tmp_path):
    path = tmp_path / "echoes.mat"
    scipy.io.savemat(path, {"data": np.zeros((4, 4, 6)), "te": np.arange(6), "Tesla": 1.5})
    assert not is_byra(path)
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0")
    assert not is_byra(tmp_path / "broken.mat")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one: (one[0], one[1] * 0 + 2, *one[2:]), "class needs to be 0 or 1.*patient 1 of 'a.mat' has 2"),
        (lambda one: (*one[:2], one[2] * 0 + 101, one[3]), "has 0 and 101"),
        (lambda one: (*one[:3], one[3].astype(float)), r"uint8; patient 1 of 'a.mat' has \(3, 60, 80\), float64"),
        (lambda one: (*one[:3], one[3][0]), r"has \(60, 80\), uint8"),
        (lambda one: (np.array([[1.5]]), *one[1:]), "field id needs a whole number; patient 1 of 'a.mat' has 1.5"),
        (lambda one: ("x", *one[1:]), "field id needs one number"),
    ],
)
def test_a_patient_with_a_fault_is_refused(tmp_path, change, sentence):
    path = write(tmp_path / "a.mat", [change(patient(1))])
    with pytest.raises(UnsuitableInputError, match=sentence):
        import_source(path, tmp_path / "studies")
    assert not list((tmp_path / "studies").glob("*.case.json")) if (tmp_path / "studies").exists() else True


def test_another_struct_and_a_file_cut_short_are_refused(tmp_path):
    names = ("id", "class", "fat", "frames")
    other = write(tmp_path / "other.mat", [patient(1)], [(name, object) for name in names])
    with pytest.raises(UnsuitableInputError, match="exactly; 'other.mat' has id, class, fat, frames"):
        list(read_byra(other))
    whole = write(tmp_path / "whole.mat", [patient(1)]).read_bytes()
    (tmp_path / "short.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnsuitableInputError, match="whole MATLAB file.*'short.mat' cannot be read as one"):
        list(read_byra(tmp_path / "short.mat"))


def test_a_patient_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match="own id; '1' is there twice"):
        list(read_byra(write(tmp_path / "a.mat", [patient(1), patient(1)])))
