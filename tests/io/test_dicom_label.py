"""Labels as DICOM: every voxel, name and time comes back, on grids that hide no mistake."""

import warnings

import numpy as np
import pydicom
import pytest
from make_studies import GEOMETRIES, make_study
from pydicom.data import get_testdata_file

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import load_case
from liver_models.io.dicom_export import write_dicom
from liver_models.io.dicom_label import LabelNote, described, mark_object, read_object, region_object, text_object
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study
from liver_models.io.volumes import read_mask, read_volume, write_volume

TIME_S = 1_790_000_000.25
NOTE = LabelNote("MR", "region", "final", "anna", TIME_S)


def written(dataset, path):
    """A data set as an archive gives it back."""
    dataset.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def mri_case(folder, shape, affine, layout="classic"):
    write_dicom(make_study(shape, affine), folder / "dicom", layout=layout)
    import_source(folder / "dicom", folder, case_id="case")
    return load_case(folder / "case.case.json")


def picture_case(folder, n_frames=1, **attributes):
    dataset = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm", download=False))
    pixels = np.random.default_rng(0).integers(9, 200, (n_frames, 40, 60, 3), np.uint8)
    dataset.Rows, dataset.Columns, dataset.PlanarConfiguration = 40, 60, 0
    dataset.PixelData, dataset.PatientID, dataset.Modality = pixels.tobytes(), "P7", "US"
    if n_frames > 1:
        dataset.NumberOfFrames, dataset.SOPClassUID = n_frames, "1.2.840.10008.5.1.4.1.1.3.1"
    for key, value in attributes.items():
        setattr(dataset, key, value)
    (folder / "dicom").mkdir()
    dataset.save_as(folder / "dicom" / "1.dcm")
    import_source(folder / "dicom", folder, case_id="case")
    return load_case(folder / "case.case.json")


@pytest.mark.parametrize("layout", ["classic", "enhanced"])
@pytest.mark.parametrize("geometry", ["oblique", "one slice", "swapped axes"])
def test_a_region_comes_back_voxel_by_voxel_with_its_reader(tmp_path, geometry, layout):
    shape, affine = GEOMETRIES[geometry]
    case = mri_case(tmp_path, shape, affine, layout)
    study = read_study(tmp_path / "case.case.json")
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 1:4, 0], labels[5, 0, -1] = 2, 7
    write_volume(tmp_path / "region.nii.gz", labels, study.affine)
    stored = read_object(written(region_object(case, tmp_path / "region.nii.gz", NOTE), tmp_path / "seg.dcm"))
    assert stored.note == NOTE
    (tmp_path / "back.nii.gz").write_bytes(stored.content)
    np.testing.assert_allclose(read_volume(tmp_path / "back.nii.gz")[1], study.affine, atol=1e-3)
    back = read_mask(tmp_path / "back.nii.gz", shape, study.affine)
    assert list(back) == ["roi_2", "roi_7"]
    for value in (2, 7):
        np.testing.assert_array_equal(back[f"roi_{value}"], labels == value)


def test_a_region_refers_to_the_images_of_one_echo_slice_by_slice(tmp_path):
    shape, affine = GEOMETRIES["oblique"]
    case = mri_case(tmp_path, shape, affine)
    study = read_study(tmp_path / "case.case.json")
    write_volume(tmp_path / "region.nii.gz", np.ones(shape), study.affine)
    dataset = region_object(case, tmp_path / "region.nii.gz", NOTE, {1: "the whole liver"})
    assert dataset.Modality == "SEG" and dataset.SeriesDescription == "LiverLabel MR region final"
    assert [item.SegmentLabel for item in dataset.SegmentSequence] == ["the whole liver"]
    images = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (tmp_path / "files" / "case").glob("*.dcm"))}
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == next(iter(images.values())).SeriesInstanceUID
    seen = set()
    for group in dataset.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        image = images[source.ReferencedSOPInstanceUID]
        assert (image.ImageType[2], image.EchoNumbers) == ("M", 1)
        place = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, image.ImagePositionPatient, atol=1e-3)
        seen.add(image.SOPInstanceUID)
    assert len(seen) == shape[2]


@pytest.mark.parametrize("value", [1, 2])
@pytest.mark.parametrize("n_frames", [1, 3])
def test_a_region_of_a_picture_comes_back_and_names_its_frame(tmp_path, n_frames, value):
    case = picture_case(tmp_path, n_frames, FrameOfReferenceUID="1.2.3")
    labels = np.zeros((60, 40, 1), np.uint8)
    labels[10:31, 5:12], labels[50, 39] = 1, value
    write_volume(tmp_path / "region.nii.gz", labels, np.diag([-1, -1, 1, 1]))
    note = LabelNote("US", "region", "final", "", TIME_S)
    dataset = written(region_object(case, tmp_path / "region.nii.gz", note), tmp_path / "seg.dcm")
    source = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert source.get("ReferencedFrameNumber") == (None if n_frames == 1 else 1)
    stored = read_object(dataset)
    assert stored.note == note
    (tmp_path / "back.nii.gz").write_bytes(stored.content)
    back = read_mask(tmp_path / "back.nii.gz", labels.shape, np.diag([-1, -1, 1, 1]))
    np.testing.assert_array_equal(sum(int(name[-1]) * mask for name, mask in back.items()), labels)


def test_an_answer_and_a_mark_come_back_with_their_words(tmp_path):
    case = picture_case(tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Åse")
    note = LabelNote("US", "answer", "final", "ben.2", TIME_S)
    dataset = written(text_object(case, '{\n  "source": "Histologie Köln"\n}\n', note), tmp_path / "sr.dcm")
    assert (dataset.Modality, str(dataset.PatientName)) == ("SR", "Müller^Åse")
    stored = read_object(dataset)
    assert stored.note == note and stored.content.decode() == '{\n  "source": "Histologie Köln"\n}\n'
    whole = LabelNote("US", "reopened", "final", "", 1_790_000_000.0)
    mark = read_object(written(mark_object(case, ("region",), whole), tmp_path / "mark.dcm"))
    assert (mark.note, mark.content, mark.reopened) == (whole, b"", ("region",))


def test_a_patient_is_not_named_in_a_warning(tmp_path):
    case = picture_case(tmp_path, PatientName="Schmidt")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        text_object(case, "{}", LabelNote("US", "answer", "final", "anna", TIME_S))
        write_volume(tmp_path / "region.nii.gz", np.ones((60, 40, 1)), np.diag([-1, -1, 1, 1]))
        region_object(case, tmp_path / "region.nii.gz", LabelNote("US", "region", "final", "anna", TIME_S))
    assert not [item for item in told if "Schmidt" in str(item.message)]


def test_what_dicom_cannot_hold_or_what_is_not_ours_is_refused(tmp_path):
    shape, affine = GEOMETRIES["oblique"]
    case = mri_case(tmp_path, shape, affine)
    with pytest.raises(UnsuitableInputError, match="tag of up to 41 and a reader's name of up to 63 .*found 42 and 4"):
        text_object(case, "{}", LabelNote("MR", "answer", "t" * 42, "anna", TIME_S))
    write_volume(tmp_path / "empty.nii.gz", np.zeros(shape), affine)
    with pytest.raises(UnsuitableInputError, match="at least one voxel; 'empty.nii.gz' is empty"):
        region_object(case, tmp_path / "empty.nii.gz", NOTE)
    write_volume(tmp_path / "moved.nii.gz", np.ones(shape), affine @ np.diag([1, 1, 1.5, 1]))
    with pytest.raises(UnsuitableInputError, match="'moved.nii.gz' lies up to"):
        region_object(case, tmp_path / "moved.nii.gz", NOTE)
    dataset = text_object(case, "{}", LabelNote("MR", "answer", "final", "anna", TIME_S))
    dataset.SeriesDescription = "Liver"
    with pytest.raises(UnsuitableInputError, match="an object of the store is none or damaged"):
        read_object(dataset)
    assert described("LiverLabel MR region ../final") is None
