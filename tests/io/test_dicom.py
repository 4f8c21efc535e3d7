"""DICOM series: every image to its place, or a sentence."""

import errno
import os

import numpy as np
import pydicom
import pytest
from make_studies import ECHO_TIMES_S, at_same_places, edit_dicom, make_study
from pydicom.uid import generate_uid

from liver_models.errors import UnsuitableInputError
from liver_models.io.export import write_dicom
from liver_models.io.importer import import_source
from liver_models.io.reading import find_studies, read_study


def _refused(folder, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_study(folder)


def test_shuffled_files_give_the_same_bits(tmp_path):
    study = make_study()
    write_dicom(study, tmp_path / "a")
    write_dicom(study, tmp_path / "b")
    paths = sorted((tmp_path / "b").iterdir())
    order = np.random.default_rng(3).permutation(len(paths))
    for path, number in zip(paths, order, strict=True):
        path.rename(path.with_name(f"IM{number:04d}"))
    first, second = read_study(tmp_path / "a"), read_study(tmp_path / "b")
    assert first.signal.tobytes() == second.signal.tobytes()
    assert first.affine.tobytes() == second.affine.tobytes()
    assert first.echo_times_s.tobytes() == second.echo_times_s.tobytes()
    assert first.warnings == second.warnings


def test_echo_times_decide_and_not_echo_numbers_or_instance_numbers(tmp_path):
    study = make_study()
    write_dicom(study, tmp_path)

    def renumber(dataset):
        dataset.EchoNumbers = 7 - dataset.EchoNumbers
        dataset.InstanceNumber = 1

    edit_dicom(tmp_path, renumber)
    read = read_study(tmp_path)
    assert np.abs(at_same_places(read, study) - study.signal).max() < 2e-4 * np.abs(study.signal).max()


@pytest.mark.parametrize("is_one_series_an_echo", [False, True])
def test_magnitude_and_phase_may_be_series_of_their_own(tmp_path, is_one_series_an_echo):
    study = make_study()
    write_dicom(study, tmp_path)

    def split(dataset):
        number = 10 + (dataset.ImageType[2] == "P") + 2 * dataset.EchoNumbers * is_one_series_an_echo
        dataset.SeriesNumber, dataset.SeriesInstanceUID = number, generate_uid(entropy_srcs=[str(number)])

    edit_dicom(tmp_path, split)
    read = read_study(tmp_path)
    assert np.abs(at_same_places(read, study) - study.signal).max() < 2e-4 * np.abs(study.signal).max()


def test_the_repeats_of_one_protocol_are_paired_in_their_order(tmp_path):
    studies = [make_study(seed=seed) for seed in (1, 2)]
    for visit, study in enumerate(studies):
        folder = tmp_path / "all" / str(visit)
        write_dicom(study, folder)

        def split(dataset, visit=visit):
            number = 4 + 2 * visit + (dataset.ImageType[2] == "P")
            dataset.StudyInstanceUID = "1.2.3"
            dataset.SeriesNumber, dataset.SeriesInstanceUID = number, generate_uid(entropy_srcs=[str(number)])
            dataset.AcquisitionTime = f"1000{visit:02d}"

        edit_dicom(folder, split)
    found = find_studies(tmp_path / "all").studies
    assert len(found) == 2
    for item, study in zip(found, studies, strict=True):
        assert np.abs(at_same_places(item.read(), study) - study.signal).max() < 2e-4 * np.abs(study.signal).max()


def test_a_phase_series_that_fits_two_magnitude_series_is_refused(tmp_path):
    for seed in (1, 2):
        write_dicom(make_study(seed=seed), tmp_path / str(seed))

        def anonymise(dataset, seed=seed):
            dataset.StudyInstanceUID = "1.2.3"
            dataset.SeriesInstanceUID = f"1.2.3.{seed}.{len(dataset.ImageType[2]) + (dataset.ImageType[2] == 'P')}"
            dataset.SeriesNumber = 0
            if seed == 2 and dataset.ImageType[2] == "P":
                return False

        edit_dicom(tmp_path / str(seed), anonymise)
    _refused(tmp_path, "fits several equally well .* one acquisition at a time")


def test_two_acquisitions_become_two_cases_but_are_not_one_study(tmp_path):
    write_dicom(make_study(seed=1), tmp_path / "in" / "first")
    write_dicom(make_study(seed=2, echo_times_s=ECHO_TIMES_S[:4]), tmp_path / "in" / "second")
    _refused(tmp_path / "in", r"One acquisition is needed; 'in' holds 2: series 1 'SIMULATED multi-echo")
    report = import_source(tmp_path / "in", tmp_path / "studies")
    assert len(report.case_ids) == 2
    lengths = [len(read_study(tmp_path / "studies" / f"{name}.case.json").echo_times_s) for name in report.case_ids]
    assert sorted(lengths) == [4, 6]


def test_other_modalities_and_files_are_skipped_with_the_reason(tmp_path):
    study = make_study(shape=(5, 4, 2))
    write_dicom(study, tmp_path / "in")
    first = sorted((tmp_path / "in").iterdir())[0]
    dataset = pydicom.dcmread(first)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    dataset.Modality = "CT"
    dataset.save_as(tmp_path / "in" / "ct.dcm")
    dataset = pydicom.dcmread(first)
    dataset.ImageType, dataset.SeriesInstanceUID = ["DERIVED", "PRIMARY", "WATER"], "1.2.3.4"
    del dataset.ComplexImageComponent
    dataset.save_as(tmp_path / "in" / "water.dcm")
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    report = import_source(tmp_path / "in", tmp_path / "studies")
    reasons = {item.name: item.reason for item in report.skipped}
    assert reasons["ct.dcm"] == "not an MR image (modality CT, CT Image Storage)"
    assert reasons["water.dcm"].startswith("not a magnitude, phase, real or imaginary image")
    assert reasons["notes.txt"] == "not a DICOM file"


def test_another_modality_alone_is_refused_by_its_name(tmp_path):
    write_dicom(make_study(), tmp_path)

    def to_ct(dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        dataset.Modality = "CT"

    edit_dicom(tmp_path, to_ct)
    _refused(tmp_path, "not an MR image .modality CT.*Give the folder of a multi-echo gradient-echo acquisition")


def test_fewer_than_three_echoes_are_refused(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.EchoNumbers <= 2)
    _refused(tmp_path, "PDFF needs at least 3 echoes; this series has 2. Export every echo")


def test_an_echo_missing_from_the_train_is_named(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.EchoNumbers != 3)
    _refused(tmp_path, "so echo 3 is missing. Export every echo")


def test_a_first_echo_that_is_missing_is_said(tmp_path):
    write_dicom(make_study(), tmp_path)
    assert not any("numbered" in note for note in read_study(tmp_path).warnings)
    edit_dicom(tmp_path, lambda dataset: dataset.EchoNumbers != 1)
    assert any("numbered the first echo 2: those before it" in note for note in read_study(tmp_path).warnings)


def test_a_phase_image_missing_from_one_echo_is_named(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: not (dataset.EchoNumbers == 3 and dataset.ImageType[2] == "P"))
    _refused(tmp_path, "needs its phase image; .* has none at 5.2 ms")


def test_one_slice_missing_from_one_echo_is_refused(tmp_path):
    paths = write_dicom(make_study(), tmp_path)
    next(path for path in paths if path.name == "magnitude_echo03_slice0002.dcm").unlink()
    _refused(tmp_path, "has 4 slices, but its magnitude image at 5.2 ms has 3. Export every image")


def test_one_slice_missing_from_every_echo_leaves_a_gap_that_is_refused(tmp_path):
    for path in write_dicom(make_study(), tmp_path):
        if path.name.endswith("slice0002.dcm"):
            path.unlink()
    _refused(tmp_path, "Slices need equal spacing; .* between 6.5 and 13 mm apart")


def test_a_duplicate_echo_is_refused_with_both_files_named(tmp_path):
    write_dicom(make_study(), tmp_path)

    def repeat(dataset):
        if dataset.EchoNumbers == 4:
            dataset.EchoTime = ECHO_TIMES_S[2] * 1e3

    edit_dicom(tmp_path, repeat)
    _refused(tmp_path, "has two at 5.2 ms: 'magnitude_echo03_slice000..dcm' and 'magnitude_echo04_slice000..dcm'")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda d: setattr(d, "ImagePositionPatient", [v + 1 for v in d.ImagePositionPatient]),
            "one geometry|Slices need",
        ),
        (lambda d: setattr(d, "PixelSpacing", [2, 2]), "differ in orientation or pixel spacing"),
        (lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), "differ in orientation or pixel spacing"),
        (lambda d: (setattr(d, "Rows", 9), setattr(d, "Columns", 7)), "have 9 x 7, 7 x 9 pixels"),
    ],
)
def test_an_echo_of_another_geometry_is_refused(tmp_path, change, sentence):
    write_dicom(make_study(), tmp_path)

    def move(dataset):
        if dataset.EchoNumbers == 2:
            change(dataset)

    edit_dicom(tmp_path, move)
    _refused(tmp_path, sentence)


def test_an_in_plane_shift_of_one_echo_is_refused(tmp_path):
    write_dicom(make_study(), tmp_path)

    def shift(dataset):
        if dataset.EchoNumbers == 2:
            along_row = np.array(dataset.ImageOrientationPatient[:3], float)
            position = np.array(dataset.ImagePositionPatient, float) + 0.5 * along_row
            dataset.ImagePositionPatient = [f"{value:.6f}" for value in position]

    edit_dicom(tmp_path, shift)
    _refused(tmp_path, "at the same slice lie 0.[0-9]+ mm apart")


def test_a_sheared_stack_is_refused(tmp_path):
    write_dicom(make_study(), tmp_path)

    def shear(dataset):
        along_row = np.array(dataset.ImageOrientationPatient[:3], float)
        slice_number = (dataset.InstanceNumber - 1) % 4
        position = np.array(dataset.ImagePositionPatient, float) + 2 * slice_number * along_row
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in position]

    edit_dicom(tmp_path, shear)
    _refused(tmp_path, "stacked along their normal; .* shifted against each other")


def test_phase_without_magnitude_is_refused(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.ImageType[2] == "P")
    _refused(tmp_path, "found phase without magnitude images")


def test_the_field_strength_may_come_from_the_frequency(tmp_path):
    write_dicom(make_study(field_strength_t=1.494), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.__delattr__("MagneticFieldStrength"))
    assert read_study(tmp_path).field_strength_t == pytest.approx(1.494, rel=1e-6)
    edit_dicom(tmp_path, lambda dataset: dataset.__delattr__("ImagingFrequency"))
    _refused(tmp_path, "neither MagneticFieldStrength nor ImagingFrequency")


def test_attributes_that_were_removed_are_named(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.__delattr__("ImagePositionPatient"))
    _refused(tmp_path, "has no ImagePositionPatient")


def test_spin_echoes_are_not_taken_for_gradient_echoes(tmp_path):
    write_dicom(make_study(), tmp_path)
    edit_dicom(tmp_path, lambda dataset: setattr(dataset, "ScanningSequence", "SE"))
    _refused(tmp_path, "a spin echo; PDFF needs gradient echoes")


def test_an_empty_folder_and_a_missing_path_are_refused(tmp_path):
    _refused(tmp_path, "holds no file. Check the path")
    _refused(tmp_path / "absent", "An existing folder or file is needed; 'absent' is neither")


def test_a_refusal_names_no_patient(tmp_path):
    write_dicom(make_study(patient_id="SECRET^NAME"), tmp_path)
    edit_dicom(tmp_path, lambda dataset: dataset.EchoNumbers != 3)
    with pytest.raises(UnsuitableInputError) as caught:
        read_study(tmp_path)
    assert "SECRET" not in str(caught.value)


def test_a_folder_that_cannot_be_listed_is_not_left_out_in_silence(tmp_path, monkeypatch):
    write_dicom(make_study(shape=(6, 5, 2)), tmp_path / "scan")
    (tmp_path / "scan" / "locked").mkdir()
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    _refused(tmp_path / "scan", "'locked' is not: Permission denied. Change its permissions or copy it")
