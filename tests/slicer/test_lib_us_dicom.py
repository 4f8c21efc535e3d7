"""Sizes and times of ultrasound files, as written by the test with pydicom."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from LiverLabelLib.errors import UnsuitableInputError
from LiverLabelLib.us_dicom import read_ultrasound
from pydicom.dataset import Dataset, FileMetaDataset

US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
TISSUE = {"kind": 1, "box": (10, 20, 109, 219), "delta": (0.02, 0.01)}


def region(kind=1, box=(0, 0, 9, 9), delta=(0.02, 0.01), units=3, form=1) -> Dataset:
    """An item of SequenceOfUltrasoundRegions; box (top, left, bottom, right), last pixels inside; cm a pixel."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = form, kind, 0
    item.RegionLocationMinY0, item.RegionLocationMinX0, item.RegionLocationMaxY1, item.RegionLocationMaxX1 = box
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaY, item.PhysicalDeltaX = delta
    return item


@pytest.fixture
def written(tmp_path):
    """A function that writes a file of 120 x 240 pixels with regions and elements."""

    def write(*regions, **elements):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = US_MULTIFRAME
        dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.Rows, dataset.Columns = 120, 240
        if regions:
            dataset.SequenceOfUltrasoundRegions = list(regions)
        for name, value in elements.items():
            setattr(dataset, name, value)
        dataset.save_as(tmp_path / "us.dcm", enforce_file_format=True)
        return read_ultrasound(tmp_path / "us.dcm")

    return write


def test_spacing_is_in_millimetres_rows_first(written):
    found = written(region(**TISSUE), SeriesDescription="Abdomen")
    assert found.pixel_spacing_mm == pytest.approx((0.2, 0.1)) and found.spacing_note == ""
    assert found.regions[0].box == (10, 20, 110, 220) and found.shape == (120, 240)
    assert found.spacing_at(109, 219) is not None and found.spacing_at(110, 219) is None
    assert not found.is_elastography and found.frame_times_s is None


def test_a_picture_without_spacing_says_so(written):
    for found in (written(), written(region(1, units=4)), written(region(1, delta=(0.0, 0.01)))):
        assert found.pixel_spacing_mm is None and "in pixels, not in mm" in found.spacing_note


def test_regions_of_different_scale_have_no_common_spacing(written):
    found = written(region(1, (0, 0, 99, 99)), region(1, (0, 100, 99, 199), (0.04, 0.04)))
    assert found.pixel_spacing_mm is None and "different scale" in found.spacing_note
    assert found.spacing_at(5, 5) == pytest.approx((0.2, 0.1))
    assert found.spacing_at(5, 150) == pytest.approx((0.4, 0.4))


def test_the_box_of_colours_is_found_and_m_mode_is_no_length(written):
    m_mode = region(1, (100, 0, 119, 239), form=2)
    found = written(region(**TISSUE), region(2, (30, 60, 59, 99)), m_mode, SeriesDescription="Liver SWE")
    assert found.colour_boxes == ((30, 60, 60, 100),) and found.is_elastography
    assert [one.kind for one in found.regions] == ["tissue", "colour", "other"]
    assert found.pixel_spacing_mm == pytest.approx((0.2, 0.1))


def test_frame_times_come_from_the_vector_the_step_or_the_rate(written):
    assert written(NumberOfFrames=3, FrameTimeVector=[0, 40, 60]).frame_times_s == pytest.approx((0, 0.04, 0.1))
    assert written(NumberOfFrames=3, FrameTime=50).frame_times_s == pytest.approx((0, 0.05, 0.1))
    assert written(NumberOfFrames=3, CineRate=25).frame_times_s == pytest.approx((0, 0.04, 0.08))
    assert written(NumberOfFrames=3).frame_times_s is None
    assert written(NumberOfFrames=3, FrameTimeVector=[0, 40], FrameTime=10).frame_times_s[-1] == pytest.approx(0.02)


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "text.dcm").write_bytes(b"no dicom" * 40)
    with pytest.raises(UnsuitableInputError, match="'text.dcm' is none"):
        read_ultrasound(tmp_path / "text.dcm")
    with pytest.raises(UnsuitableInputError, match="cannot be read"):
        read_ultrasound(tmp_path / "missing.dcm")


def test_a_file_without_a_picture_is_refused(written):
    with pytest.raises(UnsuitableInputError, match="lacks its size"):
        written(Rows=None)


def test_regions_outside_the_picture_are_passed_over(written):
    found = written(region(1, (200, 0, 300, 100)), region(1, (0, 0, 500, 500)))
    assert [one.box for one in found.regions] == [(0, 0, 120, 240)]
    assert np.isclose(found.pixel_spacing_mm[0], 0.2)
