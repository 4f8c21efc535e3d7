"""Scanners' own conventions, in data synthesised to follow them: the signal comes out the same."""

import numpy as np
import pydicom
import pytest
from make_studies import at_same_places, edit_dicom, make_study, stored_pixels

from liver_models.errors import UnsuitableInputError
from liver_models.io.export import write_dicom
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study


def _values(dataset):
    return pydicom.pixels.pixel_array(dataset) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def _forget_standard_component(dataset, manufacturer):
    dataset.Manufacturer = manufacturer
    for keyword in ("ComplexImageComponent", "RescaleSlope", "RescaleIntercept", "RescaleType"):
        delattr(dataset, keyword)


def _error(read, study):
    return np.abs(at_same_places(read, study) - study.signal).max() / np.abs(study.signal).max()


@pytest.mark.parametrize("has_rescale", [True, False])
def test_siemens_phase_of_twelve_bits_is_in_radians(tmp_path, has_rescale):
    study = make_study(shape=(16, 12, 3))

    def siemens(dataset):
        values, is_phase = _values(dataset), dataset.ImageType[2] == "P"
        _forget_standard_component(dataset, "SIEMENS")
        dataset.ImageType = ["ORIGINAL", "PRIMARY", dataset.ImageType[2], "ND"]
        if is_phase:
            stored_pixels(dataset, np.clip(values / np.pi * 2048 + 2048, 0, 4095))
            if has_rescale:
                dataset.RescaleSlope, dataset.RescaleIntercept = 2, -4096
        else:
            stored_pixels(dataset, values)

    write_dicom(study, tmp_path)
    edit_dicom(tmp_path, siemens)
    assert _error(read_study(tmp_path), study) < np.pi / 2048


@pytest.mark.parametrize(
    ("full_circle", "lowest"), [(360, -180), (360, 0), (2000 * np.pi, -1000 * np.pi), (8192, -4096)]
)
def test_phase_in_other_units_is_found_from_its_range(tmp_path, full_circle, lowest):
    study = make_study(shape=(24, 20, 3))

    def convert(dataset):
        if dataset.ImageType[2] == "P":
            values = _values(dataset) / (2 * np.pi) * full_circle
            stored_pixels(dataset, np.where(values < lowest, values + full_circle, values))
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
            del dataset.RescaleType

    write_dicom(study, tmp_path)
    edit_dicom(tmp_path, convert)
    assert _error(read_study(tmp_path), study) < 1.1 * np.pi / full_circle + 1e-4


def test_phase_of_unknown_unit_is_refused(tmp_path):
    def scale(dataset):
        if dataset.ImageType[2] == "P":
            stored_pixels(dataset, _values(dataset) * 250)
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
            del dataset.RescaleType

    write_dicom(make_study(shape=(16, 12, 2)), tmp_path)
    edit_dicom(tmp_path, scale)
    with pytest.raises(UnsuitableInputError, match="unit of the phase images .* found values from -7[0-9]+ to 7[0-9]+"):
        read_study(tmp_path)


def _as_philips(study, folder, scale_of):
    """Stored values PV with FP = (PV·RS + RI) / (RS·SS), RS and SS of each frame; phase rescaled to milliradians."""

    def philips(dataset):
        values, part = _values(dataset), dataset.ImageType[2]
        _forget_standard_component(dataset, "Philips")
        dataset.ImageType = ["ORIGINAL", "PRIMARY", {"M": "M_FFE", "P": "PHASE MAP"}.get(part, part), part, "FFE"]
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x11, "CS", part)
        scale_slope = scale_of(dataset)
        block.add_new(0x0E, "FL", scale_slope)
        if part == "P":
            slope, intercept = 2000 * np.pi / 4095, -1000 * np.pi
            stored_pixels(dataset, (values * 1000 - intercept) / slope)
            dataset.RescaleType = "mrad"
        else:
            slope = 1.7
            intercept = 0.0 if part == "M" else -2048 * slope
            stored_pixels(dataset, np.clip(values * scale_slope - intercept / slope, 0, 65535))
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.12g}", f"{intercept:.12g}"

    edit_dicom(folder, philips)


@pytest.mark.parametrize("parts", ["magnitude_phase", "real_imaginary"])
def test_philips_scale_may_vary_from_frame_to_frame(tmp_path, parts):
    study = make_study()
    write_dicom(study, tmp_path, parts=parts)
    _as_philips(study, tmp_path, lambda dataset: np.float32(0.31 + 0.05 * int(dataset.EchoNumbers)))
    assert _error(read_study(tmp_path), study) < 3e-3


def test_philips_private_elements_are_read_without_their_representation(tmp_path):
    study = make_study()
    write_dicom(study, tmp_path, parts="real_imaginary")
    _as_philips(study, tmp_path, lambda dataset: np.float32(0.31 + 0.05 * int(dataset.EchoNumbers)))
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        del dataset[0x20050010]  # without its creator, the library cannot know what an element holds
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    assert _error(read_study(tmp_path), study) < 3e-3


def _as_ge(folder, alternates, acquisition="3D"):
    numbers = {"M": 0, "P": 1, "R": 2, "I": 3}

    def ge(dataset):
        values, part = _values(dataset), dataset.ImageType[2]
        _forget_standard_component(dataset, "GE MEDICAL SYSTEMS")
        dataset.MRAcquisitionType = acquisition
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", numbers[part])
        is_odd = (dataset.InstanceNumber - 1) % 4 % 2
        if part == "P":
            if alternates and is_odd:
                values = np.where(values > 0, values - np.pi, values + np.pi)
            stored_pixels(dataset, values * 1000)
        else:
            stored_pixels(dataset, values * (-1 if alternates and is_odd and part != "M" else 1))

    edit_dicom(folder, ge)


def _smooth_study():
    study = make_study(shape=(16, 12, 4))
    return study.with_fields(signal=np.repeat(study.signal[..., :1], 4, axis=-1))


@pytest.mark.parametrize("parts", ["magnitude_phase", "real_imaginary"])
@pytest.mark.parametrize("alternates", [False, True])
def test_ge_components_are_read_and_alternating_slices_corrected(tmp_path, parts, alternates):
    study = _smooth_study()
    write_dicom(study, tmp_path, parts=parts)
    _as_ge(tmp_path, alternates)
    read = read_study(tmp_path)
    assert _error(read, study) < 1e-3
    assert any("alternated its sign" in warning for warning in read.warnings) == alternates


def test_slices_of_a_2d_acquisition_keep_their_sign(tmp_path):
    study = _smooth_study()
    write_dicom(study, tmp_path, parts="real_imaginary")
    _as_ge(tmp_path, alternates=True, acquisition="2D")
    read = read_study(tmp_path)
    assert not read.warnings
    assert _error(read, study) > 1


def test_real_and_imaginary_images_are_preferred_to_phase_of_doubtful_unit(tmp_path):
    study = _smooth_study()
    write_dicom(study, tmp_path / "in", parts="real_imaginary")
    write_dicom(study, tmp_path / "in" / "more")
    _as_ge(tmp_path / "in", alternates=False)

    def same_series(dataset):
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3"

    edit_dicom(tmp_path / "in", same_series)
    report = import_source(tmp_path / "in", tmp_path / "studies")
    assert [item.reason for item in report.skipped] == [
        "magnitude and phase images: the real and imaginary images of the same echoes are used"
    ]
    assert _error(read_study(tmp_path / "studies" / "in.case.json"), study) < 1e-3


def test_philips_style_enhanced_frames_carry_private_scales_of_their_own(tmp_path):
    study = make_study()
    (path,) = write_dicom(study, tmp_path, layout="enhanced", parts="real_imaginary")
    dataset = pydicom.dcmread(path)
    frames = pydicom.pixels.pixel_array(dataset).copy()
    dataset.Manufacturer = "Philips"
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item = pydicom.Dataset()
        block = item.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        scale = np.float32(0.5 + 0.25 * (number % 3))
        block.add_new(0x0E, "FL", scale)
        slope = float(group.PixelValueTransformationSequence[0].RescaleSlope)
        frames[number] = np.round(frames[number] * slope * scale)
        group.add_new(0x2005140F, "SQ", [item])
    dataset.PixelData = frames.tobytes()
    dataset.save_as(path)
    assert _error(read_study(tmp_path), study) < 1e-3


def test_siemens_style_enhanced_files_hold_one_component_each(tmp_path):
    study = make_study()
    magnitude = study.with_fields(signal=np.abs(study.signal).astype(np.complex64), is_magnitude_only=True)
    write_dicom(magnitude, tmp_path / "magnitude", layout="enhanced")
    write_dicom(study, tmp_path / "phase", layout="enhanced")

    def keep_phase(dataset):
        is_phase = dataset.ComplexImageComponent == "MIXED"
        dataset.StudyInstanceUID, dataset.SeriesNumber = "1.2.3", 8 + is_phase
        if is_phase:
            half = dataset.NumberOfFrames // 2
            dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[half:]
            dataset.PixelData = dataset.PixelData[len(dataset.PixelData) // 2 :]
            dataset.NumberOfFrames = half

    edit_dicom(tmp_path, keep_phase)
    assert _error(read_study(tmp_path), study) < 2e-4
