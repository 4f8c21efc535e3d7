"""A DICOM file that is cut short at any byte is refused by name, or changes nothing."""

import numpy as np
import pydicom
import pytest
from make_studies import make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io.dicom_frames import frames_of
from liver_models.io.export import write_dicom
from liver_models.io.reading import read_study


def _check_cuts(path, folder, whole, cuts):
    data = path.read_bytes()
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(UnsuitableInputError) as caught:
            read_study(folder)
        assert f"'{path.name}' is cut short" in str(caught.value), (cut, str(caught.value))
    path.write_bytes(data)
    assert read_study(folder).signal.tobytes() == whole.signal.tobytes()


def test_a_classic_file_cut_at_any_byte_is_named(tmp_path):
    paths = write_dicom(make_study(shape=(3, 2, 1), echo_times_s=(0.001, 0.002, 0.003)), tmp_path)
    data = paths[1].read_bytes()
    whole = frames_of(paths[1], "one.dcm")
    assert len(whole[0]) == 1
    for cut in range(len(data)):
        paths[1].write_bytes(data[:cut])
        with pytest.raises(UnsuitableInputError, match="'one.dcm' is cut short"):
            frames_of(paths[1], "one.dcm")
    paths[1].write_bytes(data)
    assert frames_of(paths[1], "one.dcm") == whole
    _check_cuts(paths[1], tmp_path, read_study(tmp_path), range(0, len(data), 97))


def test_a_file_without_suffix_cut_at_any_byte_is_never_half_read(tmp_path):
    paths = write_dicom(make_study(shape=(3, 2, 1), echo_times_s=(0.001, 0.002, 0.003)), tmp_path)
    path = paths[1].rename(tmp_path / "IM0001")
    _check_cuts(path, tmp_path, read_study(tmp_path), range(0, path.stat().st_size, 41))


def test_an_enhanced_file_cut_at_any_byte_is_named(tmp_path):
    study = make_study(shape=(3, 2, 2), echo_times_s=(0.001, 0.002, 0.003))
    (path,) = write_dicom(study, tmp_path, layout="enhanced")
    size = path.stat().st_size
    cuts = np.unique(np.linspace(0, size - 1, 120).astype(int))
    _check_cuts(path, tmp_path, read_study(tmp_path), cuts)


@pytest.mark.parametrize("syntax", [pydicom.uid.RLELossless, pydicom.uid.DeflatedExplicitVRLittleEndian])
def test_a_compressed_file_reads_as_the_plain_one_and_is_refused_when_cut(tmp_path, syntax):
    paths = write_dicom(make_study(shape=(5, 4, 1), echo_times_s=(0.001, 0.002, 0.003)), tmp_path)
    whole = read_study(tmp_path)
    dataset = pydicom.dcmread(paths[0])
    if syntax == pydicom.uid.RLELossless:
        dataset.compress(syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(paths[0])
    _check_cuts(paths[0], tmp_path, whole, range(0, paths[0].stat().st_size - 12, 29))


def test_elements_after_the_pixels_are_checked_too(tmp_path):
    paths = write_dicom(make_study(shape=(3, 2, 1), echo_times_s=(0.001, 0.002, 0.003)), tmp_path)
    whole = read_study(tmp_path)
    dataset = pydicom.dcmread(paths[0])
    dataset.DataSetTrailingPadding = bytes(64)
    dataset.save_as(paths[0])
    size = paths[0].stat().st_size
    _check_cuts(paths[0], tmp_path, whole, range(size - 70, size))
